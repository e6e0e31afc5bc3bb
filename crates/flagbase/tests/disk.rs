//! A disk that takes no more: reading and deciding go on, writing says so and resumes when there is room.
//!
//! The limit on file sizes of the process stands for the full disk, because it needs no privilege and can be set
//! and lifted while the server runs. The store is tested with the real error of a full disk, too.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use flagbase_testkit::{
    backend::Backend,
    server::{PASSWORD, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};

/// The binary, told to get an error instead of a signal for what does not fit. Written once, before anything is started: a
/// file that is open for writing in a process just forked cannot be run.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flagbase");
        let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_flagbase"));
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (directory, path)
    });
    path
}

/// From here on no file of the server grows, or all may again.
fn fill(server: &TestServer, full: bool) {
    let limit = if full { "--fsize=1:" } else { "--fsize=unlimited:" };
    let set = Command::new("prlimit").args(["--pid", &server.pid().to_string(), limit]).status();
    assert!(set.unwrap().success());
}

fn on(key: &str) -> Value {
    json!({"key": key, "enabled": true, "default_value": true})
}

#[tokio::test]
async fn on_a_full_disk_reading_and_deciding_go_on_and_writing_resumes_when_there_is_room() {
    let server = TestServer::start_with(program(), &[("FLAGBASE_METRICS__FLUSH_INTERVAL", "1s")]).await;
    let backend = Backend::start().await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let route = json!({"pattern": "/x", "backend_url": backend.url(), "flag_key": "f"});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let before = server.get("/api/v1/flags", &developer).await.json;

    fill(&server, true);
    let event = json!({"flag_key": "f", "variant": "true", "event_type": "seen"});
    let account = json!({"email": "new@example.com", "password": PASSWORD});
    for round in 0..3 {
        for (method, path, body) in [
            (Method::POST, "/api/v1/flags", on("g")),
            (Method::PUT, "/api/v1/flags/f", json!({"enabled": false, "default_value": true})),
            (Method::DELETE, "/api/v1/flags/f", Value::Null),
            (Method::POST, "/api/v1/metrics", event.clone()),
            (Method::POST, "/auth/register", account.clone()),
            (Method::POST, "/auth/login", json!({"email": "dev@example.com", "password": PASSWORD})),
        ] {
            let body = (!body.is_null()).then_some(&body);
            let reply = server.send(method.clone(), path, Some(&developer), body).await;
            assert_eq!(
                (reply.status, &reply.json["code"]),
                (503, &json!("store_unavailable")),
                "{method} {path}: {}",
                reply.text
            );
            assert_eq!(reply.header("retry-after"), Some("5"), "{method} {path}");
            let text = reply.text.to_lowercase();
            assert!(
                !text.contains("sqlite") && !text.contains(".db"),
                "nothing of what is inside: {}",
                reply.text
            );
        }
        assert_eq!(
            server.get("/api/v1/flags", &developer).await.expect_status(200).json,
            before,
            "round {round}"
        );
        let seen = server.get("/api/v1/flags/f/evaluate", &developer).await.expect_status(200);
        assert_eq!(seen.json["value"], json!(true));
        assert_eq!(server.get("/gateway/x", &developer).await.expect_status(200).text, "ok");
        // Long enough for a flush of counts to fail meanwhile.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(server.get("/health/live", &developer).await.status, 200);

    fill(&server, false);
    server.post("/api/v1/flags", &developer, &on("g")).await.expect_status(201);
    server.post("/api/v1/metrics", &developer, &event).await.expect_status(204);
    let metrics = server.get("/api/v1/flags/f/metrics", &developer).await.expect_status(200);
    let variant = &metrics.json["variants"][0];
    assert_eq!(variant["events"]["seen"]["count"], json!(1), "only what was acknowledged: {}", metrics.text);
    assert_eq!(variant["requests"], json!(3), "counts waited in memory: {}", metrics.text);
    assert_eq!(server.register("new@example.com", None).await.status, 201, "no half account was left");
}

#[tokio::test]
async fn a_server_that_died_on_a_full_disk_comes_back_with_all_it_acknowledged() {
    let mut server = TestServer::start(program()).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    fill(&server, true);
    server.post("/api/v1/flags", &developer, &on("g")).await.expect_status(503);
    server.kill();
    server.restart().await;
    server.get("/api/v1/flags/f", &developer).await.expect_status(200);
    server.get("/api/v1/flags/g", &developer).await.expect_status(404);
    server.post("/api/v1/flags", &developer, &on("g")).await.expect_status(201);

    fill(&server, true);
    server.put("/api/v1/flags/f", &developer, &on("f")).await.expect_status(503);
    server.terminate();
    server.wait().await;
    server.restart().await;
    server.get("/api/v1/flags/g", &developer).await.expect_status(200);
    server.put("/api/v1/flags/f", &developer, &on("f")).await.expect_status(200);
}
