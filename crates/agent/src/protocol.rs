//! What host and agent say to each other, beside the calls themselves.
//!
//! `GET /health` · `POST /init` ([`Init`]) · `POST /drain` ([`Drain`]) · `POST /stop` · `GET /logs` ([`Page`]) ·
//! any method on `/call` and a target, which is a call of the function.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The vsock port the agent listens on, unless the kernel's command line says otherwise.
pub const PORT: u32 = 1024;

/// The version of this protocol; the host refuses an agent that speaks another one.
pub const VERSION: u32 = 1;

/// The prefix below which everything is the function's.
pub const CALL: &str = "/call";

/// Names a call in the logs: a header of the request.
pub const CALL_HEADER: &str = "flagbase-call";

/// Says that the agent answers instead of the function, and why in one word: a header of the response.
pub const FAULT_HEADER: &str = "flagbase-fault";

/// What a machine is told once, after it was started or restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// Key of the environment.
    #[serde(default)]
    pub environment: String,
    /// Name of the function.
    #[serde(default)]
    pub function: String,
    /// Number of its version.
    #[serde(default)]
    pub version: u32,
    /// What this machine is called in logs.
    #[serde(default)]
    pub instance: String,
    /// Variables of the function.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Its secrets; they become variables too.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// 32 to 512 random bytes in hexadecimal digits. Machines that come from one snapshot have the same random
    /// numbers until they get different seeds.
    pub seed: String,
    /// Milliseconds since 1970: what the clock is set to.
    pub now_ms: u64,
    /// What a call may use.
    #[serde(default)]
    pub limits: Limits,
}

/// What a call may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The body of the request, in bytes.
    pub request_body: u64,
    /// The body of the response, in bytes.
    pub response_body: u64,
    /// Memory of a WebAssembly instance, in bytes; a binary has what the machine has.
    pub memory: u64,
    /// What a call may write to the log, in bytes, where it is known which call wrote it.
    pub log: u64,
    /// Calls at once.
    pub concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            request_body: 10 << 20,
            response_body: 10 << 20,
            memory: 128 << 20,
            log: 64 << 10,
            concurrency: 64,
        }
    }
}

/// How a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Where it is in its life.
    pub state: State,
    /// Version of the agent.
    pub agent: String,
    /// Version of the protocol.
    pub protocol: u32,
    /// Release of the kernel.
    pub kernel: String,
    /// Milliseconds since the agent started; stands still while a machine is a snapshot.
    pub uptime_ms: u64,
    /// The function, when its drive has been read.
    pub function: Option<FunctionHealth>,
    /// Counts of calls.
    pub calls: Calls,
}

/// Where a machine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for [`Init`]. This is what snapshots are taken of.
    Booted,
    /// Takes calls.
    Ready,
    /// Takes no more calls, ends those that run.
    Draining,
    /// Ends.
    Stopping,
}

/// How a function is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionHealth {
    /// `sha256:` and the digest of its archive; empty when it was not on a drive.
    pub digest: String,
    /// `server`, `cgi` or `wasm`.
    pub mode: String,
    /// Whether its process runs; always true for those that have a process for each call.
    pub running: bool,
    /// How often it was started.
    pub starts: u64,
    /// How it ended last, when it did.
    pub last_exit: Option<String>,
}

/// Counts of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Under way.
    pub running: u64,
    /// Since the start.
    pub total: u64,
    /// Those that ended in a fault.
    pub failed: u64,
}

/// How to drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How long to wait for calls that run, in milliseconds.
    #[serde(default)]
    pub within_ms: u64,
}

/// Lines of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Oldest first.
    pub lines: Vec<Line>,
    /// What to ask after next.
    pub next: u64,
    /// How many lines after the one asked after are gone, because too many came.
    pub lost: u64,
}

/// A line that the function or the agent wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// Milliseconds since 1970, by the machine's clock.
    pub time_ms: u64,
    /// Where it was written.
    pub stream: Stream,
    /// The call it belongs to, where that is known.
    pub call: Option<String>,
    /// What was written, without its end of line.
    pub text: String,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// By the function, on its standard output.
    Stdout,
    /// By the function, on its standard error.
    Stderr,
    /// By the agent.
    Agent,
}

/// Why the agent answers instead of the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There was no [`Init`] yet.
    #[error("the function is not started yet")]
    NotReady,
    /// The machine is on its way out.
    #[error("the machine takes no more calls")]
    Draining,
    /// As many calls are under way as may be.
    #[error("{0} calls are under way, which is all there may be")]
    Busy(u32),
    /// The body of the request is larger than so many bytes.
    #[error("the body of the request is larger than {0} bytes")]
    TooLarge(u64),
    /// It took longer than so many milliseconds.
    #[error("the function did not answer within {0} ms")]
    Timeout(u64),
    /// The process of the function ended; the sentence says how.
    #[error("the function's process {0}")]
    Exited(String),
    /// What came is no answer; the sentence says why.
    #[error("the function's answer cannot be used: {0}")]
    BadAnswer(String),
    /// The function cannot be started; the sentence says why.
    #[error("the function cannot be started: {0}")]
    Unstartable(String),
    /// The host stopped sending or receiving.
    #[error("the caller broke off: {0}")]
    Caller(String),
}

impl Fault {
    /// The word of [`FAULT_HEADER`].
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Draining => "draining",
            Self::Busy(_) => "busy",
            Self::TooLarge(_) => "too_large",
            Self::Timeout(_) => "timeout",
            Self::Exited(_) => "exited",
            Self::BadAnswer(_) => "bad_answer",
            Self::Unstartable(_) => "unstartable",
            Self::Caller(_) => "caller",
        }
    }

    /// The status of the agent's answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotReady | Self::Draining | Self::Busy(_) | Self::Unstartable(_) => 503,
            Self::TooLarge(_) => 413,
            Self::Timeout(_) => 504,
            Self::Exited(_) | Self::BadAnswer(_) => 502,
            Self::Caller(_) => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_of_a_machine_is_as_everywhere() {
        let init: Init = serde_json::from_str(r#"{"seed":"00","now_ms":1}"#).unwrap();
        assert_eq!(init.limits, Limits::default());
        assert!(init.variables.is_empty());
        let limited: Init =
            serde_json::from_str(r#"{"seed":"00","now_ms":1,"limits":{"timeout_ms":5}}"#).unwrap();
        assert_eq!(limited.limits, Limits { timeout_ms: 5, ..Limits::default() });
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused() {
        let error = serde_json::from_str::<Init>(r#"{"seed":"00","now_ms":1,"sedd":1}"#).unwrap_err();
        assert!(error.to_string().contains("sedd"), "{error}");
    }

    #[test]
    fn every_fault_has_a_word_of_its_own_and_is_no_success() {
        let text = || "text".to_owned();
        let faults = [
            Fault::NotReady,
            Fault::Draining,
            Fault::Busy(1),
            Fault::TooLarge(1),
            Fault::Timeout(1),
            Fault::Exited(text()),
            Fault::BadAnswer(text()),
            Fault::Unstartable(text()),
            Fault::Caller(text()),
        ];
        let words: std::collections::BTreeSet<_> = faults.iter().map(Fault::word).collect();
        assert_eq!(words.len(), faults.len());
        assert!(faults.iter().all(|fault| fault.status() >= 400));
    }
}
