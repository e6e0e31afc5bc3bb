//! What an idle server holds: logging in must not make it larger for good.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use flagbase_testkit::server::{PASSWORD, TestServer};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// Less than the memory of one password hash.
const SLACK_KIB: u64 = 18 * 1024;

/// What the server has in memory, in KiB.
fn resident(server: &TestServer) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until the server holds no more than `most`; the bound on waiting is for hopeless cases.
async fn settles(server: &TestServer, most: u64) -> bool {
    for _ in 0..300 {
        if resident(server) <= most {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test]
async fn logins_leave_no_memory_behind() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_IAM__HASH_CONCURRENCY", "6")]).await;
    server.get("/health", "").await.expect_status(200);
    let before = resident(&server);
    server.register("alice@example.com", Some("developer")).await.expect_status(201);
    let credentials = json!({"email": "alice@example.com", "password": PASSWORD});
    let logins = (0..6).map(|_| server.post("/auth/login", "", &credentials));
    for reply in futures_util::future::join_all(logins).await {
        reply.expect_status(200);
    }
    let settled = settles(&server, before + SLACK_KIB).await;
    assert!(settled, "{before} KiB before, and {} KiB after it was left alone", resident(&server));
}
