//! The port behind which events wait for functions, and lie when no attempt succeeded.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    catalog::{BoxError, DocumentId},
    functions::Occasion,
    refusal::Refusal,
};

/// Occasions of one function that may wait at once; what comes on top is not taken.
pub const MOST_WAITING: u32 = 10_000;

/// Occasions of one function that lie dead; when there are more, the oldest goes.
pub const MOST_DEAD: u32 = 1_000;

/// What is to be handed to a function, not stored yet.
#[derive(Debug, Clone)]
pub struct NewOccasion {
    /// For whom.
    pub function: DocumentId,
    /// The name of the trigger.
    pub trigger: String,
    /// Names it: a second one of the same name for the same trigger is left out.
    pub id: String,
    /// What it is.
    pub occasion: Occasion,
    /// How often it is offered, at most.
    pub attempts: u32,
    /// Now: when it was made, and when it is due.
    pub at: Timestamp,
    /// Why it is dead from the beginning; `None`: it is not.
    pub dead: Option<String>,
}

/// What waits for a function, or lies dead.
#[derive(Debug, Clone)]
pub struct Queued {
    /// Rises with each of them.
    pub id: u64,
    /// For whom.
    pub function: DocumentId,
    /// The name of the trigger.
    pub trigger: String,
    /// What it is; an event knows which attempt comes next.
    pub occasion: Occasion,
    /// How often it is offered, at most.
    pub attempts: u32,
    /// How often it was offered since it was made or last replayed.
    pub tries: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is due; of the dead: since when they are.
    pub due_at: Timestamp,
    /// Why the last attempt failed.
    pub fault: Option<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The function took it: it is forgotten.
    Done,
    /// It is offered again at this time.
    Later(Timestamp, String),
    /// It is not offered any more, since this time.
    Dead(Timestamp, String),
}

/// What became of new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enqueued {
    /// Stored.
    pub new: u64,
    /// Not taken: so many wait for that function already.
    pub refused: u64,
}

/// Which dead letters of a function are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(u64),
    /// All of them.
    All,
}

/// Durable home of what waits for functions. Every implementation passes `testkit::occasions`.
///
/// What waits for a function goes with its document, in the same transaction.
#[async_trait]
pub trait Occasions: Send + Sync {
    /// Stores occasions, durably, each once per trigger and id.
    async fn enqueue(&self, occasions: Vec<NewOccasion>) -> Result<Enqueued, OccasionsError>;

    /// What waits for each of these functions, at most so many, the one due first at first, also what is not due yet.
    async fn waiting(&self, wants: Vec<(DocumentId, u32)>) -> Result<Vec<Queued>, OccasionsError>;

    /// Notes an attempt. Nothing happens to what is gone.
    async fn settle(&self, id: u64, settled: Settled) -> Result<(), OccasionsError>;

    /// Takes a moment of a schedule: notes it as the last one of that trigger, unless that one or a later one is noted.
    /// Returns whether it did: each moment is taken once.
    async fn take(
        &self,
        function: &DocumentId,
        trigger: &str,
        moment: Timestamp,
    ) -> Result<bool, OccasionsError>;

    /// The last moment taken of each schedule of a function, by the trigger's name.
    async fn taken(&self, function: &DocumentId) -> Result<BTreeMap<String, Timestamp>, OccasionsError>;

    /// Dead letters of a function, newest first, with an id below `before` when given.
    async fn dead(
        &self,
        function: &DocumentId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Queued>, OccasionsError>;

    /// Lets dead letters wait again, due at `at`, as if none had been offered before. Returns how many.
    async fn replay(&self, function: &DocumentId, which: Which, at: Timestamp)
    -> Result<u64, OccasionsError>;

    /// Forgets dead letters. Returns how many.
    async fn bury(&self, function: &DocumentId, which: Which) -> Result<u64, OccasionsError>;
}

/// All that the port can report.
#[derive(Debug, thiserror::Error)]
pub enum OccasionsError {
    /// The store does not answer, or cannot write (a full disk).
    #[error("the queue of functions is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored of the queue of functions makes no sense")]
    Corrupt(#[source] BoxError),
}

impl From<OccasionsError> for Refusal {
    fn from(error: OccasionsError) -> Self {
        match error {
            OccasionsError::Unavailable(source) => Self::unavailable(source),
            OccasionsError::Corrupt(source) => Self::corrupt(source),
        }
    }
}
