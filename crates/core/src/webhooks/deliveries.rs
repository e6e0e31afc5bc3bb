//! The port behind which deliveries, their attempts, and signing secrets are kept.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SigningSecret;
use crate::{catalog::BoxError, refusal::Refusal};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is to be sent, perhaps again.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Every attempt failed.
    Failed,
    /// It was given up because its endpoint was disabled.
    Cancelled,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Cancelled];

    /// The word used in JSON and columns.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state called `word`.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A message for one endpoint, not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The endpoint's id.
    pub endpoint: String,
    /// The event's id, which names the message everywhere.
    pub event: String,
    /// The event's type.
    pub event_type: String,
    /// What is sent, and signed, byte by byte.
    pub body: String,
    /// Now: when it was made, and when it is due.
    pub at: Timestamp,
}

/// A message for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Rises with each delivery.
    pub id: u64,
    /// The endpoint's id.
    pub endpoint: String,
    /// The event's id.
    pub event: String,
    /// The event's type.
    pub event_type: String,
    /// What is sent.
    pub body: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is sent next, while it is pending; else when that last changed.
    pub due_at: Timestamp,
    /// Attempts since it was made or last replayed.
    pub tries: u32,
    /// What became of it so far, oldest first; of many the last ones.
    pub attempts: Vec<Attempt>,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// What the endpoint answered; `None` when it did not.
    pub status: Option<u16>,
    /// Why it did not count as delivered; `None` when it did.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub response: String,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery's id.
    pub id: u64,
    /// The attempt.
    pub attempt: Attempt,
    /// Where it stands now.
    pub state: DeliveryState,
    /// When it is due again; now when it is done.
    pub due_at: Timestamp,
}

/// How an endpoint fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// When the first attempt failed since one last succeeded; `None` when the last one succeeded.
    pub failing_since: Option<Timestamp>,
    /// Attempts that failed since then.
    pub failures: u64,
}

/// How much of an endpoint's deliveries is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The endpoint's id.
    pub endpoint: String,
    /// At most so many.
    pub limit: u32,
}

/// Which deliveries of an endpoint are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The endpoint's id.
    pub endpoint: String,
    /// Only this one.
    pub id: Option<u64>,
    /// Only of this event.
    pub event: Option<String>,
    /// Only in one of these states; empty: in any.
    pub states: Vec<DeliveryState>,
    /// Only made at this time or later.
    pub since: Option<Timestamp>,
    /// Only made before this time.
    pub until: Option<Timestamp>,
    /// Only with an id below this one.
    pub before: Option<u64>,
    /// At most so many, the newest.
    pub limit: u32,
}

impl Selection {
    /// The newest deliveries of `endpoint`.
    pub fn of(endpoint: &str, limit: u32) -> Self {
        Self { endpoint: endpoint.to_owned(), limit, ..Self::default() }
    }
}

/// A secret and how long it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it stops signing; `None` for the present one.
    pub until: Option<Timestamp>,
}

impl StoredSecret {
    /// A secret that signs until it is replaced.
    pub fn new(secret: SigningSecret, made_at: Timestamp) -> Self {
        Self { secret, made_at, until: None }
    }
}

/// All that is kept about an endpoint beside its document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointState {
    /// Its secrets, newest first, also ones that no longer sign.
    pub secrets: Vec<StoredSecret>,
    /// How it fares.
    pub health: Health,
    /// Deliveries that are pending; counting ends at 1 000.
    pub pending: u64,
}

/// What to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// All about this endpoint.
    Endpoint(String),
    /// Deliveries that were done before this time.
    DoneBefore(Timestamp),
    /// All about endpoints that are not among `keep`, as far as it is from before `before`.
    Strays {
        /// Ids of the endpoints there are.
        keep: Vec<String>,
        /// What is younger belongs to an endpoint that is just being made.
        before: Timestamp,
    },
}

/// All that the port can report.
#[derive(Debug, thiserror::Error)]
pub enum DeliveriesError {
    /// The store does not answer, or cannot write (a full disk).
    #[error("the log of deliveries is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored of deliveries makes no sense")]
    Corrupt(#[source] BoxError),
}

impl From<DeliveriesError> for Refusal {
    fn from(error: DeliveriesError) -> Self {
        match error {
            DeliveriesError::Unavailable(source) => Self::unavailable(source),
            DeliveriesError::Corrupt(source) => Self::corrupt(source),
        }
    }
}

/// Durable home of deliveries. Every implementation passes `testkit::deliveries`.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Stores deliveries, durably; one per endpoint and event, a second one is left out. Returns how many are new.
    async fn enqueue(&self, deliveries: Vec<NewDelivery>) -> Result<u64, DeliveriesError>;

    /// Pending deliveries of each endpoint, the one due first at first, also ones that are not due yet; without their
    /// attempts.
    async fn pending(&self, wants: Vec<Want>) -> Result<Vec<Delivery>, DeliveriesError>;

    /// Notes an attempt. Returns how the endpoint fares; nothing happens to a delivery that is gone, and
    /// one that was cancelled meanwhile is not pending again.
    async fn settle(&self, settled: Settled) -> Result<Health, DeliveriesError>;

    /// The deliveries meant, newest first, with their attempts.
    async fn list(&self, selection: Selection) -> Result<Vec<Delivery>, DeliveriesError>;

    /// Puts the deliveries meant into `state`, due at `at`, as if none had been attempted in this state. Returns how many.
    async fn shift(
        &self,
        selection: Selection,
        state: DeliveryState,
        at: Timestamp,
    ) -> Result<u64, DeliveriesError>;

    /// Secrets and health of an endpoint; empty when nothing is known of it.
    async fn endpoint(&self, endpoint: &str) -> Result<EndpointState, DeliveriesError>;

    /// Adds a secret; the ones before end at `before_until`, or when they end anyway, and ended ones are forgotten.
    async fn add_secret(
        &self,
        endpoint: &str,
        secret: StoredSecret,
        before_until: Timestamp,
    ) -> Result<(), DeliveriesError>;

    /// Forgets. Returns how many deliveries went.
    async fn remove(&self, removal: Removal) -> Result<u64, DeliveriesError>;
}
