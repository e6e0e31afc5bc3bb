//! The watcher: looks at every guard now and then, and does what the verdict says.
//!
//! It holds nothing while it looks: counting is a read of its own, and disabling is the use case behind the button, so
//! a watcher that waits for the store keeps nobody else from writing.

use std::{sync::Arc, time::Duration};

use flagbase_engine::guard::{AbsoluteCount, Rule, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Guard;
use crate::{
    catalog::{Actor, DocumentId, Kind, Revision},
    feed::Feed,
    flags::{Flags, Switch},
    ledger::{EventCount, Ledger},
    metrics::Meters,
    refusal::{Class, Refusal},
    tasks::Tasks,
};

/// How often a trip is tried again at once when somebody edits the flag in the same second.
const ATTEMPTS: u32 = 5;

/// Changes of a flag read at once when looking for the moment it was turned on.
const PAGE: u32 = 50;

/// Looks at guards and takes flags back.
pub struct Watcher {
    feed: Arc<Feed>,
    flags: Arc<Flags>,
    ledger: Arc<dyn Ledger>,
    meters: Arc<Meters>,
}

/// What one look at all guards came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// Guards that could be judged.
    pub judged: usize,
    /// Guards that could not: no data is neither good nor bad.
    pub inconclusive: usize,
    /// Flags taken back.
    pub trips: Vec<Trip>,
}

/// A flag taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// The environment's key.
    pub environment: Arc<str>,
    /// The flag's key.
    pub flag: String,
    /// The guard's key.
    pub guard: String,
    /// What was counted, and against what.
    pub evidence: Value,
}

/// A guard, where it stands, and when it is looked at.
struct Post<'a> {
    environment: &'a Arc<str>,
    guard: &'a Guard,
    rule: &'a AbsoluteCount,
    now: Timestamp,
}

impl Post<'_> {
    /// The beginning of the window.
    fn since(&self) -> Timestamp {
        let window = i64::try_from(self.rule.window_seconds).unwrap_or(i64::MAX);
        self.now.checked_sub(SignedDuration::from_secs(window)).unwrap_or(Timestamp::MIN)
    }
}

impl Watcher {
    /// Watches the flags of `feed`, counting in `ledger` and disabling through `flags`.
    pub fn new(feed: Arc<Feed>, flags: Arc<Flags>, ledger: Arc<dyn Ledger>, meters: Arc<Meters>) -> Self {
        Self { feed, flags, ledger, meters }
    }

    /// Starts the task that looks every `interval`. A look that takes longer than that is given up and begun anew.
    pub fn start(self: Arc<Self>, tasks: &Tasks, interval: Duration) {
        let stop = tasks.stopping();
        tasks.spawn("guards.watch", async move {
            let mut ticks = tokio::time::interval(interval.max(Duration::from_secs(1)));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                let look = self.look(self.feed.clock().now());
                let Some(done) = stop.run_until_cancelled(tokio::time::timeout(interval * 2, look)).await
                else {
                    return;
                };
                if done.is_err() {
                    tracing::warn!("looking at the guards took too long; trying again");
                }
            }
        });
    }

    /// Looks at every enabled guard of every environment once.
    pub async fn look(&self, now: Timestamp) -> Look {
        let snapshot = self.feed.snapshots().get();
        let mut look = Look::default();
        self.meters.clear_guard_evidence();
        for environment in snapshot.environments() {
            let mut guards: Vec<_> = environment.guards.values().filter(|guard| guard.enabled).collect();
            guards.sort_by(|a, b| a.key.cmp(&b.key));
            for guard in guards {
                let Rule::AbsoluteCount(rule) = &guard.rule;
                let post = Post { environment: &environment.key, guard, rule, now };
                match self.judge(&post, &mut look.trips).await {
                    Ok(()) => look.judged += 1,
                    Err(error) => {
                        look.inconclusive += 1;
                        self.meters.guard_looked(&guard.key, "inconclusive");
                        let source = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(
                            guard = guard.key,
                            environment = %environment.key,
                            source,
                            "guard cannot judge, trying again at the next look: {error}"
                        );
                    }
                }
            }
        }
        self.meters.guards_checked(now);
        look
    }

    async fn judge(&self, post: &Post<'_>, trips: &mut Vec<Trip>) -> Result<(), Refusal> {
        let counts = self.count(post, post.since(), None).await?;
        for count in counts.iter().filter(|count| post.guard.watches(&count.flag)) {
            self.meters.guard_evidence(&count.flag, &post.guard.key, evidence_log(post.rule, count));
            if post.rule.judge(count.total()).is_trip() {
                trips.extend(self.trip(post, &count.flag).await?);
            }
        }
        self.meters.guard_looked(&post.guard.key, "judged");
        Ok(())
    }

    /// Takes the flag back, unless it is off already, gone, or was turned on since most of the events.
    async fn trip(&self, post: &Post<'_>, flag: &str) -> Result<Option<Trip>, Refusal> {
        for _ in 0..ATTEMPTS {
            let Some(seen) = self.enabled_at(post, flag) else {
                return Ok(None);
            };
            let since = self.turned_on(post, flag).await?.map_or(post.since(), |on| on.max(post.since()));
            let counts = self.count(post, since, Some(flag)).await?;
            let Some(count) = counts.iter().find(|count| count.flag == flag) else {
                return Ok(None);
            };
            let Verdict::Trip(verdict) = post.rule.judge(count.total()) else {
                return Ok(None);
            };
            let evidence = evidence(post, since, count, &verdict.summary);
            let reason = format!("guard `{}`: {}", post.guard.key, verdict.summary);
            match self.disable(post, (flag, seen), &reason, &evidence).await {
                Ok(false) => return Ok(None),
                Ok(true) => return Ok(Some(self.tripped(post, flag, evidence))),
                // Somebody edits at this very moment: look again at what there is now.
                Err(refusal) if matches!(refusal.class, Class::Stale | Class::Conflict) => {
                    self.feed.catch_up().await?;
                }
                Err(refusal) if refusal.class == Class::NotFound => return Ok(None),
                Err(refusal) => return Err(refusal),
            }
        }
        tracing::warn!(
            flag,
            guard = post.guard.key,
            "the flag changes all the time; trying again at the next look"
        );
        Ok(None)
    }

    async fn disable(
        &self,
        post: &Post<'_>,
        (key, seen): (&str, Revision),
        reason: &str,
        evidence: &Value,
    ) -> Result<bool, Refusal> {
        let guard = post.guard;
        let name = if guard.name.is_empty() { &guard.key } else { &guard.name };
        let actor = Actor { kind: "guard".into(), id: guard.key.as_str().into(), name: name.as_str().into() };
        let (flags, environment) = (Arc::clone(&self.flags), Arc::clone(post.environment));
        let (key, reason, detail) = (key.to_owned(), reason.to_owned(), evidence.clone());
        // To its end, even when the look is given up: what is logged must also be applied.
        let switched = Feed::finish(async move {
            let (environment, key, reason) = (environment.as_ref(), key.as_str(), reason.as_str());
            let seen = Some(seen);
            flags.switch(Switch { environment, key, enabled: false, actor, reason, detail, seen }).await
        });
        let failed =
            || Refusal::new(Class::Internal, "internal", "disabling the flag failed inside the server");
        switched.await.ok_or_else(failed)?.map(|(_, changed)| changed)
    }

    fn tripped(&self, post: &Post<'_>, flag: &str, evidence: Value) -> Trip {
        self.meters.guard_acted("disable");
        self.meters.guard_looked(&post.guard.key, "trip");
        tracing::warn!(
            flag,
            environment = %post.environment,
            guard = post.guard.key,
            %evidence,
            "guard took a flag back"
        );
        Trip {
            environment: Arc::clone(post.environment),
            flag: flag.to_owned(),
            guard: post.guard.key.clone(),
            evidence,
        }
    }

    /// The revision of the flag as this node has it, while it is enabled.
    fn enabled_at(&self, post: &Post<'_>, flag: &str) -> Option<Revision> {
        let snapshot = self.feed.snapshots().get();
        let flag = snapshot.environment(post.environment)?.rules.flag(flag)?;
        flag.enabled().then(|| flag.revision())
    }

    /// When the flag was last turned on, if that was within the window: only what happened since counts against it.
    async fn turned_on(&self, post: &Post<'_>, flag: &str) -> Result<Option<Timestamp>, Refusal> {
        let id = DocumentId::new(Kind::Flag, post.environment, flag);
        let mut before = None;
        loop {
            let page = self.feed.catalog().history(&id, before, PAGE).await?;
            for change in &page {
                if change.at < post.since() {
                    return Ok(None);
                }
                if on(change.after.as_ref()) && !on(change.before.as_ref()) {
                    return Ok(Some(change.at));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => before = Some(last.revision),
                _ => return Ok(None),
            }
        }
    }

    async fn count(
        &self,
        post: &Post<'_>,
        since: Timestamp,
        flag: Option<&str>,
    ) -> Result<Vec<EventCount>, Refusal> {
        Ok(self.ledger.count_events(post.environment, &post.rule.event_type, since, flag).await?)
    }
}

fn on(body: Option<&Value>) -> bool {
    body.and_then(|body| body.get("enabled")).and_then(Value::as_bool) == Some(true)
}

fn evidence(post: &Post<'_>, since: Timestamp, count: &EventCount, summary: &str) -> Value {
    json!({
        "guard": post.guard.key,
        "rule": post.guard.rule,
        "count": count.total(),
        "units": count.units,
        "events_without_unit": count.without_unit,
        "threshold": post.rule.more_than,
        "window": {"from": since, "until": post.now, "seconds": post.rule.window_seconds},
        "summary": summary,
    })
}

/// Zero just where the guard does not act yet, above where it does.
#[expect(clippy::cast_precision_loss, reason = "a logarithm needs no more than 52 bits")]
fn evidence_log(rule: &AbsoluteCount, count: &EventCount) -> f64 {
    (count.total().max(1) as f64 / rule.more_than.max(1) as f64).ln()
}
