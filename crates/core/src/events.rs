//! Events: what the change log looks like from outside, how it is followed, and the port that carries it.

mod cloud;
mod following;
mod known;
mod messages;
mod pattern;
mod rights;
mod seats;
pub mod subject;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    catalog::{BoxError, Change, Revision},
    feed::Feed,
    metrics::Meters,
    permissions::Permission,
    refusal::{Class, Refusal},
    relay::{Sink, Sinks},
    snapshot::Snapshot,
    tasks::Tasks,
};

pub use cloud::{Bodies, CloudEvent};
pub use following::{Follow, Following, Verify};
pub use messages::{Hear, Heard, Listening, MessageError, Messages};
pub use pattern::{Pattern, PatternError};
pub use rights::{Rights, Subjects};
use seats::Seats;

/// Why a bus did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It does not answer, or takes nothing now: the same event is offered again, later.
    #[error("the event bus is unavailable")]
    Unavailable(#[source] BoxError),
    /// It will never take this event, such as one that is too large for it: it is passed over, and recorded.
    #[error("the event bus refuses this event")]
    Refused(#[source] BoxError),
}

/// The bus took only the first events of a batch.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Halted {
    /// How many, from the first on, are acknowledged.
    pub taken: usize,
    /// Why the one after those was not taken.
    #[source]
    pub error: BusError,
}

impl Halted {
    /// The bus has the first `taken` and is then unavailable.
    pub fn unavailable(taken: usize, error: impl Into<BoxError>) -> Self {
        Self { taken, error: BusError::Unavailable(error.into()) }
    }

    /// The bus has the first `taken` and will never take the one after those.
    pub fn refused(taken: usize, error: impl Into<BoxError>) -> Self {
        Self { taken, error: BusError::Refused(error.into()) }
    }
}

/// Carries events to whoever listens.
///
/// A bus is offered what it did not acknowledge again, so events can come twice, and are told apart by their ids.
/// Listeners of a bus that keeps nothing catch up from the change log by `flagbaseseq`.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Hands events over, in the order of the change log, each on its [`CloudEvent::subjects`].
    ///
    /// Returns once the bus has all of them (on disk, when it keeps them). Several may be under way at once, as long as
    /// the bus puts them in order; an acknowledgement counts only when it came for all before it, too. A batch is at
    /// most 64 events. An implementation must not wait for ever: what takes too long is [`BusError::Unavailable`].
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted>;
}

/// Changes looked at for one answer, at most: whoever may see little of a long log gets it in several answers.
const MOST_SCANNED: usize = 10_000;

/// Changes read from the store at once.
const BATCH: u32 = 500;

/// Shows the change log, and lets callers follow it.
pub struct Events {
    feed: Arc<Feed>,
    meters: Arc<Meters>,
    tasks: Tasks,
    seats: Arc<Seats>,
    sinks: Arc<Sinks>,
    messages: Option<Arc<dyn Messages>>,
}

/// A part of the change log.
#[derive(Debug, Clone, Default)]
pub struct ChangesPage {
    /// The changes the caller may see, oldest first.
    pub changes: Vec<Change>,
    /// Where to go on; `None` at the end of the log.
    pub next: Option<Revision>,
}

impl Events {
    /// Events of the changes in `feed`; streams end when `tasks` are told to stop.
    pub fn new(feed: Arc<Feed>, meters: Arc<Meters>, tasks: Tasks) -> Self {
        Self { feed, meters, tasks, seats: Arc::default(), sinks: Arc::default(), messages: None }
    }

    /// The same, with the sinks that are told about and the bus that messages of programs go to, when there is one.
    #[must_use]
    pub fn with_buses(self, sinks: Arc<Sinks>, messages: Option<Arc<dyn Messages>>) -> Self {
        Self { sinks, messages, ..self }
    }

    /// How far each sink is.
    pub fn sinks(&self, caller: &Caller) -> Result<Vec<Sink>, Refusal> {
        self.admit(caller, None)?;
        Ok(self.sinks.all())
    }

    /// Brings what is measured about sinks up to date.
    pub fn measure(&self) {
        self.sinks.measure();
    }

    /// The changes in `which` that the caller may see, at most `limit`; from the first one when it does not say where.
    pub async fn changes(
        &self,
        caller: &Caller,
        which: &Follow,
        limit: usize,
    ) -> Result<ChangesPage, Refusal> {
        let snapshot = self.admit(caller, which.environment.as_deref())?;
        let (mut page, mut scanned) = (ChangesPage::default(), 0);
        let mut cursor = which.after.unwrap_or_default();
        while scanned < MOST_SCANNED {
            let batch = self.feed.catalog().changes(cursor, BATCH).await?;
            let whole = batch.len() == BATCH as usize;
            scanned += batch.len();
            for change in batch {
                cursor = change.revision;
                if which.means(&change) && visible(&snapshot, caller, &change) {
                    page.changes.push(change);
                }
                if page.changes.len() == limit {
                    page.next = Some(cursor);
                    return Ok(page);
                }
            }
            if !whole {
                return Ok(page);
            }
        }
        page.next = Some(cursor);
        Ok(page)
    }

    /// Follows the change log. The caller is verified again whenever something about him changes, by `verify`.
    pub fn follow(&self, caller: Arc<Caller>, verify: Verify, follow: Follow) -> Result<Following, Refusal> {
        self.admit(&caller, follow.environment.as_deref())?;
        let seat = self.seats.take(&caller.id, &self.meters)?;
        Ok(Following::new(Arc::clone(&self.feed), (caller, verify), follow, (seat, self.tasks.stopping())))
    }

    /// Fails for callers who may see no events at all.
    fn admit(&self, caller: &Caller, environment: Option<&str>) -> Result<Arc<Snapshot>, Refusal> {
        let snapshot = self.feed.snapshots().get();
        caller.require_somebody()?;
        if let Some(key) = environment {
            caller.require(&snapshot, snapshot.require_environment(key)?, Permission::EventRead)?;
            return Ok(snapshot);
        }
        let some = snapshot
            .environments()
            .any(|environment| caller.permissions(&snapshot, environment).allow(Permission::EventRead));
        if !some && !may_see_global(&snapshot, caller) {
            let message = "you may not see the events of any environment; ask an administrator for a role that \
                           permits `event.read`";
            return Err(Refusal::new(Class::Forbidden, "forbidden", message));
        }
        Ok(snapshot)
    }
}

/// Whether the caller may see `change`: what belongs to no environment is for those who manage users.
fn visible(snapshot: &Snapshot, caller: &Caller, change: &Change) -> bool {
    match snapshot.environment(&change.id.environment) {
        Some(environment) => caller.permissions(snapshot, environment).allow(Permission::EventRead),
        None => may_see_global(snapshot, caller),
    }
}

fn may_see_global(snapshot: &Snapshot, caller: &Caller) -> bool {
    caller.require_everywhere(snapshot, Permission::UserManage).is_ok()
}
