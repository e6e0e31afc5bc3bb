//! `WebSocket` connections through the gateway.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_tungstenite::{accept_async, client_async, tungstenite::Message};

use super::support::{Answer, Recording, World};

const HANDSHAKE: &str = "GET /gateway/ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A backend that sends every message back.
#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_close() || socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn messages_of_every_kind_and_size_pass_both_ways() {
    let world = World::before(&echo().await).await;
    let (mut socket, answer) =
        client_async("ws://shop.example.com/gateway/ws", world.connect().await).await.unwrap();
    assert_eq!(answer.status(), 101);
    let large = vec![7_u8; 300_000];
    for message in [
        Message::text("hello"),
        Message::binary(large),
        Message::text("content-length: 1\r\ncontent-length: 1\r\n\r\n"),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn a_backend_that_refuses_gets_no_tunnel() {
    let (recording, url) = Recording::start().await;
    let world = World::before(&url).await;
    let mut stream = world.connect().await;
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut stream).await;
    assert_eq!((answer.status, answer.header("upgrade")), (200, None));
    assert!(recording.take()[0].to_ascii_lowercase().contains("upgrade: websocket"));
    // What follows is an ordinary request again, judged as any other.
    stream
        .write_all(b"GET /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 400);
}

#[tokio::test]
async fn bytes_sent_before_the_backend_agreed_reach_nobody_who_did_not() {
    let (recording, url) = Recording::start().await;
    let world = World::before(&url).await;
    let mut stream = world.connect().await;
    let early = format!(
        "{HANDSHAKE}GET /gateway/smuggled HTTP/1.1\r\nX-Flagbase-User: admin\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(early.as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    // Refused as a tunnel, the early bytes are a second request, cleaned like any other.
    assert!(recording.take().iter().all(|request| !request.contains("admin")), "{rest}");
}

#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
#[tokio::test]
async fn a_backend_that_switches_to_what_nobody_asked_for_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4096];
        let _ = stream.read(&mut bytes).await;
        let _ = stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
            .await;
        std::future::pending::<()>().await;
    });
    let world = World::before(&url).await;
    assert_eq!(world.send(HANDSHAKE).await.status, 502);
}
