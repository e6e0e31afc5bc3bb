//! Recording events.

use std::sync::Arc;

use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;

use super::{
    Metrics,
    intake::{self, Against, Event},
};
use crate::{
    caller::Caller,
    ledger::RecordedEvent,
    metrics::Meters,
    permissions::Permission,
    refusal::{Class, Refusal},
};

/// Events being stored at once, at most.
const MOST_WAITING: i64 = 20_000;

/// What became of recorded events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// New, and stored.
    pub accepted: usize,
    /// Stored before under the same event id.
    pub duplicates: usize,
    /// Whether it was one event by itself, in the first API's form.
    #[serde(skip)]
    pub single: bool,
}

impl Metrics {
    /// Stores one event, or all of a list or none. They are durable when this returns.
    ///
    /// An event is `{flag_key, variant, event_type, value?, unit?, time?, event_id?}`; a list is `[…]` or
    /// `{"events": […]}` of at most 1000.
    pub async fn record(
        &self,
        caller: &Caller,
        environment: &str,
        body: &Value,
    ) -> Result<Recorded, Refusal> {
        let snapshot = self.feed.snapshots().get();
        let environment = snapshot.require_environment(environment)?;
        caller.require(&snapshot, environment, Permission::MetricRecord)?;
        let now = self.clock().now();
        let retention = SignedDuration::try_from(self.settings.retention).unwrap_or(SignedDuration::MAX);
        let (events, single) = intake::read(body, &Against { environment, now, retention })?;
        let key: Arc<str> = environment.definition.key.as_str().into();
        let recorded_by = Arc::clone(&caller.id);
        let events: Vec<RecordedEvent> =
            events.into_iter().map(|event| self.stored(event, &key, &recorded_by, now)).collect();
        let types: Vec<Arc<str>> = events.iter().map(|event| Arc::clone(&event.event_type)).collect();
        let fresh = self.store(events).await?;
        let meters = self.recorder.meters();
        for (event_type, fresh) in types.iter().zip(&fresh) {
            meters.ingested(event_type, if *fresh { "accepted" } else { "duplicate" }, 1);
        }
        let accepted = fresh.iter().filter(|fresh| **fresh).count();
        Ok(Recorded { accepted, duplicates: fresh.len() - accepted, single })
    }

    fn stored(
        &self,
        event: Event,
        environment: &Arc<str>,
        recorded_by: &Arc<str>,
        received_at: jiff::Timestamp,
    ) -> RecordedEvent {
        let lag = std::time::Duration::try_from(received_at.duration_since(event.at));
        self.recorder.meters().lag(lag.unwrap_or_default());
        RecordedEvent {
            environment: Arc::clone(environment),
            event_id: event.id.unwrap_or_else(|| self.feed.random().uuid7(self.clock()).to_string()),
            flag: event.flag,
            variant: event.variant,
            event_type: event.kind,
            value: event.value,
            unit: event.unit,
            at: event.at,
            received_at,
            recorded_by: Arc::clone(recorded_by),
        }
    }

    async fn store(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, Refusal> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let meters = self.recorder.meters();
        let waiting = Waiting::enter(meters, events.len());
        if waiting.before + waiting.size > MOST_WAITING {
            meters.dropped("queue_full", events.len() as u64);
            return Err(intake::busy());
        }
        let expected = events.len();
        let fresh = self.ledger.record(events).await?;
        if fresh.len() == expected {
            return Ok(fresh);
        }
        Err(Refusal::new(
            Class::Internal,
            "internal",
            "the ledger lost count of the events; see the server's log",
        ))
    }
}

/// Events on their way to the ledger, counted for as long as this lives: also when the sender goes away.
struct Waiting<'a> {
    meters: &'a Meters,
    before: i64,
    size: i64,
}

impl<'a> Waiting<'a> {
    fn enter(meters: &'a Meters, events: usize) -> Self {
        let size = i64::try_from(events).unwrap_or(i64::MAX);
        Self { meters, before: meters.queue(size), size }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meters.queue(-self.size);
    }
}
