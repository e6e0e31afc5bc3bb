//! Clients that speak WebSocket, beside clients that do not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::time::Duration;

use flagbase_nats::{Options, Server, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Request},
};

const PATIENCE: Duration = Duration::from_secs(10);

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn start(websocket: WebSocket) -> Server {
    let options = Options { port: 0, workers: 1, websocket: Some(websocket), ..Options::default() };
    Server::start(options).await.unwrap()
}

fn request(server: &Server, path: &str, origin: Option<&str>) -> Request<()> {
    let url = format!("ws://{}{path}", server.websocket_address().unwrap());
    let mut request = url.into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    request
}

async fn connect(server: &Server) -> Client {
    connect_async(request(server, "/", None)).await.unwrap().0
}

async fn say(client: &mut Client, text: &str) {
    client.send(Message::binary(text.as_bytes().to_vec())).await.unwrap();
}

/// Everything that comes until the end of `last`.
async fn hear(client: &mut Client, last: &str) -> String {
    let mut heard = String::new();
    while !heard.ends_with(last) {
        let message = tokio::time::timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap();
        heard.push_str(message.to_text().unwrap());
    }
    heard
}

async fn status(request: Request<()>) -> u16 {
    match connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_browser_and_the_process_talk_to_each_other() {
    let server = start(WebSocket::default()).await;
    let mut inside = server.subscribe("up.>", None, 8).unwrap();
    let mut client = connect(&server).await;
    assert!(hear(&mut client, "\r\n").await.starts_with("INFO {"));
    say(&mut client, "CONNECT {\"verbose\":false}\r\nSUB down 1\r\nPI").await;
    say(&mut client, "NG\r\n").await;
    hear(&mut client, "PONG\r\n").await;
    server.publish("down", None, None, b"hello").unwrap();
    assert_eq!(hear(&mut client, "hello\r\n").await, "MSG down 1 5\r\nhello\r\n");
    say(&mut client, "PUB up.a 2\r\nhi\r\n").await;
    let message = tokio::time::timeout(PATIENCE, inside.next()).await.unwrap().unwrap();
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("up.a", &b"hi"[..]));
}

#[tokio::test]
async fn a_message_as_large_as_may_be_passes_in_frames() {
    let server = start(WebSocket::default()).await;
    let mut client = connect(&server).await;
    say(&mut client, "CONNECT {\"verbose\":false}\r\nSUB large 1\r\nPING\r\n").await;
    hear(&mut client, "PONG\r\n").await;
    let payload = "x".repeat(1024 * 1024);
    say(&mut client, &format!("PUB large {}\r\n{payload}\r\nPING\r\n", payload.len())).await;
    let heard = hear(&mut client, "PONG\r\n").await;
    assert_eq!(heard, format!("MSG large 1 {}\r\n{payload}\r\nPONG\r\n", payload.len()));
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_and_closed() {
    let server = start(WebSocket::default()).await;
    let mut client = connect(&server).await;
    say(&mut client, "NONSENSE\r\n").await;
    hear(&mut client, "-ERR 'Unknown Protocol Operation'\r\n").await;
    let end = tokio::time::timeout(PATIENCE, client.next()).await.unwrap();
    assert!(matches!(end, None | Some(Ok(Message::Close(_)) | Err(_))), "{end:?}");
}

#[tokio::test]
async fn pages_and_paths_that_are_not_named_are_refused() {
    let allowed_origins = vec!["https://app.example.com".to_owned()];
    let path = Some("/nats".to_owned());
    let server = start(WebSocket { allowed_origins, path, ..WebSocket::default() }).await;
    assert_eq!(status(request(&server, "/nats", Some("https://app.example.com"))).await, 101);
    assert_eq!(status(request(&server, "/nats", None)).await, 101);
    assert_eq!(status(request(&server, "/nats", Some("https://evil.example.com"))).await, 403);
    assert_eq!(status(request(&server, "/", None)).await, 404);
}
