//! The agent as the first process of a real guest; `emulator.rs` says what that is.
//!
//! `cargo xtask test --only microvm` gets everything that is needed; without it these tests say that they were skipped.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use flagbase_agent::archive::Archive;
use flagbase_agent::drive;
use flagbase_agent::protocol::{PORT, State};

use crate::client::Way;
use crate::emulator::{Guest, Kit};
use crate::scenes;

fn way(guest: &Guest) -> Way {
    let way = Way { socket: guest.socket(), port: Some(PORT) };
    assert_eq!(way.get("/health").status, 200);
    println!("first answer of a real guest {} ms after its start", guest.started.elapsed().as_millis());
    way
}

fn wait_for(what: &str, within: Duration, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + within;
    while !there() {
        assert!(Instant::now() < until, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

fn drive(kit: &Kit, manifest: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.file("function", true, fs::read(&kit.function).unwrap()).unwrap();
    archive.file("manifest.json", false, manifest.as_bytes().to_vec()).unwrap();
    drive::write(&archive).unwrap()
}

/// Limits for a machine that is emulated.
const SLOW: &str = r#","limits":{"timeout_ms":20000,"request_body":8000000,"response_body":8000000}"#;

#[test]
fn a_server_runs_in_a_real_guest_from_boot_to_end() {
    let Some(kit) = Kit::find() else { return };
    let mut guest = Guest::boot(&kit, &drive(&kit, "{}"));
    let way = way(&guest);
    let before = scenes::health(&way);
    assert_eq!(before.state, State::Booted);
    assert!(before.kernel.starts_with("6."), "{}", before.kernel);
    assert!(before.function.unwrap().digest.starts_with("sha256:"));
    scenes::begins(&way, SLOW);
    scenes::calls(&way);
    scenes::keeps_connections(&way);
    scenes::large_bodies(&way);
    scenes::limits(&way);
    scenes::concurrency(&way, 16);
    scenes::logs(&way);
    isolation(&way);
    clock(&way);
    scenes::crash(&way);
    out_of_memory(&way);
    figures(&way);
    scenes::drains(&way);
    assert_eq!(way.post("/stop", "").status, 202);
    wait_for("the end of the machine", Duration::from_secs(30), || {
        guest.machine.try_wait().unwrap().is_some()
    });
}

#[test]
fn a_program_for_each_call_runs_in_a_real_guest() {
    let Some(kit) = Kit::find() else { return };
    let guest = Guest::boot(&kit, &drive(&kit, r#"{"mode":"cgi"}"#));
    let way = way(&guest);
    scenes::begins(&way, SLOW);
    scenes::calls(&way);
    scenes::large_bodies(&way);
    scenes::concurrency(&way, 8);
    scenes::crash(&way);
    scenes::drains(&way);
}

#[test]
fn a_guest_without_a_function_boots_and_says_why_it_cannot_start() {
    let Some(kit) = Kit::find() else { return };
    let mut broken = drive(&kit, "{}");
    broken[drive::HEADER + 5000] ^= 1;
    let guest = Guest::boot(&kit, &broken);
    let way = way(&guest);
    assert_eq!(scenes::health(&way).function, None);
    let refused = way.post("/init", &scenes::init(""));
    assert_eq!((refused.status, refused.fault()), (503, Some("unstartable")));
    assert!(refused.text().contains("header says"), "{}", refused.text());
}

/// The function is nobody, and can write only where nothing stays.
fn isolation(way: &Way) {
    let status = way.get("/call/file?/proc/self/status").text();
    assert!(status.contains("Uid:\t1000\t1000\t1000\t1000"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    for path in ["/x", "/function/function", "/function/x", "/run/x", "/sys/x", "/dev/vda"] {
        let tried = way.get(&format!("/call/write?{path}")).text();
        assert_ne!(tried, "written", "{path}");
    }
    assert_eq!(way.get("/call/write?/tmp/x").text(), "written");
    let drive = way.get("/call/file?/dev/vda").text();
    assert!(drive.contains("ermission denied"), "{drive}");
    let one = way.get("/call/random").text();
    assert!(one.starts_with("Ok") && one != way.get("/call/random").text(), "{one}");
}

/// The machine knows what time it is, because it was told.
fn clock(way: &Way) {
    let page: flagbase_agent::protocol::Page = way.get("/logs?after=0").json();
    way.get("/call/print?time");
    let page: flagbase_agent::protocol::Page =
        way.get(&format!("/logs?after={}&wait_ms=20000", page.next)).json();
    let here = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let there = page.lines.last().unwrap().time_ms;
    assert!(here.abs_diff(there) < 60_000, "here it is {here}, there {there}");
}

/// A function that takes all memory ends; the agent stays, and says why.
fn out_of_memory(way: &Way) {
    let answer = way.get("/call/memory?1000");
    assert_eq!(answer.fault(), Some("exited"), "{}", answer.text());
    assert!(answer.text().contains("out of memory"), "{}", answer.text());
    wait_for("the function", Duration::from_mins(1), || way.post("/call/echo", "again").text() == "again");
}

/// What a call costs, for whoever reads the log.
fn figures(way: &Way) {
    const CALLS: u32 = 200;
    let mut line = way.dial().unwrap();
    let started = Instant::now();
    for _ in 0..CALLS {
        assert_eq!(line.ask("POST", "/call/echo", b"x").unwrap().status, 200);
    }
    println!(
        "a call of a real guest on a kept connection: {} µs",
        started.elapsed().as_micros() / u128::from(CALLS)
    );
}
