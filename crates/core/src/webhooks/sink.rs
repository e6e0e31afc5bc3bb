//! The bus that turns events into deliveries.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Deliveries, NewDelivery};
use crate::{
    events::{CloudEvent, EventBus, Halted},
    feed::Feed,
};

/// A bus for the relay: an event is on it once each endpoint that is to be told has a delivery, on disk.
pub struct Sink {
    feed: Arc<Feed>,
    deliveries: Arc<dyn Deliveries>,
    wake: Arc<Notify>,
}

impl Sink {
    pub(super) fn new(feed: Arc<Feed>, deliveries: Arc<dyn Deliveries>, wake: Arc<Notify>) -> Self {
        Self { feed, deliveries, wake }
    }
}

#[async_trait]
impl EventBus for Sink {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        let snapshot = self.feed.snapshots().get();
        let at = self.feed.clock().now();
        let new: Vec<_> = events
            .iter()
            .flat_map(|event| {
                let told = snapshot.webhooks().filter(|endpoint| endpoint.wants(event));
                told.map(move |endpoint| NewDelivery {
                    endpoint: endpoint.webhook.id.clone(),
                    event: event.id.clone(),
                    event_type: event.event_type.clone(),
                    body: payload(event),
                    at,
                })
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        // Offered again after a crash or a failure, an event makes no second delivery.
        self.deliveries.enqueue(new).await.map_err(|error| Halted::unavailable(0, error))?;
        self.wake.notify_one();
        Ok(())
    }
}

/// A `CloudEvents` event that is a Standard Webhooks payload, too: beside `type` and `data`, which they share, it has `timestamp`.
pub(super) fn payload(event: &CloudEvent) -> String {
    let mut body = serde_json::to_value(event).unwrap_or_else(|_| json!({}));
    if let Value::Object(members) = &mut body {
        members.insert("timestamp".to_owned(), event.time.clone().into());
    }
    body.to_string()
}
