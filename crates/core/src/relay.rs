//! The relay: hands the change log to a bus, in order, at least once.
//!
//! Where it got to is kept in the ledger, so that a restart goes on from there. A crash between handing over and
//! noting it repeats events, never loses one; receivers tell them apart by their ids.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{CatalogError, Change, Revision},
    events::{BusError, CloudEvent, EventBus},
    feed::Feed,
    ledger::{Ledger, LedgerError},
    metrics::Meters,
    tasks::Tasks,
};

/// Changes held at once.
const BATCH: u32 = 64;

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often the log is read even when nobody said that it grew.
const POLL: Duration = Duration::from_secs(30);

/// Hands every change to one bus.
pub struct Relay {
    feed: Arc<Feed>,
    ledger: Arc<dyn Ledger>,
    bus: Arc<dyn EventBus>,
    meters: Arc<Meters>,
    name: String,
}

/// Why the relay did not get to the end of the log. What was handed over before is not lost.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The place in the log cannot be read or noted.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The bus does not take the event.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Relay {
    /// A relay from the log of `feed` to `bus`, which is called `name` and keeps its place in `ledger`.
    pub fn new(
        feed: Arc<Feed>,
        ledger: Arc<dyn Ledger>,
        (name, bus): (&str, Arc<dyn EventBus>),
        meters: Arc<Meters>,
    ) -> Self {
        Self { feed, ledger, bus, meters, name: name.to_owned() }
    }

    /// Starts the task that relays until shutdown.
    pub fn start(self: Arc<Self>, tasks: &Tasks) {
        let stop = tasks.stopping();
        tasks.spawn("events.relay", async move { self.run(&stop).await });
    }

    async fn run(&self, stop: &CancellationToken) {
        let mut head = self.feed.follow();
        let mut pause = FIRST_PAUSE;
        loop {
            head.mark_unchanged();
            // Not given up half way at shutdown: a place that is noted saves repeating.
            let wait = match self.drain().await {
                Ok(_) => {
                    pause = FIRST_PAUSE;
                    POLL
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(bus = self.name, source, "events are held back, trying again: {error}");
                    let now = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    now
                }
            };
            let failed = wait < POLL;
            let woken = async {
                tokio::select! {
                    changed = head.changed(), if !failed => changed.is_ok(),
                    () = tokio::time::sleep(wait) => true,
                }
            };
            if stop.run_until_cancelled(woken).await != Some(true) {
                return;
            }
        }
    }

    /// Hands over everything up to the end of the log. Returns the last change that was handed over.
    pub async fn drain(&self) -> Result<Revision, RelayError> {
        let mut cursor = self.cursor().await?;
        loop {
            let changes = self.feed.catalog().changes(cursor, BATCH).await?;
            let Some(last) = changes.last().map(|change| change.revision) else {
                return Ok(cursor);
            };
            let mut handed = cursor;
            let outcome = self.hand_over(&changes, &mut handed).await;
            if handed > cursor {
                cursor = handed;
                self.ledger.note(&self.note(), Some(json!({ "revision": cursor }))).await?;
            }
            outcome?;
            debug_assert_eq!(cursor, last, "everything was handed over");
        }
    }

    async fn hand_over(&self, changes: &[Change], handed: &mut Revision) -> Result<(), RelayError> {
        let events: Vec<_> = changes.iter().map(CloudEvent::of).collect();
        let outcome = self.bus.publish(&events).await;
        let taken = outcome.as_ref().err().map_or(events.len(), |halted| halted.taken.min(events.len()));
        for change in changes.iter().take(taken) {
            self.meters.published(&self.name, "ok");
            *handed = change.revision;
            let age: SignedDuration = self.feed.clock().now().duration_since(change.at);
            self.meters.propagated(Duration::try_from(age).unwrap_or_default());
        }
        outcome.map_err(|halted| RelayError::Bus(halted.error))
    }

    async fn cursor(&self) -> Result<Revision, LedgerError> {
        let note = self.ledger.note(&self.note(), None).await?;
        let revision = note.as_ref().and_then(|note| note.get("revision")).and_then(Value::as_u64);
        // Beyond the end: the log was restored from an older backup.
        Ok(revision.unwrap_or_default().min(self.feed.snapshots().load().revision))
    }

    fn note(&self) -> String {
        format!("relay.{}", self.name)
    }
}
