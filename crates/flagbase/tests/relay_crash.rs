//! From the commit to another program's hands: whatever is killed, and whenever, nothing is lost on the way and nothing
//! overtakes anything. The bus is an external NATS server that records; it runs in this process.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::{process::Command, time::Duration};

use flagbase_nats::{Options, Server, Subscription};
use flagbase_testkit::server::{TestServer, free_port};
use futures_util::future::join_all;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");
const ROUNDS: u64 = 20;

/// An external server, and everything that Flagbase says on it, each event once.
struct Recorder {
    server: Server,
    heard: Subscription,
}

impl Recorder {
    async fn on(port: u16) -> Self {
        let server = Server::start(Options { port, ..Options::default() }).await.unwrap();
        let heard = server.subscribe("flagbase.*.*", None, 1_000_000).unwrap();
        Self { server, heard }
    }

    /// Listens up to the change `last`; returns what came, with the id of each.
    async fn until(&mut self, last: u64) -> Vec<(u64, String)> {
        let mut came = Vec::new();
        let listening = async {
            while came.last().is_none_or(|(revision, _)| *revision < last) {
                let message = self.heard.next().await.unwrap();
                let event: Value = serde_json::from_slice(&message.payload).unwrap();
                let id = event["id"].as_str().unwrap().to_owned();
                came.push((event["flagbaseseq"].as_u64().unwrap(), id));
            }
        };
        assert!(tokio::time::timeout(Duration::from_mins(1), listening).await.is_ok(), "{came:?}");
        came
    }
}

/// The last change, and the ids of all, as the change log has them.
async fn log(server: &TestServer, token: &str) -> Vec<(u64, String)> {
    let mut rows: Vec<(u64, String)> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |(revision, _)| *revision);
        let page = server.get(&format!("/api/v1/changes?after={after}&limit=1000"), token).await;
        let page = page.expect_status(200).json;
        let page = page.as_array().unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page.iter().map(|change| {
            (change["revision"].as_u64().unwrap(), change["event"].as_str().unwrap().to_owned())
        }));
    }
}

/// Every row of the log was heard, with its id, and none before the one in front of it.
fn assert_whole(heard: &[(u64, String)], log: &[(u64, String)]) {
    let mut last = 0;
    for (revision, id) in heard {
        assert!(*revision <= last + 1, "{revision} came after {last}");
        let (logged, event) = &log[usize::try_from(*revision).unwrap() - 1];
        assert_eq!((logged, event), (revision, id));
        last = last.max(*revision);
    }
    assert_eq!(last, log.last().unwrap().0);
}

/// Edits a flag again and again until the server is gone.
async fn edit(server: &TestServer, token: &str, key: &str) {
    for n in 0_u64.. {
        let body = json!({"enabled": n % 2 == 0, "default_value": true, "description": n.to_string()});
        let request = server.client().put(server.url(&format!("/api/v1/flags/{key}"))).bearer_auth(token);
        if !request.json(&body).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_between_commit_and_bus_however_often_the_server_is_killed() {
    let port = free_port();
    let mut recorder = Recorder::on(port).await;
    let url = format!("nats://127.0.0.1:{port}?timeout=2s");
    let mut server = TestServer::start_with(PROGRAM, &[("FLAGBASE_EVENTS__URL", &url)]).await;
    let admin = server.administrator().await;
    for round in 0..ROUNDS {
        let target = server.pid().to_string();
        let killer = async {
            // Here and there within a batch, its acknowledgement, the note of the place, and the start.
            tokio::time::sleep(Duration::from_millis(10 + 60 * (round % 8))).await;
            assert!(Command::new("kill").args(["-9", &target]).status().unwrap().success());
        };
        let writers = ["a", "b", "c", "d"].map(|key| edit(&server, &admin, key));
        tokio::join!(killer, join_all(writers));
        if round % 5 == 4 {
            // A start that does not get far.
            let mut short = server.command(&["start"]).stdout(std::process::Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(100 + 40 * round)).await;
            short.kill().unwrap();
            short.wait().unwrap();
        }
        server.restart().await;
    }
    let log = log(&server, &admin).await;
    assert!(log.len() > 60, "the test did something: {} changes", log.len());
    let heard = recorder.until(log.last().unwrap().0).await;
    assert_whole(&heard, &log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_is_away_gets_everything_in_order_once_it_is_back() {
    let port = free_port();
    let url = format!("nats://127.0.0.1:{port}?timeout=2s");
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_EVENTS__URL", &url)]).await;
    let admin = server.administrator().await;
    for n in 0..200 {
        let flag = json!({"key": format!("f{n}"), "enabled": true, "default_value": true});
        server.post("/api/v1/flags", &admin, &flag).await.expect_status(201);
    }
    let sink =
        |sinks: Value| sinks.as_array().unwrap().iter().find(|sink| sink["name"] == "nats").cloned().unwrap();
    let down = sink(server.get("/api/v1/events/sinks", &admin).await.expect_status(200).json);
    assert!(down["behind"].as_u64().unwrap() > 200 && down["error"].is_string(), "{down}");

    let mut recorder = Recorder::on(port).await;
    let log = log(&server, &admin).await;
    assert_whole(&recorder.until(log.last().unwrap().0).await, &log);
    loop {
        let up = sink(server.get("/api/v1/events/sinks", &admin).await.expect_status(200).json);
        if up["behind"] == json!(0) && up["error"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    recorder.server.shutdown().await;
}
