//! What functions say: kept in memory, bounded, for whoever asks and whoever follows.
//!
//! Lines are not kept for good: they go to the server's own log as well, and from there to wherever logs are kept.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::broadcast;

use super::Visit;
use crate::clock::Clock;

/// Lines kept per function, at most.
const MOST_LINES: usize = 1000;

/// Bytes of lines kept per function, at most.
const MOST_BYTES: usize = 256 * 1024;

/// Bytes of one line; what is longer is cut off.
const LONGEST_LINE: usize = 8 * 1024;

/// Lines among which that of a call is looked for: it said so a moment ago, and others talk, too.
const LAST: usize = 64;

/// Lines that a follower may lag behind before it loses some.
const LAG: usize = 1024;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// As planned.
    Info,
    /// Not as planned.
    Warn,
    /// It failed.
    Error,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The logging interface.
    Log,
    /// Flagbase, about the function.
    Host,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Rises with every line of this node.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// Where it comes from.
    pub stream: Stream,
    /// What is said.
    pub message: String,
    /// More of it, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
    /// Which function.
    pub function: Arc<str>,
    /// Which version.
    pub version: u32,
    /// Which call.
    pub call: Arc<str>,
    /// The trace the call belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Which lines to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogsAsked<'a> {
    /// Only of this version.
    pub version: Option<u32>,
    /// Only of this call.
    pub call: Option<&'a str>,
    /// Only those after this one.
    pub after: Option<u64>,
}

/// Lines by environment and function.
pub struct Logs {
    clock: Arc<dyn Clock>,
    sequence: AtomicU64,
    functions: RwLock<HashMap<Name, Arc<Kept>>>,
}

/// Environment and function.
type Name = (Arc<str>, Arc<str>);

struct Kept {
    lines: Mutex<Ring>,
    followers: broadcast::Sender<Arc<LogLine>>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
}

impl Logs {
    /// Nothing was said yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, sequence: AtomicU64::new(0), functions: RwLock::default() }
    }

    /// Keeps a line, and hands it to whoever follows.
    pub fn write(
        &self,
        visit: &Visit,
        (level, stream): (Level, Stream),
        message: &str,
        fields: Vec<(String, String)>,
    ) {
        let deployed = &visit.deployed;
        let line = LogLine {
            sequence: self.sequence.fetch_add(1, Relaxed),
            time: self.clock.now(),
            level,
            stream,
            message: cut(message),
            fields,
            function: Arc::clone(&deployed.function),
            version: deployed.version,
            call: Arc::clone(&visit.id),
            traceparent: visit.trace.as_ref().map(|trace| trace.as_str().to_owned()),
        };
        traced(&deployed.environment, &line);
        self.kept(&deployed.environment, &deployed.function).take(Arc::new(line));
    }

    /// The last lines, oldest first, at most `limit`.
    pub fn read(
        &self,
        environment: &str,
        function: &str,
        asked: LogsAsked<'_>,
        limit: usize,
    ) -> Vec<Arc<LogLine>> {
        let Some(kept) = self.find(environment, function) else { return Vec::new() };
        let ring = kept.lines.lock();
        let meant = |line: &&Arc<LogLine>| {
            asked.version.is_none_or(|version| line.version == version)
                && asked.call.is_none_or(|call| *line.call == *call)
                && asked.after.is_none_or(|after| line.sequence > after)
        };
        let mut lines: Vec<_> = ring.lines.iter().rev().filter(meant).take(limit).cloned().collect();
        lines.reverse();
        lines
    }

    /// Whether the last lines of this call are errors one of which has `text` in it.
    pub fn told(&self, visit: &Visit, text: &str) -> bool {
        let deployed = &visit.deployed;
        let Some(kept) = self.find(&deployed.environment, &deployed.function) else { return false };
        let ring = kept.lines.lock();
        let same = |line: &&Arc<LogLine>| *line.call == *visit.id && line.level == Level::Error;
        ring.lines.iter().rev().take(LAST).filter(same).any(|line| line.message.contains(text))
    }

    /// Every line from now on. Whoever reads too slowly loses lines, and is told how many.
    pub fn follow(&self, environment: &str, function: &str) -> broadcast::Receiver<Arc<LogLine>> {
        self.kept(&environment.into(), &function.into()).followers.subscribe()
    }

    /// Forgets functions that are not `alive`.
    pub fn retain(&self, alive: impl Fn(&str, &str) -> bool) {
        self.functions.write().retain(|(environment, function), kept| {
            alive(environment, function) || kept.followers.receiver_count() > 0
        });
    }

    /// Forgets what a function said. Whoever follows goes on, should another one come under that name.
    pub(super) fn forget(&self, environment: &str, function: &str) {
        if let Some(kept) = self.find(environment, function) {
            *kept.lines.lock() = Ring::default();
        }
    }

    fn find(&self, environment: &str, function: &str) -> Option<Arc<Kept>> {
        self.functions.read().get(&Borrowed(environment, function)).cloned()
    }

    fn kept(&self, environment: &Arc<str>, function: &Arc<str>) -> Arc<Kept> {
        if let Some(kept) = self.find(environment, function) {
            return kept;
        }
        let key = (Arc::clone(environment), Arc::clone(function));
        Arc::clone(self.functions.write().entry(key).or_insert_with(|| {
            let (followers, _) = broadcast::channel(LAG);
            Arc::new(Kept { lines: Mutex::default(), followers })
        }))
    }
}

/// The same names, borrowed, so that looking up copies nothing.
#[derive(Hash)]
struct Borrowed<'a>(&'a str, &'a str);

impl hashbrown::Equivalent<Name> for Borrowed<'_> {
    fn equivalent(&self, key: &Name) -> bool {
        *self.0 == *key.0 && *self.1 == *key.1
    }
}

impl Kept {
    fn take(&self, line: Arc<LogLine>) {
        let mut ring = self.lines.lock();
        ring.bytes += weight(&line);
        ring.lines.push_back(Arc::clone(&line));
        while ring.lines.len() > MOST_LINES || ring.bytes > MOST_BYTES {
            let Some(old) = ring.lines.pop_front() else { break };
            ring.bytes -= weight(&old);
        }
        // Within the lock, so that followers see lines in the order in which they are kept. Nobody following is fine.
        drop(self.followers.send(line));
    }
}

fn weight(line: &LogLine) -> usize {
    128 + line.message.len() + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn cut(message: &str) -> String {
    let message = message.trim_end_matches(['\r', '\n']);
    if message.len() <= LONGEST_LINE {
        return message.to_owned();
    }
    let end = (0..=LONGEST_LINE).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", message.get(..end).unwrap_or_default())
}

fn traced(environment: &str, line: &LogLine) {
    let LogLine { function, version, call, message, stream, .. } = line;
    let traceparent = line.traceparent.as_deref();
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(target: "function", %environment, %function, version, %call, ?stream, traceparent, fields = ?line.fields, "{message}")
        };
    }
    match line.level {
        Level::Trace => tell!(trace),
        Level::Debug => tell!(debug),
        Level::Info => tell!(info),
        Level::Warn => tell!(warn),
        Level::Error => tell!(error),
    }
}

#[cfg(test)]
mod tests;
