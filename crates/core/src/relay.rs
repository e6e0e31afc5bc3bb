//! The relay: hands the change log to a bus, in order, at least once. One relay, and one place in the log, per sink.
//!
//! The place is kept in the ledger and moves only once the bus has acknowledged, so that a restart goes on from there. A
//! crash between handing over and noting it repeats events, never loses one; receivers tell them apart by their ids.
//! Nothing is kept in memory for a bus that is down: the log keeps it.

mod place;
mod sinks;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{CatalogError, Change, Revision},
    events::{BusError, CloudEvent, EventBus},
    feed::Feed,
    ledger::{Ledger, LedgerError},
    metrics::Meters,
    tasks::Tasks,
};
use place::Place;

pub use place::PassedOver;
pub use sinks::{Sink, Sinks};

/// Changes held at once.
const BATCH: u32 = 64;

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often the relay looks even when nobody said that the log grew.
const POLL: Duration = Duration::from_secs(1);

/// How long the last look may take, at shutdown.
const LAST_WITHIN: Duration = Duration::from_secs(1);

/// Hands every change to one bus.
pub struct Relay {
    feed: Arc<Feed>,
    ledger: Arc<dyn Ledger>,
    bus: Arc<dyn EventBus>,
    meters: Arc<Meters>,
    name: String,
    from_now: bool,
    state: Mutex<State>,
}

/// What a relay knows about itself.
#[derive(Debug, Clone, Default)]
struct State {
    /// `None` until it was read from the ledger.
    place: Option<Place>,
    /// Whether the ledger does not have that place yet.
    unnoted: bool,
    /// When the oldest change that was not handed over yet was made, as far as it was read.
    waiting_since: Option<Timestamp>,
    /// Why the bus does not take it.
    trouble: Option<String>,
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
    /// A relay from the log of `feed` to `bus`, which is called `name` and keeps its place in `ledger`. A sink that was
    /// never there before gets the whole log.
    pub fn new(
        feed: Arc<Feed>,
        ledger: Arc<dyn Ledger>,
        (name, bus): (&str, Arc<dyn EventBus>),
        meters: Arc<Meters>,
    ) -> Self {
        let name = name.to_owned();
        Self { feed, ledger, bus, meters, name, from_now: false, state: Mutex::default() }
    }

    /// The same, but a sink that was never there before gets only what happens from now on.
    #[must_use]
    pub fn from_now(self) -> Self {
        Self { from_now: true, ..self }
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
            let drained = self.drain().await;
            let failed = drained.is_err();
            self.tell(drained.err());
            let wait = if failed { pause } else { POLL };
            pause = if failed { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            let woken = async {
                tokio::select! {
                    changed = head.changed(), if !failed => changed.is_ok(),
                    () = tokio::time::sleep(wait) => true,
                }
            };
            if stop.run_until_cancelled(woken).await != Some(true) {
                break;
            }
        }
        // What was changed last is handed over now if that is quick, and after the next start if not.
        let _ = tokio::time::timeout(LAST_WITHIN, self.drain()).await;
    }

    /// Says once that something is wrong, and once that it is over.
    fn tell(&self, error: Option<RelayError>) {
        let trouble = error.map(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
        let before = std::mem::replace(&mut self.state.lock().trouble, trouble.clone());
        match (before, trouble) {
            (None, Some(error)) => {
                tracing::warn!(sink = self.name, "events are held back, trying again: {error}");
            }
            (Some(_), None) => tracing::info!(sink = self.name, "events go out again"),
            _ => {}
        }
    }

    /// Hands over everything that this node has applied. Returns the last change that was handed over, or passed over.
    pub async fn drain(&self) -> Result<Revision, RelayError> {
        let mut place = self.place().await?;
        loop {
            self.note_place(&place).await?;
            let head = self.feed.snapshots().load().revision;
            if place.revision >= head {
                self.state.lock().waiting_since = None;
                return Ok(place.revision);
            }
            let mut changes = self.feed.catalog().changes(place.revision, BATCH).await?;
            changes.retain(|change| change.revision <= head);
            if changes.is_empty() {
                return Ok(place.revision);
            }
            self.state.lock().waiting_since = changes.first().map(|change| change.at);
            let before = place.revision;
            let outcome = self.hand_over(&changes, &mut place).await;
            if place.revision > before {
                let waiting = changes.iter().find(|change| change.revision > place.revision);
                let mut state = self.state.lock();
                state.waiting_since = waiting.map(|change| change.at);
                state.place = Some(place.clone());
                state.unnoted = true;
            }
            if let Err(error) = outcome {
                self.note_place(&place).await?;
                return Err(error);
            }
        }
    }

    /// Nothing more is handed over before the ledger has the place: a disk that is full must not make the same events
    /// come again and again, nor more of them come again after a restart.
    async fn note_place(&self, place: &Place) -> Result<(), LedgerError> {
        if self.state.lock().unnoted {
            self.ledger.note(&self.note(), Some(place.to_note())).await?;
            self.state.lock().unnoted = false;
        }
        Ok(())
    }

    /// Offers `changes` to the bus and moves `place` behind what it has taken, or will never take.
    async fn hand_over(&self, changes: &[Change], place: &mut Place) -> Result<(), RelayError> {
        let events: Vec<_> = changes.iter().map(CloudEvent::of).collect();
        let Err(halted) = self.bus.publish(&events).await else {
            self.taken(changes, place);
            return Ok(());
        };
        let (taken, rest) = changes.split_at(halted.taken.min(changes.len()));
        self.taken(taken, place);
        match (halted.error, rest.first()) {
            (BusError::Refused(reason), Some(refused)) => {
                self.pass_over(refused, &reason.to_string(), place);
                Ok(())
            }
            (error, _) => {
                self.meters.published(&self.name, "error");
                Err(error.into())
            }
        }
    }

    fn taken(&self, changes: &[Change], place: &mut Place) {
        for change in changes {
            self.meters.published(&self.name, "ok");
            let age: SignedDuration = self.feed.clock().now().duration_since(change.at);
            self.meters.propagated(Duration::try_from(age).unwrap_or_default());
            place.revision = change.revision;
        }
    }

    /// One event that a bus will never take must not hold back all that follow.
    fn pass_over(&self, change: &Change, reason: &str, place: &mut Place) {
        let (revision, event) = (change.revision, change.event);
        tracing::error!(sink = self.name, revision, %event, "an event is passed over, the sink refuses it: {reason}");
        self.meters.published(&self.name, "refused");
        place.pass_over(change, reason, self.feed.clock().now());
    }

    async fn place(&self) -> Result<Place, LedgerError> {
        if let Some(place) = self.state.lock().place.clone() {
            return Ok(place);
        }
        let head = self.feed.snapshots().load().revision;
        let place = match self.ledger.note(&self.note(), None).await? {
            Some(note) => Place::of_note(&note, head),
            None => Place { revision: if self.from_now { head } else { 0 }, ..Place::default() },
        };
        self.state.lock().place = Some(place.clone());
        Ok(place)
    }

    fn note(&self) -> String {
        format!("relay.{}", self.name)
    }
}
