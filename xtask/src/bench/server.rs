//! Processes that a bench starts, and ends when it is done with them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::client::Client;
use super::cpu;

const READY_WITHIN: Duration = Duration::from_mins(1);
/// How often a starting server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// A running process that listens on a port of this machine.
pub(crate) struct Server {
    child: Child,
    started: Instant,
    log: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    /// Starts `command`, which is to listen on `port`, with its output going to a file in `directory`.
    pub(crate) fn start(mut command: Command, directory: &Path, port: u16) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("make `{}`", directory.display()))?;
        let log = directory.join("log");
        let output = File::create(&log).with_context(|| format!("write `{}`", log.display()))?;
        let errors = output.try_clone().context("share the log")?;
        let program = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start `{program}`"))?;
        Ok(Self { child, started, log, port })
    }

    /// Waits until `path` is answered with 200 and returns how long that took since the start.
    pub(crate) fn await_ready(&mut self, path: &str) -> Result<Duration> {
        self.await_answer(|port| {
            let answer = Client::connect(port).and_then(|mut client| client.get(path));
            answer.is_ok_and(|answer| answer.status == 200)
        })
    }

    /// Waits until `answers` is content with what it finds at the port, and returns how long that took since the start.
    pub(crate) fn await_answer(&mut self, answers: impl Fn(u16) -> bool) -> Result<Duration> {
        while self.started.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait().context("look at the process")? {
                bail!("it ended with {status}, see `{}`", self.log.display());
            }
            if answers(self.port) {
                return Ok(self.started.elapsed());
            }
            thread::sleep(ASK_EVERY);
        }
        bail!("not ready within {READY_WITHIN:?}, see `{}`", self.log.display())
    }

    /// CPU seconds used so far, children included.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu::seconds(self.child.id())
    }

    /// Megabytes resident.
    pub(crate) fn memory(&self) -> Result<f64> {
        cpu::resident(self.child.id())
    }
}

impl Server {
    /// From now on the peak is counted anew.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        cpu::forget_peak(self.child.id())
    }

    /// The most megabytes of memory that it ever had resident, or had since that was forgotten.
    pub(crate) fn peak(&self) -> Result<f64> {
        cpu::peak(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        // Asked politely first: nginx ends its workers only then.
        let process = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &process]).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_is_never_ready() {
        let directory = std::env::temp_dir().join(format!("xtask-server-{}", std::process::id()));
        let port = free_port().unwrap();
        let mut server = Server::start(Command::new("false"), &directory, port).unwrap();
        let error = server.await_ready("/").unwrap_err();
        assert!(error.to_string().starts_with("it ended with"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_process_ends_with_its_owner() {
        let directory = std::env::temp_dir().join(format!("xtask-drop-{}", std::process::id()));
        let mut sleeper = Command::new("sleep");
        sleeper.arg("30");
        let server = Server::start(sleeper, &directory, 1).unwrap();
        let process = server.child.id();
        drop(server);
        assert!(cpu::resident(process).is_err());
        fs::remove_dir_all(directory).unwrap();
    }
}
