//! How connections, and the server itself, begin and end.

use std::time::Duration;

use flagbase_nats::{Options, Server, StartError};

use crate::wire::{Wire, server};

#[tokio::test]
async fn connections_are_limited() {
    let server = server(|options| options.limits.max_connections = 2).await;
    let first = Wire::open(&server).await;
    let _second = Wire::open(&server).await;
    Wire::silent(&server).await.expect_end("-ERR 'maximum connections exceeded'\r\n").await;
    drop(first);
    // There is room again as soon as the server has noticed.
    loop {
        let mut wire = Wire::silent(&server).await;
        if wire.try_send("PING\r\n").await && wire.line().await == "PONG" {
            break;
        }
    }
}

#[tokio::test]
async fn who_does_not_answer_pings_is_given_up() {
    let server = server(|options| options.limits.ping_interval = Duration::from_millis(50)).await;
    let mut wire = Wire::open(&server).await;
    wire.expect_end("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n").await;
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let server = server(|options| options.limits.ping_interval = Duration::from_millis(20)).await;
    let mut wire = Wire::open(&server).await;
    for _ in 0..5 {
        wire.expect("PING\r\n").await;
        wire.send("PONG\r\n").await;
    }
}

#[tokio::test]
async fn a_lame_duck_says_so_and_lets_its_clients_go() {
    let server = server(|_| ()).await;
    let mut wire = Wire::silent(&server).await;
    wire.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\n").await;
    wire.send("PING\r\n").await;
    wire.expect("PONG\r\n").await;
    wire.line().await;
    let ending = tokio::spawn({
        let server = server.clone();
        async move { server.lame_duck(Duration::from_millis(100)).await }
    });
    let info = wire.line().await;
    assert!(info.starts_with("INFO {") && info.contains("\"ldm\":true"), "{info}");
    wire.settle().await;
    wire.expect_end("").await;
    ending.await.unwrap();
    assert!(tokio::net::TcpStream::connect(server.address()).await.is_err());
}

#[tokio::test]
async fn shutdown_delivers_what_was_published_and_disconnects() {
    let server = server(|_| ()).await;
    let mut wire = Wire::subscribed(&server, "a 1").await;
    server.publish("a", None, None, "last").unwrap();
    server.shutdown().await;
    wire.expect_end("MSG a 1 4\r\nlast\r\n").await;
}

#[tokio::test]
async fn the_server_ends_with_its_last_handle() {
    let server = server(|_| ()).await;
    let mut wire = Wire::open(&server).await;
    let handle = server.clone();
    drop(server);
    wire.settle().await;
    drop(handle);
    wire.expect_end("").await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let first = server(|_| ()).await;
    let options = Options { port: first.address().port(), ..Options::default() };
    let error = Server::start(options).await.unwrap_err();
    assert!(matches!(&error, StartError::Listen { address, .. } if *address == first.address().to_string()));
}
