//! Two servers and how one talks to them.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use flagbase_nats::{Options, Server};
use tokio::runtime::Runtime;

/// Names the real server.
const VARIABLE: &str = "NATS_SERVER";
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two pieces, so that they are read one by one.
const PAUSE: Duration = Duration::from_millis(1);

/// The real server, as a process.
pub(crate) struct Real {
    child: Child,
    pub(crate) port: u16,
}

/// This server, within the test.
pub(crate) struct Ours {
    server: Server,
    _runtime: Runtime,
}

impl Real {
    /// `None`, and a word about it, when nobody asked for it and it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let program = installed()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("start `{}`: {error}", program.display()));
        let real = Self { child, port };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "`{}` is not ready", program.display());
            thread::sleep(PAUSE);
        }
        Some(real)
    }
}

#[expect(clippy::disallowed_methods, reason = "the checks say in the environment where the real server is")]
fn installed() -> Option<PathBuf> {
    if let Ok(program) = std::env::var(VARIABLE) {
        return Some(program.into());
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/servers/nats/bin/nats-server");
    if !usual.is_file() {
        println!("not compared: `cargo xtask servers nats` installs the real server");
        return None;
    }
    Some(usual)
}

/// The seed that is asked for.
#[expect(clippy::disallowed_methods, reason = "who looks further says in the environment where")]
pub(crate) fn seed() -> Option<u64> {
    std::env::var("DIFFERENTIAL_SEED").ok()?.parse().ok()
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ours {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let options = Options { port: 0, workers: 1, ..Options::default() };
        let server = runtime.block_on(Server::start(options)).unwrap();
        Self { server, _runtime: runtime }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.address().port()
    }
}

/// Connects, reads INFO, sends `bytes` in pieces, says that this was all, and returns what was answered.
pub(crate) fn talk(port: u16, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
    }
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        // Who was refused cannot say more.
        if stream.write_all(piece).is_err() {
            break;
        }
        if piece.len() < bytes.len() {
            thread::sleep(PAUSE);
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    // An error is the end, too: a server that closes before it has read everything resets the connection.
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..read]);
    }
    answer
}
