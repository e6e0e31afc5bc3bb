//! Starts and stops a NATS-protocol server for published test suites.
//!
//! Tests of NATS clients start their server through a crate of this name. This one starts whatever the
//! environment variable `NATS_SERVER` names, so that the same tests judge any server that takes the usual
//! flags. Everything here panics freely: it runs in tests.
#![forbid(unsafe_code)]

mod port;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Names the program to start.
pub const PROGRAM: &str = "NATS_SERVER";

const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running server; ends, and is forgotten on the disk, when it is dropped.
pub struct Server {
    home: PathBuf,
    config: String,
    port: Option<String>,
    child: Child,
}

/// Starts a server as it is without a configuration, on a free port.
pub fn run_basic_server() -> Server {
    run_server("")
}

/// Starts a server with the configuration in file `config` on a free port; an empty name means none.
pub fn run_server(config: &str) -> Server {
    run_server_with_port(config, None)
}

/// Starts a server on `port`, or on a free one.
pub fn run_server_with_port(config: &str, port: Option<&str>) -> Server {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("nats-suite-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let home = std::env::temp_dir().join(name);
    fs::create_dir_all(&home).unwrap();
    let child = start(&home, config, port);
    Server { home, config: config.to_owned(), port: port.map(str::to_owned), child }
}

/// Tells `server` to announce its end and to leave its clients one by one.
pub fn set_lame_duck_mode(server: &Server) {
    let pid = fs::read_to_string(server.home.join("pid")).unwrap();
    let signal = format!("ldm={}", pid.trim());
    let status = Command::new(program()).arg("--signal").arg(signal).status().unwrap();
    assert!(status.success(), "the server did not take the signal: {status}");
}

/// Stands for a cluster in tests that need one. None is started: such tests are skipped by name.
pub struct Cluster;

/// Panics: a single server is all there is.
pub fn run_cluster(_config: &str) -> Cluster {
    panic!("no cluster here: skip this test by its name")
}

impl Cluster {
    /// Never called, because there is never a cluster.
    pub fn client_url(&self) -> String {
        unreachable!("no cluster was started")
    }
}

impl Server {
    /// Where clients connect, with the scheme the server asks for.
    pub fn client_url(&self) -> String {
        let port = self.client_port();
        let scheme = if port::demands_tls(port) { "tls" } else { "nats" };
        format!("{scheme}://localhost:{port}")
    }

    /// The port clients connect to; waits until the server says it.
    pub fn client_port(&self) -> u16 {
        let started = Instant::now();
        while started.elapsed() < READY_WITHIN {
            if let Some(port) = port::announced(&self.log()) {
                return port;
            }
            thread::sleep(LOOK_EVERY);
        }
        panic!("the server is not ready after {READY_WITHIN:?}, it said:\n{}", self.log())
    }

    /// The process that serves.
    pub fn client_pid(&self) -> usize {
        self.child.id() as usize
    }

    /// Kills the server and starts it again, with what it has stored.
    pub fn restart(&mut self) {
        self.stop();
        fs::remove_file(self.home.join("log")).unwrap();
        self.child = start(&self.home, &self.config, self.port.as_deref());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    fn stop(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("the server said:\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn start(home: &Path, config: &str, port: Option<&str>) -> Child {
    let mut command = Command::new(program());
    command.arg("--store_dir").arg(home.join("store"));
    command.args(["-p", port.unwrap_or("-1")]);
    command.arg("-l").arg(home.join("log"));
    command.arg("-P").arg(home.join("pid"));
    if !config.is_empty() {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        command.current_dir(&package).arg("-c").arg(package.join(config));
    }
    command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"))
}

fn program() -> PathBuf {
    std::env::var_os(PROGRAM)
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("say in the environment variable `{PROGRAM}` which server to start"))
}
