//! Webhooks through the real binary: endpoints of every temper, a server that is killed, and the command line.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "webhooks/commands.rs"]
mod commands;
#[path = "webhooks/tempers.rs"]
mod tempers;

use std::{collections::BTreeSet, future::Future, time::Duration};

use flagbase_testkit::{Backend, Received, server::TestServer};
use serde_json::{Value, json};
use standardwebhooks::Webhook as Verifier;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A bound for hopeless cases, not a measurement: 600 looks, a tenth of a second apart.
const LOOKS: u32 = 600;

/// A server that may send to this machine, an administrator's token there, and a flag to flip.
async fn server() -> (TestServer, String) {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_WEBHOOKS__ALLOW_LOOPBACK", "true")]).await;
    let token = server.administrator().await;
    let flag = json!({"key": "checkout", "enabled": true, "default_value": true});
    drop(server.post("/api/v1/flags", &token, &flag).await.expect_status(201));
    (server, token)
}

/// Makes a webhook called `key` that is told of flags; returns its secret.
async fn webhook(server: &TestServer, token: &str, key: &str, url: &str) -> String {
    let body = json!({"key": key, "url": url, "events": ["flagbase.flag.*"]});
    let made = server.post("/api/v1/webhooks", token, &body).await.expect_status(201);
    made.json["secret"].as_str().unwrap().to_owned()
}

async fn flip(server: &TestServer, token: &str, verb: &str) {
    let path = format!("/api/v1/flags/checkout/{verb}");
    drop(server.post(&path, token, &json!({})).await.expect_status(200));
}

/// Looks until there is something to see.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    for _ in 0..LOOKS {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!("never happened: {what}")
}

/// The first `count` messages of a backend.
async fn received(backend: &Backend, count: usize) -> Vec<Received> {
    until("messages arrive", async || Some(backend.received()).filter(|all| all.len() >= count)).await
}

/// The newest delivery of a webhook, once it is in `state`.
async fn newest(server: &TestServer, token: &str, key: &str, state: &str) -> Value {
    let path = format!("/api/v1/webhooks/{key}/deliveries?limit=1");
    until(state, async || {
        let found = server.get(&path, token).await.expect_status(200).json[0].clone();
        Some(found).filter(|delivery| delivery["state"] == state)
    })
    .await
}

fn verifies(secret: &str, message: &Received) -> bool {
    Verifier::new(secret).unwrap().verify(&message.body, &message.headers).is_ok()
}

#[tokio::test]
async fn a_flip_arrives_signed_so_that_a_published_library_takes_it() {
    let (server, token) = server().await;
    let backend = Backend::start().await;
    let secret = webhook(&server, &token, "w", &backend.url()).await;
    flip(&server, &token, "disable").await;
    let message = &received(&backend, 1).await[0];
    assert!(verifies(&secret, message));
    assert!(!verifies("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", message));
    let event: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!((&event["type"], &event["subject"]), (&json!("flagbase.flag.disabled"), &json!("checkout")));
    assert_eq!(message.header("webhook-id"), event["id"].as_str());
    let logged = server.get("/api/v1/changes?limit=1000", &token).await.expect_status(200);
    assert!(logged.text.contains(event["id"].as_str().unwrap()), "the id is the same everywhere");
}

#[tokio::test]
async fn the_secret_is_told_once_and_rotated_with_an_overlap() {
    let (server, token) = server().await;
    let backend = Backend::start().await;
    let old = webhook(&server, &token, "w", &backend.url()).await;
    let rotated = server.post("/api/v1/webhooks/w/secret/rotate?overlap=1h", &token, &json!({})).await;
    let new = rotated.expect_status(200).json["secret"].as_str().unwrap().to_owned();
    flip(&server, &token, "disable").await;
    let message = &received(&backend, 1).await[0];
    assert!(verifies(&old, message) && verifies(&new, message));
    let mut seen = server.output();
    for path in [
        "/api/v1/webhooks",
        "/api/v1/webhooks/w",
        "/api/v1/webhooks/w/deliveries",
        "/api/v1/changes?limit=1000",
    ] {
        seen.push_str(&server.get(path, &token).await.expect_status(200).text);
    }
    for secret in [old, new] {
        assert!(!seen.contains(secret.trim_start_matches("whsec_")));
    }
}

#[tokio::test]
async fn killed_again_and_again_the_server_loses_no_event() {
    let (mut server, token) = server().await;
    let backend = Backend::start().await;
    backend.delay(Duration::from_millis(20));
    webhook(&server, &token, "w", &backend.url()).await;
    for round in 0..4 {
        for flip_number in 0..8 + round {
            flip(&server, &token, if flip_number % 2 == 0 { "disable" } else { "enable" }).await;
        }
        // Where it is in relaying and sending is left to chance.
        server.kill();
        server.restart().await;
    }
    let changes = server.get("/api/v1/changes?limit=1000", &token).await.expect_status(200).json;
    let flips: BTreeSet<String> = changes
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| {
            change["kind"] == "flag" && matches!(change["verb"].as_str(), Some("enabled" | "disabled"))
        })
        .map(|change| change["event"].as_str().unwrap().to_owned())
        .collect();
    assert!(flips.len() >= 32, "{} flips", flips.len());
    until("every flip arrived", async || {
        let arrived: BTreeSet<_> =
            backend.received().iter().map(|m| m.header("webhook-id").unwrap().to_owned()).collect();
        flips.is_subset(&arrived).then_some(())
    })
    .await;
}
