//! Handing over what is due, and noting what became of it.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    NewOccasion, OccasionsError, Queued, Settled, Triggers,
    lanes::earlier,
    moments::Tick,
    pause::pause,
    sink::{DEAD_LETTERED, document},
};
use crate::{
    caller::Caller,
    catalog::{Actor, DocumentId, Draft, Expect, Write},
    feed::Feed,
    functions::{Fault, Occasion, Under, Visit},
    refusal::Refusal,
};

/// How long at most until it looks again, and how often everybody is asked for.
const POLL: Duration = Duration::from_secs(30);

/// How long nothing is tried after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// How long a function is left alone that has no room.
const ROOM_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// How long a stop waits for what is under way; what has not ended by then is offered again after the next start.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The longest text of a fault that is kept, in characters.
const LONGEST_FAULT: usize = 500;

type Flight = BoxFuture<'static, ()>;

impl Triggers {
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut head = self.feed.follow();
        let mut flights: FuturesUnordered<Flight> = FuturesUnordered::new();
        loop {
            head.mark_unchanged();
            let (due, wait) = self.look().await.unwrap_or_else(|error| {
                tracing::warn!("functions are not told of events for now, trying again: {error}");
                (Vec::new(), STORE_PAUSE)
            });
            flights.extend(due);
            tokio::select! {
                () = stop.cancelled() => break,
                _ = flights.next(), if !flights.is_empty() => {}
                () = self.wake.notified() => {}
                // A function was changed, perhaps.
                changed = head.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(wait) => if wait == POLL { self.lanes.lock().wake_all() },
            }
        }
        let last = async { while flights.next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, last).await;
    }

    /// Hands over everything that is due now and there is room for, and waits for the end of it. Returns how many
    /// occasions that were.
    pub async fn round(self: &Arc<Self>) -> Result<usize, OccasionsError> {
        let (due, _) = self.look().await?;
        let flights: FuturesUnordered<_> = due.into_iter().collect();
        Ok(flights.count().await)
    }

    /// Takes what is due and there is room for. Says, too, how long nothing else is due.
    async fn look(self: &Arc<Self>) -> Result<(Vec<Flight>, Duration), OccasionsError> {
        let snapshot = self.feed.snapshots().get();
        let now = self.feed.clock().now();
        let (ticks, tick_next) =
            self.moments.lock().await.look(&snapshot, self.occasions.as_ref(), now).await?;
        let mut flights: Vec<Flight> =
            ticks.into_iter().map(|tick| Arc::clone(self).fly_tick(tick).boxed()).collect();
        let asked = {
            let functions = snapshot.environments().flat_map(|environment| environment.functions.values());
            let functions = functions.map(|function| (document(function), &**function));
            self.lanes.lock().ask(functions, now)
        };
        let waiting = if asked.wants.is_empty() {
            Ok(Vec::new())
        } else {
            self.occasions.waiting(asked.wants.clone()).await
        };
        let waiting = match waiting {
            Ok(waiting) => waiting,
            // Moments that were taken must run, whatever else fails.
            Err(error) if !flights.is_empty() => {
                tracing::warn!("what waits for functions cannot be read, trying again: {error}");
                return Ok((flights, STORE_PAUSE));
            }
            Err(error) => return Err(error),
        };
        let (taken, next) = self.lanes.lock().take(waiting, asked, now);
        flights.extend(taken.into_iter().map(|queued| Arc::clone(self).fly(queued).boxed()));
        let next = tick_next.map_or(next, |tick| Some(earlier(next, tick)));
        let wait = next.map_or(POLL, |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        Ok((flights, wait.clamp(Duration::from_millis(10), POLL)))
    }

    /// One attempt, and what becomes of it.
    async fn fly(self: Arc<Self>, queued: Queued) {
        let outcome = self.hand_over(&queued.function, queued.occasion.clone()).await;
        let now = self.feed.clock().now();
        let leave_until = match &outcome {
            // Nobody's fault, and no attempt.
            Err(Fault::Busy { .. } | Fault::Exhausted) => now.checked_add(ROOM_PAUSE).ok(),
            outcome => match self.settle(&queued, outcome.as_ref().err(), now).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(
                        function = %queued.function,
                        "what became of an event cannot be noted, it will be offered again: {error}"
                    );
                    now.checked_add(SignedDuration::try_from(STORE_PAUSE).unwrap_or_default()).ok()
                }
            },
        };
        self.lanes.lock().landed(&queued, leave_until);
    }

    async fn settle(&self, queued: &Queued, fault: Option<&Fault>, now: Timestamp) -> Result<(), Refusal> {
        let tries = queued.tries.saturating_add(1);
        let settled = match fault {
            None => Settled::Done,
            Some(fault) if tries >= queued.attempts => {
                self.announce(&queued.function, (&queued.trigger, &queued.occasion), fault).await?;
                Settled::Dead(now, told(fault))
            }
            Some(fault) => {
                let wait = SignedDuration::try_from(pause(tries, self.feed.random())).unwrap_or_default();
                Settled::Later(now.checked_add(wait).unwrap_or(Timestamp::MAX), told(fault))
            }
        };
        Ok(self.occasions.settle(queued.id, settled).await?)
    }

    /// Runs what a moment started. It is not tried again; what failed can be looked at, and replayed.
    async fn fly_tick(self: Arc<Self>, tick: Tick) {
        let Err(fault) = self.hand_over(&tick.function, tick.occasion.clone()).await else { return };
        let Tick { function, trigger, occasion, at } = tick;
        if let Err(error) = self.announce(&function, (&trigger, &occasion), &fault).await {
            tracing::warn!(%function, trigger, "a moment that failed cannot be told of: {error}");
        }
        let (id, at) = (at.to_string(), self.feed.clock().now());
        let (name, dead) = (function.clone(), Some(told(&fault)));
        let letter = NewOccasion { function, trigger, id, occasion, attempts: 1, at, dead };
        if let Err(error) = self.occasions.enqueue(vec![letter]).await {
            tracing::warn!(function = %name, "a moment that failed cannot be noted: {error}");
        }
    }

    /// Calls the version that nobody in particular gets.
    async fn hand_over(&self, function: &DocumentId, occasion: Occasion) -> Result<(), Fault> {
        let snapshot = self.feed.snapshots().get();
        let found = snapshot
            .environment(&function.environment)
            .and_then(|environment| Some((environment, environment.functions.get(&function.key)?)));
        // Deleted meanwhile, and what waited for it with it.
        let Some((environment, function)) = found else { return Ok(()) };
        let caller = Caller::nobody();
        let chosen = function.choose(environment, &caller, || caller.context(environment, |_| None));
        let Some((deployed, said, _)) = chosen else {
            return Err(Fault::Unstartable("none of its versions is promoted".to_owned()));
        };
        let under: Vec<Under> = said.and_then(|said| said.under()).into_iter().collect();
        let visit = Visit {
            deployed: Arc::clone(deployed),
            caller: Arc::clone(&caller),
            id: self.feed.random().uuid7(self.feed.clock()).to_string().into(),
            trace: None,
            attributes: Arc::default(),
        };
        self.runner.deliver(visit, under, occasion).await
    }

    /// Says on the bus that a function did not take something, unless that was to say just this: nobody would ever
    /// come to an end.
    async fn announce(
        &self,
        function: &DocumentId,
        (trigger, occasion): (&str, &Occasion),
        fault: &Fault,
    ) -> Result<(), Refusal> {
        let what = match occasion {
            Occasion::Event(event) if event.kind == DEAD_LETTERED => return Ok(()),
            Occasion::Event(event) => json!({ "event": event.id, "subject": event.subject }),
            Occasion::Tick { at, .. } => json!({ "moment": at.to_string() }),
        };
        let mut detail = json!({ "trigger": trigger, "code": fault.code(), "fault": told(fault) });
        if let (Value::Object(detail), Value::Object(what)) = (&mut detail, what) {
            detail.extend(what);
        }
        tracing::warn!(%function, trigger, "a function did not take something, it is laid aside: {fault}");
        let (verb, expect, write) = ("dead_lettered", Expect::Any, Write::Nothing);
        let draft = Draft { id: function.clone(), verb, expect, write, detail };
        let feed = Arc::clone(&self.feed);
        // To its end, also when the server stops meanwhile: what is logged must also be applied.
        let logged = Feed::finish(async move {
            feed.edit().await.commit(Actor::system(), "every attempt failed", vec![draft]).await
        });
        if let Some(logged) = logged.await {
            logged?;
        }
        Ok(())
    }
}

/// A fault, as it is kept.
fn told(fault: &Fault) -> String {
    fault.to_string().chars().take(LONGEST_FAULT).collect()
}
