//! What was acknowledged is there after a crash, and a stop in order loses nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::{collections::BTreeMap, process::Command, time::Duration};

use flagbase_testkit::server::TestServer;
use futures_util::future::join_all;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");
const ROUNDS: u64 = 12;
const WRITERS: [&str; 3] = ["a", "b", "c"];

/// What a writer was told is done.
#[derive(Default)]
struct Acknowledged {
    /// The last edit of each flag: its revision and description.
    edits: BTreeMap<String, (u64, Value)>,
    events: u64,
}

/// Edits flags and records events until the server is gone.
async fn write(server: &TestServer, token: &str, name: &str) -> Acknowledged {
    let mut done = Acknowledged::default();
    for edit in 0_u64.. {
        let key = format!("{}-{}", &name[..1], edit % 5);
        let description = json!(format!("{name}/{edit}"));
        let body = json!({"enabled": edit % 2 == 0, "default_value": true, "description": description});
        let request = server.client().put(server.url(&format!("/api/v1/flags/{key}"))).bearer_auth(token);
        let Ok(answer) = request.json(&body).send().await else { break };
        assert!(answer.status().is_success(), "{}", answer.status());
        let Ok(stored) = answer.json::<Value>().await else { break };
        done.edits.insert(key, (stored["revision"].as_u64().unwrap(), description));
        let event = json!({"flag_key": "counted", "variant": "true", "event_type": "seen", "event_id": format!("{name}-{edit}")});
        let request = server.client().post(server.url("/api/v1/metrics")).bearer_auth(token);
        let Ok(answer) = request.json(&event).send().await else { break };
        assert_eq!(answer.status(), 204);
        done.events += 1;
    }
    done
}

#[tokio::test]
async fn no_acknowledged_edit_is_lost_however_often_the_server_is_killed() {
    let mut server = TestServer::start(PROGRAM).await;
    let mut developer = server.join("dev@example.com", "developer").await;
    let mut edits: BTreeMap<String, (u64, Value)> = BTreeMap::new();
    let mut events = 0;
    let flag = json!({"key": "counted", "enabled": true, "default_value": true});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);

    for round in 0..ROUNDS {
        let target = server.pid().to_string();
        let killer = async {
            tokio::time::sleep(Duration::from_millis(40 + 35 * (round % 5))).await;
            assert!(Command::new("kill").args(["-9", &target]).status().unwrap().success());
        };
        let names = WRITERS.map(|writer| format!("{writer}{round}"));
        let writers = names.iter().map(|name| write(&server, &developer, name));
        let ((), done) = tokio::join!(killer, join_all(writers));
        for acknowledged in done {
            edits.extend(acknowledged.edits);
            events += acknowledged.events;
        }
        server.restart().await;
        developer = server.login("dev@example.com").await;
        for (key, (revision, description)) in &edits {
            let stored =
                server.get(&format!("/api/v1/flags/{key}"), &developer).await.expect_status(200).json;
            let kept = stored["revision"].as_u64().unwrap();
            assert!(kept >= *revision, "{key} went back in round {round}");
            assert!(
                kept > *revision || stored["description"] == *description,
                "{key} in round {round}: {stored}"
            );
        }
    }
    assert!(edits.len() > 5 && events > ROUNDS, "the test did something: {edits:?}, {events}");
    let metrics = server.get("/api/v1/flags/counted/metrics", &developer).await.expect_status(200);
    let counted = metrics.json["variants"][0]["events"]["seen"]["count"].as_u64().unwrap();
    // A write that was not acknowledged may have happened all the same, once per round and writer at most.
    let most = events + ROUNDS * WRITERS.len() as u64;
    assert!((events..=most).contains(&counted), "{counted} of {events}");
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
