//! How a server begins and ends, through the real binary.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flagbase_testkit::backend::Backend;
use flagbase_testkit::server::{PASSWORD, TestServer};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A start that must fail: its exit code and what it said.
fn refused(directory: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM)
        .arg("start")
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("FLAGBASE_SERVER__HOST", "127.0.0.1")
        .env("FLAGBASE_SERVER__PORT", "0")
        .env("FLAGBASE_EVENTS__NATS_PORT", "0")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.stdout.is_empty(), "standard output is for data");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The log lines that are JSON, by their message.
fn logged(server: &TestServer, message: &str) -> Option<Value> {
    let output = server.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines = lines.into_iter();
    lines.find(|line| line["message"] == message)
}

#[tokio::test]
async fn a_start_says_where_everything_is_and_how_to_make_an_administrator() {
    let server = TestServer::start(PROGRAM).await;
    let said = logged(&server, "flagbase is running").unwrap();
    let data = server.directory().join("data").canonicalize().unwrap();
    let database = server.directory().join("flagbase.db").canonicalize().unwrap();
    let canonical = |name: &str| Path::new(said[name].as_str().unwrap()).canonicalize().unwrap();
    assert_eq!((canonical("data_dir"), canonical("database")), (data.clone(), database));
    assert_eq!(said["url"].as_str().unwrap(), server.url(""));
    let token = std::fs::read_to_string(data.join("setup-token")).unwrap();
    assert!(!token.trim().is_empty());
    assert!(!server.output().contains(token.trim()), "a log is no place for a secret");
    assert_eq!(mode(&data), 0o700);
    assert_eq!((mode(&data.join("setup-token")), mode(&data.join("secret.key"))), (0o600, 0o600));
}

#[tokio::test]
async fn a_gateway_for_an_environment_nobody_has_made_is_warned_of() {
    let variables = [("FLAGBASE_GATEWAY__ENVIRONMENT", "nowhere")];
    let server = TestServer::start_with(PROGRAM, &variables).await;
    assert!(server.output().contains("names an environment that does not exist"), "{}", server.output());
    let made = TestServer::start(PROGRAM).await;
    assert!(!made.output().contains("names an environment that does not exist"), "{}", made.output());
}

#[tokio::test]
async fn a_person_is_greeted_in_words() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_LOG__FORMAT", "text")]).await;
    let output = server.output();
    for part in ["is running", &server.url(""), "Setup token", "flagbase admin create", "Ctrl-C"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    assert!(!output.contains('\u{1b}'), "no colours outside a terminal: {output}");
}

#[tokio::test]
async fn sessions_survive_a_restart_because_the_generated_secret_is_kept() {
    let mut server = TestServer::start(PROGRAM).await;
    let token = server.join("dev@example.com", "developer").await;
    server.restart().await;
    drop(server.get("/auth/me", &token).await.expect_status(200));
}

#[tokio::test]
async fn a_container_names_its_administrator_by_the_environment() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let variables = [
        ("FLAGBASE_ADMIN_EMAIL", "admin@example.com"),
        ("FLAGBASE_ADMIN_PASSWORD_FILE", file.to_str().unwrap()),
    ];
    let mut server = TestServer::start_with(PROGRAM, &variables).await;
    let token = server.login("admin@example.com").await;
    assert_eq!(server.get("/auth/me", &token).await.json["role"], "admin");
    assert!(!server.directory().join("data/setup-token").exists());
    server.restart().await;
    drop(server.login("admin@example.com").await);
}

#[tokio::test]
async fn a_stop_finishes_the_request_under_way_and_accepts_no_more() {
    let mut server = TestServer::start(PROGRAM).await;
    let backend = Backend::start().await;
    backend.answer(200, "in peace");
    backend.delay(Duration::from_secs(2));
    let token = server.join("dev@example.com", "developer").await;
    let route = json!({"pattern": "/slow", "backend_url": backend.url()});
    drop(server.post("/api/v1/gateway/routes", &token, &route).await.expect_status(201));
    let (slow, ()) = tokio::join!(server.get("/gateway/slow", &token), async {
        while backend.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.terminate();
    });
    assert_eq!((slow.status, slow.text.as_str()), (200, "in peace"));
    assert_eq!(server.wait().await.code(), Some(0));
    assert!(logged(&server, "stopped").is_some(), "{}", server.output());
    assert!(server.client().get(server.url("/health")).send().await.is_err());
}

#[tokio::test]
async fn open_streams_do_not_hold_a_stop_up() {
    let mut server = TestServer::start_with(PROGRAM, &[("FLAGBASE_SERVER__SHUTDOWN_TIMEOUT", "1h")]).await;
    let token = server.join("dev@example.com", "developer").await;
    let request = server.client().get(server.url("/api/v1/events?after=0")).bearer_auth(&token);
    let mut stream = request.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    server.terminate();
    assert_eq!(server.wait().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut server = TestServer::start_with(PROGRAM, &[("FLAGBASE_SERVER__SHUTDOWN_TIMEOUT", "1h")]).await;
    let backend = Backend::start().await;
    backend.delay(Duration::from_hours(1));
    let token = server.join("dev@example.com", "developer").await;
    let route = json!({"pattern": "/never", "backend_url": backend.url()});
    drop(server.post("/api/v1/gateway/routes", &token, &route).await.expect_status(201));
    let never = server.client().get(server.url("/gateway/never")).bearer_auth(&token).send();
    let (cut, ()) = tokio::join!(never, async {
        while backend.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.terminate();
        while logged(&server, "stopping: finishing requests under way").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.terminate();
    });
    assert!(cut.is_err(), "the request was cut off");
    assert_eq!(server.wait().await.code(), Some(130));
}

#[test]
fn a_port_in_use_is_said_in_one_line_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, said) = refused(place.path(), &[("FLAGBASE_SERVER__PORT", &port)]);
    assert_eq!(code, Some(1));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains(&port) && said.contains("--port"), "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_is_said_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("data"), "").unwrap();
    let (code, said) = refused(place.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("server.data_dir"), "{said}");
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("flagbase.db");
    std::fs::write(&path, "a letter to somebody, long enough to be read as a header of a file").unwrap();
    let (code, said) = refused(place.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is not a flagbase database"), "{said}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("a letter"));
}

#[tokio::test]
async fn two_servers_never_share_a_database() {
    let server = TestServer::start(PROGRAM).await;
    let (code, said) = refused(server.directory(), &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("used by another process"), "{said}");
}

#[tokio::test]
async fn a_backup_of_a_running_server_brings_everything_back() {
    let mut server = TestServer::start(PROGRAM).await;
    let token = server.join("dev@example.com", "developer").await;
    drop(server.post("/api/v1/flags", &token, &json!({"key": "kept"})).await.expect_status(201));
    let run =
        |server: &TestServer, arguments: &[&str]| server.command(arguments).output().unwrap().status.code();
    assert_eq!(run(&server, &["backup", "copy.db"]), Some(0));
    drop(server.delete("/api/v1/flags/kept", &token).await.expect_status(204));
    assert_eq!(run(&server, &["restore", "copy.db", "--yes"]), Some(1), "not under a running server");
    server.terminate();
    assert_eq!(server.wait().await.code(), Some(0));
    assert_eq!(run(&server, &["restore", "copy.db"]), Some(2), "not without being told");
    assert_eq!(run(&server, &["restore", "copy.db", "--yes"]), Some(0));
    server.restart().await;
    drop(server.get("/api/v1/flags/kept", &token).await.expect_status(200));
}
