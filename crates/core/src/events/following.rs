//! Following the change log: every change once, in order, for as long as the caller may see it.
//!
//! Whoever follows is asked for the next event only when the last one went out, so a slow client holds one small batch
//! and makes nobody wait.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{CloudEvent, Pattern, seats::Seat, visible};
use crate::{
    caller::{Caller, Principal},
    catalog::{Change, Kind, Revision},
    feed::Feed,
    refusal::Refusal,
};

/// Changes held for one follower, at most.
const BATCH: u32 = 32;

/// How long to wait when the store does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Verifies the follower again: the same token, as if it came anew.
pub type Verify = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<Caller>, Refusal>> + Send + Sync>;

/// What to follow.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Only changes of this environment; `None`: of all that the caller may see.
    pub environment: Option<String>,
    /// Only events on these subjects; an event's type is one of them.
    pub pattern: Pattern,
    /// Only changes after this one; `None`: from now on when followed, from the first when listed.
    pub after: Option<Revision>,
    /// Up to this change, or to the end there is now when that comes earlier; `None`: for as long as it goes on.
    pub until: Option<Revision>,
}

impl Follow {
    /// Whether `change` is asked for, wherever it is in the log.
    pub(super) fn means(&self, change: &Change) -> bool {
        let here = self.environment.as_ref().is_none_or(|key| *change.id.environment == **key);
        here && self.pattern.matches_any(CloudEvent::subjects_of(change))
    }
}

/// A follower's place in the change log.
pub struct Following {
    reset: Option<Revision>,
    feed: Arc<Feed>,
    caller: Arc<Caller>,
    verify: Verify,
    follow: Follow,
    cursor: Revision,
    until: Option<Revision>,
    batch: VecDeque<Change>,
    head: watch::Receiver<Revision>,
    stop: CancellationToken,
    verified: bool,
    _seat: Seat,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Following {
    pub(super) fn new(
        feed: Arc<Feed>,
        (caller, verify): (Arc<Caller>, Verify),
        follow: Follow,
        (seat, stop): (Seat, CancellationToken),
    ) -> Self {
        let head = feed.follow();
        let now = *head.borrow();
        // A place beyond the end comes from a log that is gone (an older backup was restored): go on from here.
        let cursor = follow.after.unwrap_or(now).min(now);
        let until = follow.until.map(|until| until.min(now));
        let reset = follow.after.filter(|after| *after > now);
        Self {
            reset,
            feed,
            caller,
            verify,
            follow,
            cursor,
            until,
            batch: VecDeque::new(),
            head,
            stop,
            verified: false,
            _seat: seat,
        }
    }

    /// The place that was asked for, when it lies beyond the end of the log: whoever asked knows things that never
    /// happened here, and has to read everything anew.
    pub fn reset(&self) -> Option<Revision> {
        self.reset
    }

    /// The last change that was passed: what to resume after.
    pub fn position(&self) -> Revision {
        self.cursor
    }

    /// Whether everything that was asked for was told.
    pub fn is_over(&self) -> bool {
        self.until.is_some_and(|until| self.cursor >= until)
    }

    /// The next event; `None` when the caller may not follow any more or the server stops.
    pub async fn next(&mut self) -> Option<CloudEvent> {
        let stop = self.stop.clone();
        let until = self.expires_in();
        let next = async {
            tokio::select! {
                event = self.advance() => event,
                () = tokio::time::sleep(until) => None,
            }
        };
        stop.run_until_cancelled(next).await.flatten()
    }

    async fn advance(&mut self) -> Option<CloudEvent> {
        // The token may have been withdrawn after it was checked and before this began to follow.
        if !self.verified && !self.verify_again().await {
            return None;
        }
        loop {
            if self.is_over() {
                return None;
            }
            while let Some(change) = self.batch.pop_front() {
                self.cursor = change.revision;
                if self.concerns_caller(&change) && !self.verify_again().await {
                    return None;
                }
                if self.wanted(&change) {
                    return Some(CloudEvent::of(&change));
                }
                if self.is_over() {
                    return None;
                }
            }
            self.read().await?;
        }
    }

    /// Waits until this node has applied more changes, and reads some of them. Changes are only told once they act.
    async fn read(&mut self) -> Option<()> {
        let head = *self.head.borrow_and_update();
        if self.cursor >= head {
            return self.head.changed().await.ok();
        }
        match self.feed.catalog().changes(self.cursor, BATCH).await {
            Ok(changes) => self.batch.extend(changes.into_iter().filter(|change| change.revision <= head)),
            Err(error) => {
                tracing::warn!(%error, "a stream of events waits for the store");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if self.batch.is_empty() {
            // The log ends before the head that was announced: do not spin on a store that forgets.
            tokio::time::sleep(PAUSE).await;
        }
        Some(())
    }

    async fn verify_again(&mut self) -> bool {
        match (self.verify)().await {
            Ok(caller) => {
                self.verified = true;
                self.caller = caller;
                true
            }
            Err(refusal) => {
                tracing::debug!("a stream of events ends: {refusal}");
                false
            }
        }
    }

    fn concerns_caller(&self, change: &Change) -> bool {
        let key = change.id.key.as_ref();
        match change.id.kind {
            Kind::User => *self.caller.id == *key,
            Kind::Session => self.caller.session.as_deref() == Some(key),
            Kind::ApiKey => {
                matches!(&self.caller.principal, Principal::Key(own) if *own.id == *key)
            }
            _ => false,
        }
    }

    fn wanted(&self, change: &Change) -> bool {
        self.follow.means(change) && visible(&self.feed.snapshots().load(), &self.caller, change)
    }

    fn expires_in(&self) -> Duration {
        const FOREVER: Duration = Duration::from_hours(366 * 24);
        let Some(end) = self.caller.expires_at else {
            return FOREVER;
        };
        Duration::try_from(end.duration_since(self.feed.clock().now())).unwrap_or(Duration::ZERO)
    }
}
