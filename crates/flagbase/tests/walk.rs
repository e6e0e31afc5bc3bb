//! The newcomer's walk, through the real binary: a flag that is on for a developer and off for everyone else, seen
//! through the gateway in front of a real backend; then 11 errors, and the flag turns itself off and tells.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use flagbase_testkit::{backend::Backend, server::TestServer};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

fn checkout() -> Value {
    json!({
        "key": "new-checkout", "name": "New checkout", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1}]
    })
}

/// Reads the stream until an event of this type arrives; returns its data.
async fn event(server: &TestServer, token: &str, wanted: &str) -> Value {
    let request = server.client().get(server.url("/api/v1/events?after=0")).bearer_auth(token);
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    let found = async {
        while let Some(chunk) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
            for block in text.split("\n\n") {
                let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                if line("event:").map(str::trim) == Some(wanted) {
                    return serde_json::from_str(line("data:").unwrap()).unwrap_or_default();
                }
            }
        }
        Value::Null
    };
    tokio::time::timeout(Duration::from_mins(1), found).await.unwrap()
}

#[tokio::test]
async fn a_flag_is_on_for_a_developer_and_takes_itself_back_when_it_hurts() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
    let backend = Backend::start().await;
    backend.answer(200, "the new checkout");
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;

    server.post("/api/v1/flags", &developer, &checkout()).await.expect_status(201);
    let evaluate = "/api/v1/flags/new-checkout/evaluate";
    let seen = server.get(evaluate, &developer).await.expect_status(200);
    assert_eq!((&seen.json["value"], &seen.json["reason"]), (&json!(true), &json!("TARGETING_MATCH")));
    assert_eq!(server.get(evaluate, &customer).await.expect_status(200).json["value"], json!(false));

    let route = json!({"pattern": "/checkout", "backend_url": backend.url(), "flag_key": "new-checkout"});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let answer = server.get("/gateway/checkout", &developer).await.expect_status(200);
    assert_eq!(answer.text, "the new checkout");
    let refused = server.get("/gateway/checkout", &customer).await.expect_status(404);
    assert!(refused.json["error"].is_string(), "{}", refused.text);
    let received = backend.take();
    assert_eq!(received.len(), 1, "production traffic never reaches the new code");
    assert_eq!(received[0].header("authorization"), None, "the caller's token stays here");
    assert_eq!(received[0].header("x-flagbase-flag"), Some("new-checkout"));

    let error = json!({"flag_key": "new-checkout", "variant": "true", "event_type": "error", "value": 1});
    server.post("/api/v1/metrics", &customer, &error).await.expect_status(403);
    for _ in 0..11 {
        server.post("/api/v1/metrics", &developer, &error).await.expect_status(204);
    }
    let told = event(&server, &developer, "flagbase.flag.disabled").await;
    assert_eq!((&told["specversion"], &told["subject"]), (&json!("1.0"), &json!("new-checkout")));
    assert_eq!(told["data"]["actor"]["kind"], json!("guard"));
    let seen = server.get(evaluate, &developer).await.expect_status(200);
    assert_eq!((&seen.json["value"], &seen.json["reason"]), (&json!(false), &json!("DISABLED")));
    server.get("/gateway/checkout", &developer).await.expect_status(404);

    let history = server.get("/api/v1/flags/new-checkout/history", &developer).await.expect_status(200);
    assert_eq!(history.json[0]["verb"], json!("disabled"));
    assert!(history.json[0]["detail"].to_string().contains("11"), "the evidence is kept: {}", history.text);
}

#[tokio::test]
async fn an_override_is_for_one_session_only_and_ends_with_it() {
    let server = TestServer::start(PROGRAM).await;
    let (old, new) = (Backend::start().await, Backend::start().await);
    old.answer(200, "old");
    new.answer(200, "new");
    let developer = server.join("dev@example.com", "developer").await;
    let elsewhere = server.login("dev@example.com").await;
    let customer = server.join("customer@example.com", "user").await;

    let flag = json!({"key": "shop", "enabled": true, "default_value": false});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    let route = json!({
        "path": "/shop", "match": "prefix", "flag_key": "shop",
        "variants": {"true": [new.url()], "false": [old.url()]}
    });
    let made = server.post("/api/v1/gateway/routes", &developer, &route).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let set = json!({"variant": "true"});
    server.put("/api/v1/flags/shop/override", &developer, &set).await.expect_status(200);
    assert_eq!(server.get("/gateway/shop/cart", &developer).await.text, "new");
    assert_eq!(
        server.get("/gateway/shop/cart", &elsewhere).await.text,
        "old",
        "the same person, another session"
    );
    assert_eq!(server.get("/gateway/shop/cart", &customer).await.text, "old");
    let seen = server.get("/api/v1/flags/shop/evaluate?explain=1", &developer).await.expect_status(200);
    assert_eq!(seen.json["reason"], json!("OVERRIDE"));
    assert_eq!(server.get("/api/v1/overrides", &developer).await.json[0]["flag"], json!("shop"));
    server.put("/api/v1/flags/shop/override", &customer, &set).await.expect_status(403);

    let sessions = server.get("/auth/sessions", &elsewhere).await.expect_status(200).json;
    let mine = sessions.as_array().unwrap().iter().find(|session| session["current"] == json!(true)).unwrap();
    let path = format!("/api/v1/flags/shop/override?session={}", mine["id"].as_str().unwrap());
    server.put(&path, &customer, &set).await.expect_status(403);
    server.put(&path, &developer, &set).await.expect_status(200);
    assert_eq!(
        server.get("/gateway/shop/cart", &elsewhere).await.text,
        "new",
        "another session of one's own"
    );
    server.delete(&path, &elsewhere).await.expect_status(204);

    server.delete("/api/v1/flags/shop/override", &developer).await.expect_status(204);
    assert_eq!(server.get("/gateway/shop/cart", &developer).await.text, "old");

    server.put("/api/v1/flags/shop/override", &developer, &set).await.expect_status(200);
    server.send(reqwest::Method::POST, "/auth/logout", Some(&developer), None).await.expect_status(204);
    server.get("/api/v1/overrides", &developer).await.expect_status(401);
    let again = server.login("dev@example.com").await;
    assert_eq!(server.get("/gateway/shop/cart", &again).await.text, "old");
}

#[tokio::test]
async fn a_weighted_flag_is_a_simple_experiment() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let flag = json!({
        "key": "colour", "enabled": true, "type": "string",
        "variants": [{"name": "red", "value": "#f00"}, {"name": "blue", "value": "#00f"}],
        "default_variant": "red",
        "rollout": {"weights": [{"variant": "red", "weight": 50}, {"variant": "blue", "weight": 50}]}
    });
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    let mut drawn = std::collections::BTreeSet::new();
    for person in 0..12 {
        let email = format!("user{person}@example.com");
        let token = server.join(&email, "user").await;
        let first = server.get("/api/v1/flags/colour/evaluate", &token).await.expect_status(200);
        let second = server.get("/api/v1/flags/colour/evaluate", &token).await.expect_status(200);
        assert_eq!(first.json["variant"], second.json["variant"], "whoever comes back gets the same");
        assert_eq!(first.json["reason"], json!("SPLIT"));
        drawn.insert(first.json["variant"].to_string());
        let unit = json!({"flag_key": "colour", "variant": first.json["variant"], "event_type": "conversion",
            "value": 2.5, "unit": email});
        server.post("/api/v1/metrics", &developer, &unit).await.expect_status(204);
    }
    assert_eq!(drawn.len(), 2, "both variants are drawn");
    let metrics = server.get("/api/v1/flags/colour/metrics", &developer).await.expect_status(200);
    let variants = metrics.json["variants"].as_array().unwrap();
    let exposures: f64 = variants.iter().filter_map(|variant| variant["exposures"].as_f64()).sum();
    let conversions: f64 =
        variants.iter().filter_map(|variant| variant["events"]["conversion"]["count"].as_f64()).sum();
    assert!((exposures - 24.0).abs() < 0.5, "{}", metrics.text);
    assert!((conversions - 12.0).abs() < 0.5, "{}", metrics.text);
}
