//! One test per fault of the first implementation, named after what must hold instead.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "faults/access.rs"]
mod access;
#[path = "faults/blocking.rs"]
mod blocking;
#[path = "faults/correctness.rs"]
mod correctness;
#[path = "support/forge.rs"]
mod forge;
#[path = "faults/security.rs"]
mod security;

use std::time::Duration;

use flagbase_testkit::server::TestServer;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// What makes the guard look often enough for a test.
const EAGER_GUARD: (&str, &str) = ("FLAGBASE_GUARD__INTERVAL", "1s");

/// A boolean flag that is on and true for everybody.
fn on(key: &str) -> Value {
    json!({"key": key, "enabled": true, "default_value": true})
}

fn error_of(key: &str) -> Value {
    json!({"flag_key": key, "variant": "true", "event_type": "error", "value": 1})
}

/// Waits until `look` finds something; gives up after a minute.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!("{what} did not happen within a minute")
}

async fn is_enabled(server: &TestServer, token: &str, key: &str) -> bool {
    let flag = server.get(&format!("/api/v1/flags/{key}"), token).await.expect_status(200);
    flag.json["enabled"].as_bool().unwrap()
}

/// Waits until the guard has looked at all flags `times` times more, whatever it found.
async fn guard_looks(server: &TestServer, times: f64) {
    let looks = async || {
        let text = server.client().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with("flagbase_guard_evaluations_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let before = looks().await;
    eventually("another look of the guard", async || (looks().await >= before + times).then_some(())).await;
}
