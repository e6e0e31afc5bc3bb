use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{Options, Permissions, Server, StaticUsers};

async fn start() -> Server {
    let users = StaticUsers::new().password("alice", "secret", Permissions::default());
    let monitor = Some(([127, 0, 0, 1], 0).into());
    let options = Options { port: 0, monitor, workers: 1, access: Arc::new(users), ..Options::default() };
    Server::start(options).await.unwrap()
}

/// A client that has published one message of two bytes to itself.
async fn client(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let said = b"CONNECT {\"user\":\"alice\",\"pass\":\"secret\",\"name\":\"n\",\"lang\":\"rust\",\"verbose\":false}\r\n\
        SUB a.* group 7\r\nSUB b 8\r\nPUB b 2\r\nhi\r\nPING\r\n";
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"PONG\r\n") {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0);
    }
    stream
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.monitor_address().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn page(server: &Server, path: &str) -> Value {
    let (status, body) = get(server, path).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn the_server_tells_what_went_through_it() {
    let server = start().await;
    let _client = client(&server).await;
    let varz = page(&server, "/varz").await;
    assert_eq!((&varz["connections"], &varz["subscriptions"]), (&1.into(), &2.into()));
    assert_eq!((&varz["in_msgs"], &varz["in_bytes"]), (&1.into(), &2.into()));
    assert_eq!((&varz["out_msgs"], &varz["out_bytes"]), (&1.into(), &2.into()));
    assert_eq!((&varz["max_payload"], &varz["auth_required"]), (&1_048_576.into(), &true.into()));
    assert_eq!(varz["ping_interval"], 120_000_000_000_u64);
    assert_eq!(varz["http_port"], server.monitor_address().unwrap().port());
}

#[tokio::test]
async fn a_connection_tells_its_user_and_subscriptions_only_when_asked() {
    let server = start().await;
    let _client = client(&server).await;
    let connz = page(&server, "/connz").await;
    let plain = &connz["connections"][0];
    assert_eq!((&connz["num_connections"], &connz["limit"]), (&1.into(), &1024.into()));
    assert_eq!(
        (&plain["name"], &plain["lang"], &plain["kind"]),
        (&"n".into(), &"rust".into(), &"Client".into())
    );
    assert_eq!(
        (&plain["in_msgs"], &plain["out_msgs"], &plain["type"]),
        (&1.into(), &1.into(), &"nats".into())
    );
    assert!(plain.get("authorized_user").is_none() && plain.get("subscriptions_list").is_none());
    let connz = page(&server, "/connz?auth=1&subs=1").await;
    assert_eq!(connz["connections"][0]["authorized_user"], "alice");
    assert_eq!(connz["connections"][0]["subscriptions_list"], serde_json::json!(["a.*", "b"]));
    let connz = page(&server, "/connz?subs=detail&sort=subs").await;
    let detail = &connz["connections"][0]["subscriptions_list_detail"];
    assert_eq!((&detail[0]["qgroup"], &detail[0]["sid"]), (&"group".into(), &"7".into()));
    assert_eq!((&detail[1]["msgs"], &detail[1]["subject"]), (&1.into(), &"b".into()));
}

#[tokio::test]
async fn a_connection_that_has_gone_is_kept_with_its_reason() {
    let server = start().await;
    drop(client(&server).await);
    let mut closed = page(&server, "/connz?state=closed").await;
    while closed["total"] == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        closed = page(&server, "/connz?state=closed").await;
    }
    assert_eq!(closed["connections"][0]["reason"], "Client Closed");
    assert_eq!(page(&server, "/connz").await["total"], 0);
    assert_eq!(page(&server, "/connz?state=any&user=alice").await["total"], 1);
    assert_eq!(page(&server, "/connz?state=any&user=bob").await["total"], 0);
}

#[tokio::test]
async fn subscriptions_are_counted_listed_and_tried() {
    let server = start().await;
    let _client = client(&server).await;
    let subsz = page(&server, "/subsz").await;
    assert_eq!(subsz["num_subscriptions"], 2);
    assert!(subsz.get("subscriptions_list").is_none());
    assert_eq!(
        page(&server, "/subsz?subs=1&limit=1").await["subscriptions_list"].as_array().unwrap().len(),
        1
    );
    let tried = page(&server, "/subsz?test=a.x").await;
    assert_eq!((&tried["total"], &tried["subscriptions_list"][0]["subject"]), (&1.into(), &"a.*".into()));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_is_wrong() {
    let server = start().await;
    assert_eq!(page(&server, "/healthz").await["status"], "ok");
    assert!(get(&server, "/").await.1.contains("./connz"));
    assert_eq!(get(&server, "/nothing").await.0, 404);
    let (status, body) = get(&server, "/connz?sort=colour").await;
    assert_eq!(status, 400);
    assert!(body.starts_with("`sort` cannot be `colour`"), "{body}");
    assert_eq!(get(&server, "/connz?state=half").await.0, 400);
}
