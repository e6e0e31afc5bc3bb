//! Load from `wrk`, which costs little beside what it measures.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{process, tool};

const CONNECTIONS: &str = "-c32";
/// How long a subject is warmed up before its turn, in seconds.
const WARM_UP: u64 = 1;

/// Requests to send as often as they are answered, over 32 connections that stay open.
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    /// What makes requests other than `GET` of the path, in Lua.
    pub(crate) script: Option<&'a Path>,
}

/// What one turn cost.
pub(crate) struct Turn {
    /// Requests answered.
    pub(crate) requests: f64,
    /// CPU seconds used by the measured processes.
    pub(crate) seconds: f64,
}

impl Load<'_> {
    /// Warms up, then sends for `seconds` while `used` tells the CPU seconds of whoever is measured.
    pub(crate) fn measure(&self, seconds: u64, used: impl Fn() -> Result<f64>) -> Result<Turn> {
        self.send(WARM_UP)?;
        let before = used()?;
        let requests = self.send(seconds)?;
        Ok(Turn { requests, seconds: used()? - before })
    }

    fn send(&self, seconds: u64) -> Result<f64> {
        let wrk = tool::required("wrk", "on Debian, `apt-get install wrk`")?;
        let mut command = Command::new(wrk);
        command.args(["-t1", CONNECTIONS, &format!("-d{seconds}s"), "--timeout", "10s"]);
        if let Some(token) = self.token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        if let Some(script) = self.script {
            command.arg("-s").arg(script);
        }
        command.arg(format!("http://127.0.0.1:{}{}", self.port, self.path));
        answered(&process::capture(&mut command)?)
    }
}

/// The number of requests in the output of `wrk`; an error when any of them failed.
fn answered(output: &str) -> Result<f64> {
    for complaint in ["Non-2xx", "Socket errors"] {
        let line = output.lines().find(|line| line.contains(complaint));
        ensure!(line.is_none(), "requests failed: {}", line.unwrap_or_default().trim());
    }
    output
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .context("find the number of requests in what `wrk` printed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_are_counted() {
        let output = "Running 3s test\n  54321 requests in 3.00s, 9.99MB read\nRequests/sec: 1\n";
        assert!((answered(output).unwrap() - 54321.0).abs() < 1e-9);
    }

    #[test]
    fn a_turn_with_failed_requests_does_not_count() {
        let output = "  9 requests in 3.00s, 9MB read\n  Non-2xx or 3xx responses: 7\n";
        assert!(answered(output).unwrap_err().to_string().contains("responses: 7"));
        let output = "  9 requests in 3.00s\n  Socket errors: connect 0, read 3, write 0, timeout 0\n";
        assert!(answered(output).unwrap_err().to_string().contains("read 3"));
        assert!(answered("nothing").is_err());
    }
}
