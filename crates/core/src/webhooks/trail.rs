//! What was sent to an endpoint: looking at it, and sending it again.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Delivery, DeliveryState, EVERYWHERE, Endpoint, NewDelivery, Selection, Webhook, Webhooks, sink::payload,
};
use crate::{
    caller::Caller,
    catalog::Revision,
    events::CloudEvent,
    flags::Asked,
    refusal::{Class, Refusal},
};

/// The type of the event that is sent to try an endpoint out. It is sent once.
pub const TEST_EVENT: &str = "flagbase.webhook.test";

/// Changes read at once.
const BATCH: u32 = 100;

/// Deliveries that one replay puts back, at most.
const MOST_AT_ONCE: u32 = 10_000;

/// Which deliveries to send again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// Made at this time or later.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
    /// In one of these states; empty: those that failed or were cancelled.
    pub states: Vec<DeliveryState>,
    /// Beside them what happened after this revision of the change log and was never to be sent, such as while the
    /// endpoint was disabled.
    pub missed_after: Option<Revision>,
}

impl Webhooks {
    /// What was and is to be sent to an endpoint, newest first. `which.endpoint` is filled in here.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        (environment, key): (&str, &str),
        which: Selection,
    ) -> Result<Vec<Delivery>, Refusal> {
        let place = self.admit(caller, environment)?;
        let (_, webhook) = self.find(place, key).await?;
        Ok(self.deliveries.list(Selection { endpoint: webhook.id, ..which }).await?)
    }

    /// One delivery, with all its attempts.
    pub async fn delivery(
        &self,
        caller: &Caller,
        (environment, key): (&str, &str),
        id: u64,
    ) -> Result<Delivery, Refusal> {
        let only = Selection { id: Some(id), limit: 1, ..Selection::default() };
        let found = self.deliveries(caller, (environment, key), only).await?;
        found.into_iter().next().ok_or_else(|| unknown(key, id))
    }

    /// Sends one delivery again, now, whatever became of it; it keeps its id, so that a receiver knows it.
    pub async fn replay(&self, asked: Asked<'_>, key: &str, id: u64) -> Result<Delivery, Refusal> {
        let webhook = self.enabled(asked, key).await?;
        let only = Selection { id: Some(id), ..Selection::of(&webhook.id, 1) };
        let now = self.feed.clock().now();
        if self.deliveries.shift(only, DeliveryState::Pending, now).await? == 0 {
            return Err(unknown(key, id));
        }
        tracing::info!(webhook = key, delivery = id, by = %asked.caller.id, "a delivery is replayed");
        self.wake.notify_one();
        self.delivery(asked.caller, (asked.environment, key), id).await
    }

    /// Sends a range of deliveries again, now. Returns how many; at most 10 000 at once, the newest, and of what was
    /// missed the oldest.
    pub async fn replay_range(&self, asked: Asked<'_>, key: &str, range: Range) -> Result<u64, Refusal> {
        let webhook = self.enabled(asked, key).await?;
        let states = if range.states.is_empty() {
            vec![DeliveryState::Failed, DeliveryState::Cancelled]
        } else {
            range.states
        };
        let (since, until) = (range.since, range.until);
        let which = Selection { states, since, until, ..Selection::of(&webhook.id, MOST_AT_ONCE) };
        let now = self.feed.clock().now();
        let mut count = self.deliveries.shift(which, DeliveryState::Pending, now).await?;
        if let Some(after) = range.missed_after {
            let place = if asked.environment == EVERYWHERE { "" } else { asked.environment };
            count += self.catch_up(Endpoint::new(place.into(), webhook), after).await?;
        }
        tracing::info!(webhook = key, count, by = %asked.caller.id, "deliveries are replayed");
        self.wake.notify_one();
        Ok(count)
    }

    /// Makes deliveries of what `endpoint` would have been told of after `cursor`. Returns how many are new.
    async fn catch_up(&self, endpoint: Endpoint, mut cursor: Revision) -> Result<u64, Refusal> {
        let mut count = 0;
        while count < u64::from(MOST_AT_ONCE) {
            let changes = self.feed.catalog().changes(cursor, BATCH).await?;
            let Some(last) = changes.last() else { break };
            cursor = last.revision;
            let at = self.feed.clock().now();
            let events = changes.iter().map(CloudEvent::of).filter(|event| endpoint.means(event));
            let new = events.map(|event| NewDelivery {
                endpoint: endpoint.webhook.id.clone(),
                body: payload(&event),
                event: event.id,
                event_type: event.event_type,
                at,
            });
            count += self.deliveries.enqueue(new.collect()).await?;
        }
        Ok(count)
    }

    /// Sends an event that means nothing, to see whether it arrives. Returns its delivery, which is about to be sent.
    pub async fn test(&self, asked: Asked<'_>, key: &str) -> Result<Delivery, Refusal> {
        let webhook = self.enabled(asked, key).await?;
        let event = self.test_event(asked, &webhook);
        let new = NewDelivery {
            endpoint: webhook.id.clone(),
            event: event.id.clone(),
            event_type: event.event_type.clone(),
            body: payload(&event),
            at: self.feed.clock().now(),
        };
        self.deliveries.enqueue(vec![new]).await?;
        self.wake.notify_one();
        let only = Selection { event: Some(event.id), ..Selection::of(&webhook.id, 1) };
        let found = self.deliveries.list(only).await?;
        found.into_iter().next().ok_or_else(|| unknown(key, 0))
    }

    fn test_event(&self, asked: Asked<'_>, webhook: &Webhook) -> CloudEvent {
        let now = self.feed.clock().now();
        let environment = asked.environment;
        let place = if environment == EVERYWHERE { "" } else { environment };
        let change = crate::catalog::Change {
            revision: self.feed.snapshots().load().revision,
            event: self.feed.random().uuid7(self.feed.clock()),
            at: now,
            actor: asked.caller.actor(),
            reason: asked.reason.to_owned(),
            id: crate::catalog::DocumentId::new(crate::catalog::Kind::Webhook, place, &webhook.key),
            verb: "test".to_owned(),
            before: None,
            after: None,
            detail: json!({"message": "this is a test; nothing happened"}),
        };
        CloudEvent::of(&change)
    }

    /// The endpoint, when it can be sent to.
    async fn enabled(&self, asked: Asked<'_>, key: &str) -> Result<Webhook, Refusal> {
        let place = self.admit(asked.caller, asked.environment)?;
        let (_, webhook) = self.find(place, key).await?;
        if webhook.enabled {
            return Ok(webhook);
        }
        let message = format!(
            "webhook `{key}` is disabled, nothing is sent to it; enable it first: \
                               `flagbase webhook update {key} --enabled`"
        );
        Err(Refusal::new(Class::Conflict, "webhook_disabled", message))
    }
}

fn unknown(key: &str, id: u64) -> Refusal {
    let message = format!("webhook `{key}` has no delivery {id}; it may be older than `webhooks.retention`");
    Refusal::not_found("delivery_not_found", message)
}

/// A delivery as it is shown; the message itself only when it is looked at alone.
impl Delivery {
    /// Its members as JSON.
    pub fn view(&self, whole: bool) -> Value {
        let last = self.attempts.last();
        let mut shown = json!({
            "id": self.id,
            "event": self.event,
            "type": self.event_type,
            "state": self.state,
            "created_at": self.created_at,
            "due_at": (self.state == DeliveryState::Pending).then_some(self.due_at),
            "tries": self.tries,
            "status": last.and_then(|attempt| attempt.status),
            "error": last.and_then(|attempt| attempt.error.as_deref()),
            "attempts": self.attempts,
        });
        if whole && let Some(members) = shown.as_object_mut() {
            let payload = serde_json::from_str(&self.body).unwrap_or_else(|_| self.body.clone().into());
            members.insert("payload".to_owned(), payload);
        }
        shown
    }
}
