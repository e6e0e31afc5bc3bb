//! A compiler whose server is killed.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    building::{bomb, prepare},
    place::Place,
};

/// Tells the test below that it is the server.
const IS_SERVER: &str = "FLAGBASE_TEST_COMPILES_UNTIL_KILLED";
/// Longer than anything here takes on any machine.
const PATIENCE: Duration = Duration::from_mins(2);

#[expect(clippy::disallowed_methods, reason = "one test tells the other by the environment")]
fn is_server() -> bool {
    std::env::var(IS_SERVER).is_ok()
}

/// What `look` finds, when it finds something at last.
fn at_last<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A child of `parent` that has begun to compile: it looks after its parent from then on, in a thread.
fn compiler_of(parent: u32) -> Option<u32> {
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut children = processes.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent));
    children.find(|pid| fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1))
}

#[tokio::test]
#[ignore = "is the server that the next test kills"]
async fn a_server_compiles_until_it_is_killed() {
    if is_server() {
        let outcome = prepare(&Place::new().await, &bomb(9000)).await;
        assert!(outcome.is_err(), "a bomb was compiled");
    }
}

#[test]
fn a_compiler_ends_with_the_server_that_started_it() {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans::a_server_compiles_until_it_is_killed", "--ignored"])
        .env(IS_SERVER, "yes")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let compiler = at_last("nothing is compiled", || compiler_of(server.id()));
    server.kill().unwrap();
    server.wait().unwrap();
    // Whoever inherits it may not collect what is left of it.
    let ended = || stat(compiler).is_none_or(|(state, _)| matches!(state, 'Z' | 'X')).then_some(());
    at_last("the compiler goes on without anybody who waits for it", ended);
}
