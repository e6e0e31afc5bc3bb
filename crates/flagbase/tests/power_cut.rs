//! The real server on a disk that forgets, and on one that does not confirm what it was given.
#![cfg(target_os = "linux")]

#[path = "power_cut/objects.rs"]
mod objects;

use flagbase_testkit::{
    backend::Backend,
    disk::{Disk, Platter},
    server::TestServer,
};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

async fn start_on(disk: &Disk) -> TestServer {
    let environment = disk.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    TestServer::start_with(PROGRAM, &environment).await
}

fn flag(description: &str) -> Value {
    json!({"enabled": true, "default_value": true, "description": description})
}

#[tokio::test]
async fn what_the_server_answered_is_there_after_a_power_cut_in_which_nothing_else_survived() {
    let disk = Disk::new();
    let mut server = start_on(&disk).await;
    let developer = server.join("dev@example.com", "developer").await;
    let mut happened = 0;
    for edit in 0..20 {
        let (key, text) = (format!("/api/v1/flags/f{}", edit % 7), format!("edit {edit}"));
        let reply = server.put(&key, &developer, &flag(&text)).await;
        assert!(reply.status < 300, "{}", reply.text);
        let event = json!({"flag_key": "f0", "variant": "true", "event_type": "seen"});
        server.post("/api/v1/metrics", &developer, &event).await.expect_status(204);
        // The moment the answer had come: what the server does afterwards is lost.
        happened = disk.operations().len();
    }
    server.kill();
    let mut platter = Platter::default();
    for operation in disk.operations().iter().take(happened) {
        platter.apply(operation);
    }
    platter.cut(&mut || false, server.directory());
    server.restart().await;
    let developer = server.login("dev@example.com").await;
    for last in 13..20 {
        let stored = server.get(&format!("/api/v1/flags/f{}", last % 7), &developer).await.expect_status(200);
        assert_eq!(stored.json["description"], format!("edit {last}"));
    }
    let metrics = server.get("/api/v1/flags/f0/metrics", &developer).await.expect_status(200);
    assert_eq!(metrics.json.pointer("/variants/0/events/seen/count"), Some(&json!(20)), "{}", metrics.text);
}

#[tokio::test]
async fn an_edit_the_disk_does_not_confirm_is_refused_while_everything_else_goes_on() {
    let disk = Disk::new();
    let mut server = start_on(&disk).await;
    let developer = server.join("dev@example.com", "developer").await;
    let backend = Backend::start().await;
    server.put("/api/v1/flags/f", &developer, &flag("before")).await.expect_status(201);
    let route = json!({"pattern": "/x", "backend_url": backend.url(), "flag_key": "f"});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let before = server.get("/api/v1/flags", &developer).await.json;

    disk.break_syncs(true);
    for round in 0..3 {
        let refused = server.put("/api/v1/flags/f", &developer, &flag("lost")).await.expect_status(503);
        assert_eq!(
            (&refused.json["code"], refused.header("retry-after")),
            (&"store_unavailable".into(), Some("5")),
            "round {round}"
        );
        server.put("/api/v1/flags/g", &developer, &flag("lost")).await.expect_status(503);
        assert_eq!(server.get("/api/v1/flags", &developer).await.expect_status(200).json, before);
        server.get("/api/v1/flags/f/evaluate", &developer).await.expect_status(200);
        assert_eq!(server.get("/gateway/x", &developer).await.expect_status(200).text, "ok");
    }
    assert!(server.output().contains("did not confirm"), "the log says why: {}", server.output());
    disk.break_syncs(false);
    server.put("/api/v1/flags/f", &developer, &flag("lost")).await.expect_status(503);

    server.restart().await;
    let stored = server.get("/api/v1/flags/f", &developer).await.expect_status(200).json;
    assert!(["before", "lost"].contains(&stored["description"].as_str().unwrap()), "{stored}");
    server.put("/api/v1/flags/f", &developer, &flag("after")).await.expect_status(200);
    let history = server.get("/api/v1/flags/f/history", &developer).await.expect_status(200).json;
    assert_eq!(history.pointer("/0/revision"), stored_revision(&server, &developer).await.as_ref());
}

async fn stored_revision(server: &TestServer, token: &str) -> Option<Value> {
    server.get("/api/v1/flags/f", token).await.json.get("revision").cloned()
}
