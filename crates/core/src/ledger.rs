//! The ledger: measurements, kept as additive rollups and as the events people recorded.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::catalog::BoxError;

/// Width of a rollup bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resolution {
    /// Ten seconds.
    TenSeconds,
    /// One minute.
    Minute,
    /// One hour.
    Hour,
}

impl Resolution {
    /// All, finest first.
    pub const ALL: [Self; 3] = [Self::TenSeconds, Self::Minute, Self::Hour];

    /// Width in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::TenSeconds => 10,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    /// The start, in seconds since the epoch, of the bucket that holds `at`.
    pub fn bucket(self, at: Timestamp) -> i64 {
        at.as_second().div_euclid(self.seconds()) * self.seconds()
    }
}

/// What one rollup cell counts. `flag` and `variant` are empty where they do not apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// The environment.
    pub environment: Arc<str>,
    /// The gateway route's id; empty for events.
    pub route: Arc<str>,
    /// The flag's key.
    pub flag: Arc<str>,
    /// The variant's name.
    pub variant: Arc<str>,
    /// `request.2xx` … `request.5xx` for gateway requests, `exposure` for evaluations, else the event type.
    pub metric: Arc<str>,
}

/// Totals of one series in one bucket. Adding two of them is the only way they change.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// How many.
    pub count: u64,
    /// Sum of the values (latencies in milliseconds for requests).
    pub sum: f64,
    /// Sum of the squares of the values.
    pub sum_squares: f64,
    /// The greatest value.
    pub max: f64,
}

impl Totals {
    /// Adds `other` to these.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
        self.max = self.max.max(other.max);
    }
}

/// One cell to add to, or one read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollup {
    /// What is counted.
    pub series: Series,
    /// Start of the bucket, seconds since the epoch.
    pub bucket: i64,
    /// The totals.
    pub totals: Totals,
}

/// An event somebody recorded about a flag.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// The environment.
    pub environment: Arc<str>,
    /// Names the event once and for all: a second one with the same id in the environment is a duplicate.
    pub event_id: String,
    /// The flag's key.
    pub flag: Arc<str>,
    /// The variant's name.
    pub variant: Arc<str>,
    /// What happened: `error`, `conversion`, …
    pub event_type: Arc<str>,
    /// How much; `None` when only that it happened matters.
    pub value: Option<f64>,
    /// Whom it happened to.
    pub unit: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Who sent it.
    pub recorded_by: Arc<str>,
}

/// Which rollups to read.
#[derive(Debug, Clone)]
pub struct RollupQuery {
    /// The environment.
    pub environment: String,
    /// Only this flag.
    pub flag: Option<String>,
    /// Only this route.
    pub route: Option<String>,
    /// Bucket width.
    pub resolution: Resolution,
    /// From this bucket start on, seconds.
    pub from: i64,
    /// Before this bucket start, seconds.
    pub until: i64,
}

/// How many events of one type a flag had: events without a unit, plus distinct units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCount {
    /// The flag's key.
    pub flag: String,
    /// Events without a unit.
    pub without_unit: u64,
    /// Distinct units.
    pub units: u64,
}

impl EventCount {
    /// What a guard compares: each unit once, each event without a unit by itself.
    pub fn total(&self) -> u64 {
        self.without_unit + self.units
    }
}

/// All that the ledger can report.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store does not answer, or cannot write (a full disk).
    #[error("the ledger is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored in the ledger makes no sense")]
    Corrupt(#[source] BoxError),
}

/// Durable home of measurements. Every implementation passes `testkit::ledger`.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Stores events that are new, durably, and adds them to the rollups of all resolutions in the same
    /// transaction (series: empty route, the event's flag, variant and type). Returns, per event, whether it was new.
    async fn record(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, LedgerError>;

    /// Adds to rollups: each is given in [`Resolution::TenSeconds`] and added to all resolutions.
    async fn add(&self, rollups: Vec<Rollup>) -> Result<(), LedgerError>;

    /// Reads rollups, oldest bucket first.
    async fn rollups(&self, query: RollupQuery) -> Result<Vec<Rollup>, LedgerError>;

    /// Counts events of `event_type` per flag with `since <= at`; only `flag` when given.
    async fn count_events(
        &self,
        environment: &str,
        event_type: &str,
        since: Timestamp,
        flag: Option<&str>,
    ) -> Result<Vec<EventCount>, LedgerError>;

    /// Raw events of a flag, newest first.
    async fn events(
        &self,
        environment: &str,
        flag: &str,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, LedgerError>;

    /// Forgets events and fine rollups older than `before`; hours are kept. Returns how many rows went.
    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError>;

    /// Small named notes, such as a cursor.
    async fn note(&self, name: &str, set: Option<Value>) -> Result<Option<Value>, LedgerError>;
}
