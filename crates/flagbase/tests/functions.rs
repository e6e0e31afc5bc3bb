//! Functions through the real binary: deployed by one call, run behind a flag, taken back by a guard, held to their
//! limits, and whole after a crash.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "functions/adversaries.rs"]
mod adversaries;
#[path = "functions/commands.rs"]
mod commands;
#[path = "functions/crash.rs"]
mod crash;
#[path = "functions/drafts.rs"]
mod drafts;
#[path = "functions/experiments.rs"]
mod experiments;
#[path = "functions/guests.rs"]
mod guests;
#[path = "functions/host.rs"]
mod host;
#[path = "functions/life.rs"]
mod life;
#[path = "functions/limits.rs"]
mod limits;
#[path = "functions/manual.rs"]
mod manual;
#[cfg(target_os = "linux")]
#[path = "functions/many.rs"]
mod many;
#[path = "functions/messages.rs"]
mod messages;
#[path = "functions/neighbours.rs"]
mod neighbours;
#[path = "functions/requests.rs"]
mod requests;
#[path = "functions/secrets.rs"]
mod secrets;
#[path = "functions/shapes.rs"]
mod shapes;
#[path = "functions/terminal.rs"]
mod terminal;
#[path = "functions/traces.rs"]
mod traces;
#[path = "functions/triggers.rs"]
mod triggers;
#[path = "functions/walk.rs"]
mod walk;

use std::{collections::BTreeSet, future::Future, time::Duration};

use flagbase_testkit::server::{Reply, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A bound for hopeless cases, not a measurement: so many looks, a tenth of a second apart.
const LOOKS: u32 = 1200;

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

/// Deploys `code` as the next version of `name`.
async fn deploy(server: &TestServer, token: &str, name: &str, code: Vec<u8>) -> Reply {
    deploy_with(server, token, name, ("", code)).await
}

/// The same with a query, such as `promote=false`.
async fn deploy_with(server: &TestServer, token: &str, name: &str, (query, code): (&str, Vec<u8>)) -> Reply {
    let url = server.url(&format!("/api/v1/functions/{name}/versions?{query}"));
    let request = server.client().request(Method::POST, url).bearer_auth(token).body(code);
    server.reply(request).await
}

/// Calls `name` as somebody without a token.
async fn call(server: &TestServer, name: &str) -> Reply {
    server.send(Method::GET, &format!("/functions/{name}"), None, None).await
}

/// Changes settings of a function.
async fn set(server: &TestServer, token: &str, name: &str, settings: Value) -> Reply {
    server.patch(&format!("/api/v1/functions/{name}"), token, &settings).await
}

/// The names of files below the place of code.
fn kept_code(server: &TestServer) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut places = vec![server.directory().join("data/storage")];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                places.push(path);
            } else if path.to_string_lossy().contains("functions") {
                let name = entry.file_name().to_string_lossy().into_owned();
                names.insert(name.trim_end_matches(".blob").to_owned());
            }
        }
    }
    names
}

#[tokio::test]
async fn one_call_deploys_and_the_next_request_runs_it() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let made =
        deploy_with(&server, &developer, "hello", ("file=hello.wasm&note=first", guests::says(200, "one")));
    let made = made.await.expect_status(201);
    assert_eq!(
        (&made.json["number"], &made.json["file"]),
        (&json!(1), &json!("hello.wasm")),
        "{}",
        made.text
    );
    let answer = call(&server, "hello").await.expect_status(200);
    assert_eq!(answer.text, "one");
    assert_eq!(answer.header("x-flagbase-function"), Some("hello@1"));

    deploy(&server, &developer, "hello", guests::says(200, "two")).await.expect_status(201);
    assert_eq!(call(&server, "hello").await.text, "two");
    let back =
        server.post("/api/v1/functions/hello/rollback", &developer, &json!({})).await.expect_status(200);
    assert_eq!(back.json["current"], json!(1), "{}", back.text);
    assert_eq!(call(&server, "hello").await.text, "one");
    let promoted = server.post("/api/v1/functions/hello/promote", &developer, &json!({"version": 2})).await;
    assert_eq!(promoted.expect_status(200).json["current"], json!(2));
    assert_eq!(call(&server, "hello").await.text, "two");

    let versions = server.get("/api/v1/functions/hello/versions", &developer).await.expect_status(200);
    assert_eq!(versions.json.as_array().unwrap().len(), 2, "{}", versions.text);
    let path = "/api/v1/functions/hello/versions/1/code";
    let code = server.reply(server.client().get(server.url(path)).bearer_auth(&developer)).await;
    assert_eq!(code.expect_status(200).header("content-type"), Some("application/octet-stream"));
    server.delete("/api/v1/functions/hello/versions/2", &developer).await.expect_status(409);
    server.delete("/api/v1/functions/hello/versions/1", &developer).await.expect_status(204);
    server.delete("/api/v1/functions/hello", &developer).await.expect_status(204);
    call(&server, "hello").await.expect_status(404);
}

#[tokio::test]
async fn a_deploy_tells_how_far_it_is_when_asked() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let url = server.url("/api/v1/functions/hello/versions");
    let deploy = |code: Vec<u8>| {
        let request = server.client().post(&url).bearer_auth(&developer);
        server.reply(request.header("accept", "application/x-ndjson").body(code))
    };
    let told = deploy(guests::says(200, "hi")).await.expect_status(200);
    assert_eq!(told.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = told.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, steps) = lines.split_last().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step["step"].is_string()), "{}", told.text);
    assert_eq!((&last["version"]["number"], &last["function"]["current"]), (&json!(1), &json!(1)));
    let refused = deploy(b"no code at all".to_vec()).await.expect_status(200);
    let last: Value = serde_json::from_str(refused.text.lines().last().unwrap()).unwrap();
    assert_eq!(last["problem"]["status"], json!(422), "{}", refused.text);
    assert_eq!(call(&server, "hello").await.expect_status(200).text, "hi", "the old version is whole");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let mut server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "one")).await.expect_status(201);
    let unpromoted = ("promote=false", guests::says(200, "two"));
    deploy_with(&server, &developer, "hello", unpromoted).await.expect_status(201);
    let before = server.get("/api/v1/functions/hello", &developer).await.expect_status(200).json;
    server.restart().await;
    assert_eq!(server.get("/api/v1/functions/hello", &developer).await.expect_status(200).json, before);
    assert_eq!(call(&server, "hello").await.expect_status(200).text, "one");
    let both = json!({"version": 2, "request": {"method": "GET", "target": "/"}});
    let second = server.post("/api/v1/functions/hello/invoke", &developer, &both).await.expect_status(200);
    assert_eq!(second.json["body"], json!("two"), "{}", second.text);
}
