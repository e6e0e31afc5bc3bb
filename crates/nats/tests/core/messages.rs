//! Who gets what.

use crate::wire::{QUIET, Wire, server};

#[tokio::test]
async fn wildcards_match_one_token_or_the_rest() {
    let server = server(|_| ()).await;
    let mut one = Wire::subscribed(&server, "a.*.c one").await;
    let mut rest = Wire::subscribed(&server, "a.> rest").await;
    let mut publisher = Wire::open(&server).await;
    publisher
        .send(
            "PUB a.b.c 1\r\n1\r\nPUB a.b 1\r\n2\r\nPUB a.b.d 1\r\n3\r\nPUB a 1\r\n4\r\nPUB a.x.c 1\r\n5\r\n",
        )
        .await;
    one.expect("MSG a.b.c one 1\r\n1\r\nMSG a.x.c one 1\r\n5\r\n").await;
    rest.expect(
        "MSG a.b.c rest 1\r\n1\r\nMSG a.b rest 1\r\n2\r\nMSG a.b.d rest 1\r\n3\r\nMSG a.x.c rest 1\r\n5\r\n",
    )
    .await;
}

#[tokio::test]
async fn a_request_is_answered() {
    let server = server(|_| ()).await;
    let mut service = Wire::subscribed(&server, "service workers 9").await;
    let mut client = Wire::subscribed(&server, "_INBOX.> 1").await;
    for number in 0..3 {
        client.send(format!("PUB service _INBOX.{number} 2\r\nhi\r\n")).await;
        service.expect(format!("MSG service 9 _INBOX.{number} 2\r\nhi\r\n")).await;
        service.send(format!("HPUB _INBOX.{number} 12 14\r\nNATS/1.0\r\n\r\nok\r\n")).await;
        client.expect(format!("HMSG _INBOX.{number} 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n")).await;
    }
    drop(service);
    let gone = "HMSG _INBOX.x 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: service\r\n\r\n\r\n";
    loop {
        client.send("PUB service _INBOX.x 0\r\n\r\n").await;
        client.send("PING\r\n").await;
        // Until the server has noticed that the service is gone, nobody answers.
        if client.line().await != "PONG" {
            break;
        }
    }
    client.expect(gone.split_once("\r\n").unwrap().1).await;
}

#[tokio::test]
async fn echo_can_be_turned_off() {
    let server = server(|_| ()).await;
    let mut other = Wire::subscribed(&server, "a 1").await;
    let mut wire = Wire::silent(&server).await;
    wire.send("CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n").await;
    wire.settle().await;
    other.expect("MSG a 1 1\r\nx\r\n").await;
}

#[tokio::test]
async fn who_knows_no_headers_gets_the_message_without() {
    let server = server(|_| ()).await;
    let mut old = Wire::silent(&server).await;
    old.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n").await;
    old.settle().await;
    let mut publisher = Wire::open(&server).await;
    publisher.send("HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n").await;
    old.expect("MSG a 1 r 2\r\nhi\r\n").await;
}

#[tokio::test]
async fn what_was_subscribed_in_one_packet_counts_for_what_follows_in_it() {
    let server = server(|_| ()).await;
    let mut wire = Wire::silent(&server).await;
    wire.send([QUIET, "PUB a 1\r\n0\r\nSUB a 1\r\nPUB a 1\r\n1\r\nUNSUB 1\r\nPUB a 1\r\n2\r\nSUB * 2\r\nPUB a 1\r\n3\r\n"].concat())
        .await;
    wire.expect("MSG a 1 1\r\n1\r\nMSG a 2 1\r\n3\r\n").await;
    wire.settle().await;
}

#[tokio::test]
async fn info_follows_the_first_ping_of_who_wants_to_know() {
    let server = server(|_| ()).await;
    let mut wire = Wire::silent(&server).await;
    wire.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\nPING\r\n").await;
    wire.expect("PONG\r\n").await;
    let info = wire.line().await;
    assert!(info.starts_with("INFO {") && info.contains("\"connect_info\":true"), "{info}");
    wire.expect("PONG\r\n").await;
    assert_eq!(wire.info["headers"], true);
    assert_eq!(wire.info["max_payload"], 1024 * 1024);
    assert_eq!(wire.info["port"], server.address().port());
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let server = server(|_| ()).await;
    let mut subscriber = Wire::subscribed(&server, "a 1").await;
    let mut publisher = Wire::open(&server).await;
    let payload: Vec<u8> = (0..1024 * 1024).map(|byte: u32| byte.to_le_bytes()[0]).collect();
    let message = [format!("PUB a {}\r\n", payload.len()).as_bytes(), &payload, b"\r\n"].concat();
    for _ in 0..3 {
        publisher.send(&message).await;
    }
    let expected = [format!("MSG a 1 {}\r\n", payload.len()).as_bytes(), &payload, b"\r\n"].concat();
    for _ in 0..3 {
        subscriber.expect(&expected).await;
    }
}
