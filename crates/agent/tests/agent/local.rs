//! The agent as a process of this machine.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use flagbase_agent::protocol::{Health, State};

use crate::client::Way;
use crate::scenes;

const AGENT: &str = env!("CARGO_BIN_EXE_flagbase-agent");

/// An agent that ends with the test.
struct Local {
    way: Way,
    process: Child,
    directory: tempfile::TempDir,
}

impl Local {
    fn start(manifest: &str) -> Self {
        Self::with(&echo(), manifest)
    }

    fn with(program: &Path, manifest: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("function");
        fs::create_dir(&home).unwrap();
        fs::copy(program, home.join("function")).unwrap();
        fs::write(home.join("manifest.json"), on_a_free_port(manifest)).unwrap();
        let socket = directory.path().join("agent.sock");
        let process = Command::new(AGENT).arg("serve").args([&socket, &home]).spawn().unwrap();
        let way = Way { socket, port: None };
        while way.dial().is_err() {
            thread::sleep(Duration::from_millis(5));
        }
        Self { way, process, directory }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.way.dial().and_then(|mut line| line.ask("POST", "/stop", b""));
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A manifest that names a port which is free on this machine, unless it is none or names one: on the default one somebody
/// may listen here.
fn on_a_free_port(manifest: &str) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    match serde_json::from_str::<serde_json::Value>(manifest) {
        Ok(serde_json::Value::Object(mut known)) => {
            known.entry("port").or_insert_with(|| free.into());
            serde_json::Value::Object(known).to_string()
        }
        _ => manifest.to_owned(),
    }
}

/// The example that cargo builds beside the tests.
fn echo() -> PathBuf {
    Path::new(AGENT).with_file_name("examples").join("echo")
}

const SHORT: &str = r#","limits":{"timeout_ms":1500,"request_body":8000000,"response_body":8000000}"#;

#[test]
fn a_server_is_started_called_and_drained() {
    let local = Local::start("{}");
    scenes::begins(&local.way, SHORT);
    scenes::calls(&local.way);
    scenes::keeps_connections(&local.way);
    scenes::large_bodies(&local.way);
    scenes::concurrency(&local.way, 32);
    scenes::logs(&local.way);
    scenes::drains(&local.way);
    let health = scenes::health(&local.way);
    assert_eq!(health.function.unwrap().starts, 1);
}

#[test]
fn a_program_for_each_call_is_called_in_the_same_way() {
    let local = Local::start(r#"{"mode":"cgi"}"#);
    scenes::begins(&local.way, SHORT);
    scenes::calls(&local.way);
    scenes::keeps_connections(&local.way);
    scenes::large_bodies(&local.way);
    scenes::concurrency(&local.way, 16);
    scenes::logs(&local.way);
    scenes::crash(&local.way);
    scenes::drains(&local.way);
}

#[test]
fn limits_hold_for_servers_and_programs() {
    for manifest in ["{}", r#"{"mode":"cgi"}"#] {
        let local = Local::start(manifest);
        scenes::begins(&local.way, SHORT);
        scenes::limits(&local.way);
        assert_eq!(local.way.post("/call/echo", "still here").text(), "still here");
        assert!(scenes::health(&local.way).calls.failed >= 4);
    }
}

#[test]
fn a_server_that_ends_is_started_again() {
    let local = Local::start("{}");
    scenes::begins(&local.way, SHORT);
    assert_eq!(local.way.post("/call/echo", "once").text(), "once");
    scenes::crash(&local.way);
    assert_eq!(scenes::health(&local.way).function.unwrap().starts, 2);
}

#[test]
fn a_server_may_listen_on_a_port() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let local = Local::start(&format!(r#"{{"port":{free}}}"#));
    let init = scenes::init("").replace("GREETING", "ON_PORT");
    assert_eq!(local.way.post("/init", &init).status, 200);
    assert_eq!(local.way.get("/call/variable?PORT").text(), free.to_string());
}

#[test]
fn a_server_that_does_not_listen_cannot_be_started() {
    let local = Local::start(r#"{"start_timeout_ms":200}"#);
    let late = local
        .way
        .post("/init", &scenes::init("").replace("\"hello\"", "\"x\"").replace("GREETING", "EXIT_AT_START"));
    assert_eq!(late.status, 200, "`x` is no status: {}", late.text());
    let local = Local::start(r#"{"start_timeout_ms":200}"#);
    let init = scenes::init("").replace("\"hello\"", "\"60000\"").replace("GREETING", "DELAY_MS");
    let late = local.way.post("/init", &init);
    assert_eq!((late.status, late.fault()), (503, Some("unstartable")));
    assert!(late.text().contains("did not listen"), "{}", late.text());
}

#[test]
fn a_server_that_ends_at_once_says_how() {
    let local = Local::start("{}");
    let init = scenes::init("").replace("\"hello\"", "\"7\"").replace("GREETING", "EXIT_AT_START");
    let ended = local.way.post("/init", &init);
    assert_eq!(ended.fault(), Some("unstartable"));
    assert!(ended.text().contains("status 7 before it listened"), "{}", ended.text());
    assert_eq!(local.way.post("/init", &scenes::init("")).status, 200);
}

#[test]
fn a_server_can_be_part_of_a_snapshot_and_is_told_later_who_it_is() {
    let local = Local::start(r#"{"prestart":true}"#);
    let before = scenes::health(&local.way);
    assert_eq!(before.state, State::Booted);
    assert!(before.function.unwrap().running);
    assert_eq!(local.way.get("/call/echo").fault(), Some("not_ready"));
    assert_eq!(local.way.post("/init", &scenes::init("")).status, 200);
    assert_eq!(local.way.get("/call/variable?KEY").text(), "");
    let path = local.way.get("/call/variable?FLAGBASE_INIT").text();
    let told = local.way.get(&format!("/call/file?{path}")).text();
    assert!(told.contains("s3cret"), "{told}");
    assert_eq!(scenes::health(&local.way).function.unwrap().starts, 1);
}

#[test]
fn an_answer_that_is_none_is_told_as_such() {
    let local = Local::start("{}");
    scenes::begins(&local.way, SHORT);
    let nonsense = local.way.get("/call/nonsense");
    assert_eq!((nonsense.status, nonsense.fault()), (502, Some("bad_answer")), "{}", nonsense.text());
}

#[test]
fn nonsense_is_answered_and_the_connection_closed() {
    let local = Local::start("{}");
    for head in ["GET\r\n\r\n", "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"] {
        let mut line = local.way.dial().unwrap();
        line.send(head.as_bytes(), b"").unwrap();
        assert_eq!(line.answer("GET").unwrap().status, 400, "{head}");
        assert!(line.ask("GET", "/health", b"").is_err());
    }
    assert_eq!(local.way.post("/init", "{").status, 400);
    assert_eq!(local.way.post("/drain", r#"{"soon":1}"#).status, 400);
}

#[test]
fn a_function_is_stopped_politely() {
    let local = Local::start("{}");
    scenes::begins(&local.way, SHORT);
    assert_eq!(local.way.post("/stop", "").status, 202);
    let ended = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        let health: Health = scenes::health(&local.way);
        health.state == State::Stopping && !health.function.unwrap().running
    });
    assert!(ended);
    assert_eq!(local.way.get("/call/echo").fault(), Some("draining"));
}

#[test]
fn a_function_has_only_the_variables_it_was_given_and_no_new_rights() {
    let local = Local::start("{}");
    scenes::begins(&local.way, SHORT);
    assert_eq!(local.way.get("/call/variable?CARGO").text(), "");
    let status = local.way.get("/call/file?/proc/self/status").text();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = local.way.get("/call/file?/proc/self/limits").text();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(files.contains("4096"), "{files}");
    let work = local.directory.path().canonicalize().unwrap();
    assert_eq!(local.way.get(&format!("/call/write?{}", work.join("x").display())).text(), "written");
}

/// Says its standard input back, as a WASI command.
const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 100) "Content-Type: text/plain\n\n")
    (func $say (param $at i32) (param $length i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))
    (func (export "_start")
        (call $say (i32.const 100) (i32.const 26))
        (loop $more
            (i32.store (i32.const 0) (i32.const 1000))
            (i32.store (i32.const 4) (i32.const 60000))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
            (if (i32.load (i32.const 16)) (then
                (call $say (i32.const 1000) (i32.load (i32.const 16)))
                (br $more))))))"#;

#[test]
fn a_wasi_command_answers_as_a_program_does() {
    let module = tempfile::NamedTempFile::new().unwrap();
    fs::write(module.path(), wat::parse_str(MODULE).unwrap()).unwrap();
    let local = Local::with(module.path(), r#"{"mode":"wasm"}"#);
    scenes::begins(&local.way, SHORT);
    let large = vec![b'w'; 1 << 20];
    assert!(local.way.ask("POST", "/call/", &large).body == large);
    assert_eq!(scenes::health(&local.way).function.unwrap().mode, "wasm");
}

#[test]
fn a_module_that_is_none_is_the_functions_fault() {
    let module = tempfile::NamedTempFile::new().unwrap();
    fs::write(module.path(), "no module").unwrap();
    let local = Local::with(module.path(), r#"{"mode":"wasm"}"#);
    scenes::begins(&local.way, SHORT);
    assert_eq!(local.way.get("/call/").fault(), Some("exited"));
}
