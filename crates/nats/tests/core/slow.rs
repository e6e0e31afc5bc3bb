//! Clients that do not read harm nobody else.

use std::time::Duration;

use crate::wire::{Wire, server};

const PAYLOAD: usize = 64 * 1024;

async fn flood(publisher: &mut Wire, count: usize) {
    let message = format!("PUB flood {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
    for _ in 0..count {
        publisher.send(&message).await;
    }
    publisher.settle().await;
}

#[tokio::test]
async fn a_dead_subscriber_does_not_stop_its_publisher() {
    let server = server(|options| options.limits.max_pending = 4 * 1024 * 1024).await;
    let mut dead = Wire::subscribed(&server, "flood 1").await;
    let mut alive = Wire::subscribed(&server, "flood 1").await;
    let reading = tokio::spawn(async move {
        let message = format!("MSG flood 1 {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
        for _ in 0..600 {
            alive.expect(&message).await;
        }
        alive.settle().await;
    });
    let mut publisher = Wire::open(&server).await;
    flood(&mut publisher, 600).await;
    reading.await.unwrap();
    // It was given up: what it still finds is less than what was sent, and then the end.
    assert!(dead.rest().await.len() < 600 * PAYLOAD);
}

#[tokio::test]
async fn who_takes_no_byte_for_too_long_is_given_up() {
    let server = server(|options| options.limits.write_deadline = Duration::from_millis(100)).await;
    let mut dead = Wire::subscribed(&server, "flood 1").await;
    let mut publisher = Wire::open(&server).await;
    flood(&mut publisher, 400).await;
    // Once it is gone, nobody listens.
    publisher.send("SUB in 1\r\n").await;
    loop {
        publisher.send("PUB flood in 0\r\n\r\n").await;
        publisher.send("PING\r\n").await;
        if publisher.line().await.starts_with("HMSG in 1") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(dead.rest().await.len() < 400 * PAYLOAD);
}

#[tokio::test]
async fn a_client_that_floods_itself_without_reading_is_given_up_alone() {
    let server = server(|options| options.limits.max_pending = 1024 * 1024).await;
    let mut other = Wire::subscribed(&server, "other 1").await;
    let mut own = Wire::subscribed(&server, "flood 1").await;
    let message = format!("PUB flood {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
    let mut sent = 0;
    while own.try_send(&message).await {
        sent += 1;
        assert!(sent < 10_000, "it was never given up");
    }
    other.send("PUB other 1\r\nx\r\n").await;
    other.expect("MSG other 1 1\r\nx\r\n").await;
}

#[tokio::test]
async fn a_slow_subscriber_that_reads_gets_everything() {
    let server = server(|_| ()).await;
    let mut slow = Wire::subscribed(&server, "flood 1").await;
    let mut publisher = Wire::open(&server).await;
    let publishing = tokio::spawn(async move { flood(&mut publisher, 300).await });
    let message = format!("MSG flood 1 {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
    for _ in 0..300 {
        slow.expect(&message).await;
        tokio::task::yield_now().await;
    }
    publishing.await.unwrap();
    slow.settle().await;
}
