//! One call: who, until when, and what it may still write to its log.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use flagbase_core::functions::{Evaluator, Host, Level, Limits, Stream, Visit};
use tokio::time::Instant;

use super::outbound::Outside;

/// What everything that serves one call shares.
pub(crate) struct Call {
    /// Of what, by whom.
    pub(crate) visit: Visit,
    /// What the guest reaches.
    pub(crate) host: Arc<Host>,
    /// The way to the outside.
    pub(crate) outside: Arc<Outside>,
    /// When it has taken too long.
    pub(crate) deadline: Instant,
    /// Raised whenever the guest had to be interrupted while computing.
    pub(crate) computing: AtomicBool,
    evaluator: OnceLock<Evaluator>,
    log_left: AtomicU64,
}

impl Call {
    /// A call that begins now.
    pub(crate) fn new(visit: Visit, host: Arc<Host>, outside: Arc<Outside>) -> Self {
        let limits = &visit.deployed.settings.limits;
        Self {
            deadline: Instant::now() + limits.timeout,
            computing: AtomicBool::new(false),
            evaluator: OnceLock::new(),
            log_left: AtomicU64::new(limits.log),
            visit,
            host,
            outside,
        }
    }

    /// What it may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.visit.deployed.settings.limits
    }

    /// Evaluates flags for whoever is calling.
    pub(crate) fn evaluator(&self) -> &Evaluator {
        self.evaluator.get_or_init(|| self.host.evaluator(&self.visit))
    }

    /// Writes a line to the function's log, as long as the call may write more.
    pub(crate) fn log(&self, level: Level, stream: Stream, message: &str, fields: Vec<(String, String)>) {
        let size = fields.iter().fold(message.len() + 1, |sum, (name, value)| sum + name.len() + value.len());
        let take = |left: u64| Some(left.saturating_sub(size as u64));
        let left = self.log_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
        if size as u64 <= left {
            self.host.log(&self.visit, (level, stream), message, fields);
        } else if left > 0 {
            let most = self.limits().log;
            let message = format!("the log of this call ends here: it may write {most} bytes");
            self.host.log(&self.visit, (Level::Warn, Stream::Host), &message, Vec::new());
        }
    }
}
