//! What was acknowledged is there after a crash, and a stop in order loses nothing.

use std::{collections::BTreeMap, time::Duration};

use flagbase_testkit::server::TestServer;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");
const ROUNDS: usize = 12;

#[tokio::test]
async fn no_acknowledged_edit_is_lost_however_often_the_server_is_killed() {
    let mut server = TestServer::start(PROGRAM).await;
    let mut developer = server.join("dev@example.com", "developer").await;
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut events = 0_u64;
    let flag = json!({"key": "counted", "enabled": true, "default_value": true});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);

    for round in 0..ROUNDS {
        let target = server.pid();
        let until = Duration::from_millis(40 + 35 * (round as u64 % 5));
        let killer = tokio::spawn(async move {
            tokio::time::sleep(until).await;
            drop(std::process::Command::new("kill").args(["-9", &target.to_string()]).status());
        });
        for edit in 0.. {
            let key = format!("flag-{}", edit % 7);
            let body = json!({"enabled": edit % 2 == 0, "default_value": true, "description": format!("{round}/{edit}")});
            let request = server.client().put(server.url(&format!("/api/v1/flags/{key}"))).bearer_auth(&developer);
            let Ok(answer) = request.json(&body).send().await else { break };
            assert!(answer.status().is_success(), "{}", answer.status());
            let Ok(stored) = answer.json::<serde_json::Value>().await else { break };
            acknowledged.insert(key, stored["revision"].as_u64().unwrap());
            let event = json!({"flag_key": "counted", "variant": "true", "event_type": "seen", "event_id": format!("{round}-{edit}")});
            let request = server.client().post(server.url("/api/v1/metrics")).bearer_auth(&developer);
            let Ok(answer) = request.json(&event).send().await else { break };
            assert_eq!(answer.status(), 204);
            events += 1;
        }
        killer.await.unwrap();
        server.restart().await;
        developer = server.login("dev@example.com").await;
        for (key, revision) in &acknowledged {
            let stored = server.get(&format!("/api/v1/flags/{key}"), &developer).await.expect_status(200);
            assert!(stored.json["revision"].as_u64().unwrap() >= *revision, "{key} went back in round {round}");
        }
    }
    assert!(acknowledged.len() == 7 && events > ROUNDS as u64, "the test did something");
    let metrics = server.get("/api/v1/flags/counted/metrics", &developer).await.expect_status(200);
    let counted: f64 = metrics.json["variants"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|variant| variant["events"]["seen"]["count"].as_f64())
        .sum();
    // A write that was not acknowledged may have happened all the same, once per round at most.
    assert!(counted >= events as f64 && counted <= (events + ROUNDS as u64) as f64, "{counted} of {events}");
}

#[tokio::test]
async fn a_stop_in_order_keeps_what_was_measured_and_the_secret() {
    let mut server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let flag = json!({"key": "f", "enabled": true, "default_value": true});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    for _ in 0..5 {
        server.get("/api/v1/flags/f/evaluate", &developer).await.expect_status(200);
    }
    server.terminate();
    assert!(server.wait().await.success(), "a stop that was asked for is a success");
    server.restart().await;
    let metrics = server.get("/api/v1/flags/f/metrics", &developer).await;
    assert_eq!(metrics.status, 200, "the token is still good: {}", metrics.text);
    assert_eq!(metrics.json["variants"][0]["exposures"], json!(5), "{}", metrics.text);
}
