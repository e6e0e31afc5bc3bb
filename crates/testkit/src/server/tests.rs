//! The server is played by a shell script, because the binary belongs to another crate.

use std::{os::unix::fs::PermissionsExt as _, sync::OnceLock};

use super::*;
use crate::Backend;

/// A program that does what the variable `SCRIPT` says. Written once, before anything is started: a file that
/// is open for writing in a process just forked cannot be run.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        fs::write(&path, "#!/bin/sh\neval \"$SCRIPT\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (directory, path)
    });
    path
}

/// A server whose process runs `script`, and whose requests are answered by `backend`.
fn running(script: &str, backend: &Backend) -> TestServer {
    let program = program();
    let directory = tempfile::tempdir().unwrap();
    let environment = vec![("SCRIPT".to_owned(), script.to_owned()), ("EXTRA".to_owned(), "yes".to_owned())];
    let (port, bus) = (backend.address().port(), free_port());
    let process = launch(program, &directory, &environment, (port, bus));
    let client = Client::new();
    TestServer { program: program.to_owned(), directory, environment, port, bus, process, client }
}

#[tokio::test]
async fn requests_carry_token_and_body_and_replies_are_read_to_the_end() {
    let backend = Backend::start().await;
    let server = running("exec sleep 60", &backend);
    backend.answer(201, r#"{"token":"t1"}"#);

    let reply = server.put("/api/v1/flags/a", "t0", &json!({ "key": "a" })).await;
    assert_eq!(reply.expect_status(201).json, json!({ "token": "t1" }));
    let received = backend.take().remove(0);
    assert_eq!((received.method.as_str(), received.path.as_str()), ("PUT", "/api/v1/flags/a"));
    assert_eq!(received.header("authorization"), Some("Bearer t0"));
    assert_eq!(&*received.body, br#"{"key":"a"}"#);

    backend.answer(200, r#"{"token":"t1"}"#);
    assert_eq!(server.login("alice@example.com").await, "t1");
    let received = backend.take().remove(0);
    assert_eq!((received.path.as_str(), received.header("authorization")), ("/auth/login", None));
}

#[tokio::test]
async fn a_restart_keeps_the_directory_and_the_output() {
    let backend = Backend::start().await;
    let script = "echo \"$1 $FLAGBASE_SERVER__PORT $EXTRA\"; exec sleep 60";
    let mut server = running(script, &backend);
    let first = (server.pid(), server.directory().to_owned());
    let line = format!("start {} yes\n", server.port);
    while server.output() != line {
        tokio::time::sleep(PAUSE).await;
    }
    server.kill();
    server.set_env("EXTRA", "changed");
    server.restart().await;
    assert_ne!(server.pid(), first.0);
    assert_eq!(server.directory(), first.1);
    let both = format!("{line}start {} changed\n", server.port);
    while server.output() != both {
        tokio::time::sleep(PAUSE).await;
    }
    server.terminate();
    assert!(!server.wait().await.success());
}

#[tokio::test]
#[should_panic(expected = "no such luck")]
async fn a_server_that_ends_at_once_shows_why() {
    TestServer::start_with(program(), &[("SCRIPT", "echo no such luck; exit 78")]).await;
}
