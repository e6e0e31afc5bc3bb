//! What guests reach in the host.

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    engine::Evaluation,
    functions::{Digest, Visit},
};

/// What guests reach. Each method looks itself at what the visited function is granted.
#[async_trait]
pub trait Services: Send + Sync {
    /// Evaluates a flag for whoever is calling and gives the answer to `take`; `take` is not called when there is no
    /// such flag.
    fn evaluate(&self, visit: &Visit, key: &str, take: &mut dyn FnMut(&Evaluation<'_>));

    /// Keeps a line of the function's log.
    fn log(&self, visit: &Visit, line: Line<'_>);

    /// A secret of the function; `None` when there is none of this name. The error is a sentence for the function.
    async fn secret(&self, visit: &Visit, name: &str) -> Result<Option<String>, String>;

    /// Publishes a message; the error is a sentence for the function.
    async fn publish(&self, visit: &Visit, subject: &str, data: Bytes) -> Result<(), String>;

    /// Whether requests of functions may go to this address at all.
    fn admits(&self, address: IpAddr) -> bool;

    /// The bytes that were uploaded under a digest; `None` when they are gone.
    async fn code(&self, digest: &Digest) -> Result<Option<Bytes>, String>;
}

/// One line of a function's log.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// How much it matters.
    pub level: Level,
    /// Where it came from.
    pub source: Source,
    /// What it says.
    pub message: &'a str,
    /// What belongs to it.
    pub fields: &'a [(String, String)],
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For finding out.
    Trace,
    /// For developing.
    Debug,
    /// As a rule.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The log interface.
    Log,
    /// What runs the function.
    Host,
}
