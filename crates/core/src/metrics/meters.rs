//! Counters that are not on the request path, as Prometheus shows them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    engine::guard::Rule,
    functions::{Calls, ShownCalls},
    guards::Guard,
};

/// Label sets of one family, at most; the rest goes by [`super::OTHER`].
const MOST_LABELS: usize = 500;

/// Why somebody was not let in, as far as it is known beforehand.
const AUTH_FAILURES: &[&str] = &[
    "unauthenticated",
    "invalid_credentials",
    "invalid_setup_token",
    "key_expired",
    "session_ended",
    "token_expired",
    "token_invalid",
    "too_many_attempts",
    "too_many_logins",
];

fn none(counter: &Counter) -> u64 {
    counter.inc_by(0)
}

type Labels<const N: usize> = [(&'static str, Arc<str>); N];

/// Counts what does not happen on every request: events taken in, writes, guards, streams, refused logins.
#[derive(Debug)]
pub struct Meters {
    pub(super) evaluation: Histogram,
    propagation: Histogram,
    stream_clients: Gauge,
    ingested: Capped<2, Counter>,
    dropped: Capped<1, Counter>,
    queue: Gauge,
    lag: Histogram,
    unwritten: Gauge,
    flush: Histogram,
    guard_evaluations: Capped<2, Counter>,
    guard_evidence: Capped<2, Gauge<f64, AtomicU64>>,
    guard_actions: Capped<1, Counter>,
    guard_checked: Gauge<f64, AtomicU64>,
    auth_failures: Capped<1, Counter>,
    published: Capped<2, Counter>,
    behind: Capped<1, Gauge>,
    behind_seconds: Capped<1, Gauge<f64, AtomicU64>>,
    webhook_attempts: Capped<1, Counter>,
    webhook_duration: Histogram,
    webhooks_flying: Gauge,
    webhooks_disabled: Counter,
    damaged_objects: Gauge,
    functions: Arc<Calls>,
}

impl Default for Meters {
    fn default() -> Self {
        let meters = Self::bare();
        meters.begin_at_zero();
        meters
    }
}

impl Meters {
    fn bare() -> Self {
        Self {
            evaluation: Histogram::new([1e-7, 2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 1e-4, 1e-3]),
            propagation: Histogram::new([1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0]),
            stream_clients: Gauge::default(),
            ingested: Capped::default(),
            dropped: Capped::default(),
            queue: Gauge::default(),
            lag: Histogram::new([0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0, 86_400.0]),
            unwritten: Gauge::default(),
            flush: Histogram::new([1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0]),
            guard_evaluations: Capped::default(),
            guard_evidence: Capped::default(),
            guard_actions: Capped::default(),
            guard_checked: Gauge::default(),
            auth_failures: Capped::default(),
            published: Capped::default(),
            behind: Capped::default(),
            behind_seconds: Capped::default(),
            webhook_attempts: Capped::default(),
            webhook_duration: Histogram::new([0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0]),
            webhooks_flying: Gauge::default(),
            webhooks_disabled: Counter::default(),
            damaged_objects: Gauge::default(),
            functions: Arc::default(),
        }
    }

    /// A line that first appears with the first fault is missed by whoever asks for an increase.
    fn begin_at_zero(&self) {
        for reason in ["cardinality", "overflow", "queue_full", "ledger_unavailable"] {
            self.dropped(reason, 0);
        }
        let built_in = Guard::default_for("");
        let Rule::AbsoluteCount(rule) = &built_in.rule;
        for result in ["accepted", "duplicate"] {
            self.ingested(&rule.event_type, result, 0);
        }
        for result in ["judged", "trip", "inconclusive"] {
            self.guard_evaluations
                .with([("guard", built_in.key.as_str().into()), ("result", result.into())], none);
        }
        self.guard_actions.with([("action", "disable".into())], none);
        for result in ["delivered", "retry", "failed"] {
            self.webhook_attempts.with([("result", result.into())], none);
        }
        for reason in AUTH_FAILURES {
            self.auth_failures.with([("reason", (*reason).into())], none);
        }
    }

    /// An evaluation took so long.
    pub fn evaluation_took(&self, duration: Duration) {
        self.evaluation.observe(duration.as_secs_f64());
    }

    /// A change was seen by a follower so long after it was made.
    pub fn propagated(&self, after: Duration) {
        self.propagation.observe(after.as_secs_f64());
    }

    /// A stream of events began (`1`) or ended (`-1`).
    pub fn stream_clients(&self, change: i64) {
        self.stream_clients.inc_by(change);
    }

    /// `n` events of a type were `accepted`, `duplicate` or `refused`.
    pub fn ingested(&self, event_type: &str, result: &'static str, n: u64) {
        self.ingested.with([("type", event_type.into()), ("result", result.into())], |c| c.inc_by(n));
    }

    /// `n` observations were not kept apart, or not kept, and why.
    pub fn dropped(&self, reason: &'static str, n: u64) {
        self.dropped.with([("reason", reason.into())], |counter| counter.inc_by(n));
    }

    /// So many events wait to be stored; returns what it was before.
    pub(super) fn queue(&self, change: i64) -> i64 {
        self.queue.inc_by(change)
    }

    /// An event arrived so long after it happened.
    pub(super) fn lag(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    /// So many rollups wait to be written.
    pub(super) fn unwritten(&self, rollups: usize) {
        self.unwritten.set(i64::try_from(rollups).unwrap_or(i64::MAX));
    }

    /// A write of rollups took so long.
    pub(super) fn flushed(&self, took: Duration) {
        self.flush.observe(took.as_secs_f64());
    }

    /// A guard looked; `result` is `keep`, `trip` or `inconclusive`.
    pub fn guard_looked(&self, guard: &str, result: &'static str) {
        self.guard_evaluations.with([("guard", guard.into()), ("result", result.into())], |c| c.inc_by(1));
    }

    /// The logarithm of the evidence a guard has against a flag; it acts above zero.
    pub fn guard_evidence(&self, flag: &str, guard: &str, evidence: f64) {
        self.guard_evidence.with([("flag", flag.into()), ("guard", guard.into())], |gauge| {
            gauge.set(evidence);
            0
        });
    }

    /// Forgets the evidence of the look before.
    pub fn clear_guard_evidence(&self) {
        self.guard_evidence.family.clear();
        self.guard_evidence.used.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    /// A guard acted: `disable`.
    pub fn guard_acted(&self, action: &'static str) {
        self.guard_actions.with([("action", action.into())], |counter| counter.inc_by(1));
    }

    /// All guards were looked at.
    #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch fit")]
    pub fn guards_checked(&self, at: Timestamp) {
        self.guard_checked.set(at.as_second() as f64);
    }

    /// Somebody was not let in: `reason` such as `bad_password` or `expired_token`.
    pub fn auth_failure(&self, reason: &'static str) {
        self.auth_failures.with([("reason", reason.into())], |counter| counter.inc_by(1));
    }

    /// The relay handed an event to a bus, could not now, or never will: `ok`, `error` or `refused`.
    pub fn published(&self, bus: &str, result: &'static str) {
        self.published.with([("bus", bus.into()), ("result", result.into())], |counter| counter.inc_by(1));
    }

    /// A sink lacks so many changes, the oldest of them made so many seconds ago.
    pub fn behind(&self, sink: &str, changes: u64, seconds: f64) {
        self.behind.with([("sink", sink.into())], |gauge| {
            gauge.set(i64::try_from(changes).unwrap_or(i64::MAX));
            0
        });
        self.behind_seconds.with([("sink", sink.into())], |gauge| {
            gauge.set(seconds);
            0
        });
    }

    /// An attempt to deliver to a webhook took so long; `result` is `delivered`, `retry` or `failed`.
    pub fn webhook_attempted(&self, result: &'static str, took: Duration) {
        self.webhook_attempts.with([("result", result.into())], |counter| counter.inc_by(1));
        self.webhook_duration.observe(took.as_secs_f64());
    }

    /// So many more (or fewer) messages to webhooks are under way.
    pub fn webhooks_flying(&self, change: i64) {
        self.webhooks_flying.inc_by(change);
    }

    /// Flagbase disabled a webhook.
    pub fn webhook_disabled(&self) {
        self.webhooks_disabled.inc();
    }

    /// So many objects were damaged when buckets were last looked through.
    pub fn damaged_objects(&self, count: usize) {
        self.damaged_objects.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Adds everything to `registry`, whose prefix is `flagbase`.
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register(
            "flag_evaluation_duration_seconds",
            "Time an evaluation took, of a sample",
            self.evaluation.clone(),
        );
        r.register(
            "flag_propagation_seconds",
            "Time from a change to its followers",
            self.propagation.clone(),
        );
        r.register("sdk_stream_clients", "Open streams of events", self.stream_clients.clone());
        r.register("events_ingested", "Events sent in", self.ingested.family.clone());
        r.register("events_dropped", "Observations not kept, or not kept apart", self.dropped.family.clone());
        r.register("ingest_queue_depth", "Events waiting to be stored", self.queue.clone());
        r.register("ingest_lag_seconds", "Age of events on arrival", self.lag.clone());
        r.register("rollups_unwritten", "Rollups waiting to be written", self.unwritten.clone());
        r.register("rollup_flush_seconds", "Time a write of rollups took", self.flush.clone());
        self.register_guards(r);
        self.register_webhooks(r);
        r.register_collector(Box::new(ShownCalls(Arc::clone(&self.functions))));
    }

    /// Calls of functions.
    pub fn functions(&self) -> &Arc<Calls> {
        &self.functions
    }

    fn register_webhooks(&self, r: &mut Registry) {
        r.register(
            "webhook_attempts",
            "Attempts to deliver to webhooks",
            self.webhook_attempts.family.clone(),
        );
        r.register(
            "webhook_duration_seconds",
            "Time an attempt to deliver to a webhook took",
            self.webhook_duration.clone(),
        );
        r.register(
            "webhook_messages_under_way",
            "Messages to webhooks without an answer yet",
            self.webhooks_flying.clone(),
        );
        r.register("webhooks_disabled", "Webhooks that Flagbase disabled", self.webhooks_disabled.clone());
        r.register(
            "bucket_damaged_objects",
            "Objects whose bytes were not what was written, when buckets were last looked through",
            self.damaged_objects.clone(),
        );
    }

    fn register_guards(&self, r: &mut Registry) {
        r.register("guard_evaluations", "Looks of guards", self.guard_evaluations.family.clone());
        r.register(
            "guard_evidence_log",
            "Logarithm of the evidence against a flag; the guard acts above zero",
            self.guard_evidence.family.clone(),
        );
        r.register("guard_actions", "What guards did", self.guard_actions.family.clone());
        r.register(
            "guard_last_check_timestamp",
            "When guards last looked, in seconds since the epoch",
            self.guard_checked.clone(),
        );
        r.register("auth_failures", "Callers not let in", self.auth_failures.family.clone());
        r.register("events_published", "Events handed to a bus", self.published.family.clone());
        r.register("events_behind", "Changes that a sink does not have yet", self.behind.family.clone());
        r.register(
            "events_behind_seconds",
            "Age of the oldest change that a sink does not have yet",
            self.behind_seconds.family.clone(),
        );
    }
}

/// A family whose labels may come from outside, and which therefore stops growing.
#[derive(Debug)]
struct Capped<const N: usize, M> {
    family: Family<Labels<N>, M>,
    used: AtomicI64,
}

impl<const N: usize, M: Default> Default for Capped<N, M>
where
    Family<Labels<N>, M>: Default,
{
    fn default() -> Self {
        Self { family: Family::default(), used: AtomicI64::new(0) }
    }
}

impl<const N: usize, M: Default + Clone> Capped<N, M> {
    fn with(&self, labels: Labels<N>, each: impl FnOnce(&M) -> u64) {
        use std::sync::atomic::Ordering::Relaxed;
        if let Some(metric) = self.family.get(&labels) {
            each(&metric);
            return;
        }
        let most = i64::try_from(MOST_LABELS).unwrap_or(i64::MAX);
        let labels = if self.used.fetch_add(1, Relaxed) < most {
            labels
        } else {
            self.used.fetch_sub(1, Relaxed);
            labels.map(|(name, _)| (name, super::OTHER.into()))
        };
        each(&self.family.get_or_create(&labels));
    }
}
