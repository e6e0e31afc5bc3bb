//! Deliveries in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flagbase_core::webhooks::{
    Deliveries, DeliveriesError, Delivery, DeliveryState, EndpointState, Health, NewDelivery, Removal,
    Selection, Settled, StoredSecret, Want,
};
use jiff::Timestamp;

use super::Memory;

/// What is sent to webhooks.
#[derive(Debug, Default)]
pub(super) struct Sent {
    last: u64,
    deliveries: BTreeMap<u64, Delivery>,
    /// Newest last.
    secrets: Vec<(String, StoredSecret)>,
    health: BTreeMap<String, Health>,
}

impl Sent {
    fn add(&mut self, new: NewDelivery) -> bool {
        let mut all = self.deliveries.values();
        if all.any(|delivery| delivery.endpoint == new.endpoint && delivery.event == new.event) {
            return false;
        }
        self.last += 1;
        let delivery = Delivery {
            id: self.last,
            endpoint: new.endpoint,
            event: new.event,
            event_type: new.event_type,
            body: new.body,
            state: DeliveryState::Pending,
            created_at: new.at,
            due_at: new.at,
            tries: 0,
            attempts: Vec::new(),
        };
        self.deliveries.insert(self.last, delivery);
        true
    }

    fn settle(&mut self, settled: Settled) -> Health {
        let Some(delivery) = self.deliveries.get_mut(&settled.id) else { return Health::default() };
        if (delivery.state, settled.state) != (DeliveryState::Cancelled, DeliveryState::Pending) {
            delivery.state = settled.state;
        }
        delivery.due_at = settled.due_at;
        delivery.tries += 1;
        let health = self.health.entry(delivery.endpoint.clone()).or_default();
        *health = match settled.attempt.error {
            None => Health::default(),
            Some(_) => Health {
                failing_since: health.failing_since.or(Some(settled.attempt.at)),
                failures: health.failures + 1,
            },
        };
        delivery.attempts.push(settled.attempt);
        let old = delivery.attempts.len().saturating_sub(30);
        delivery.attempts.drain(..old);
        *health
    }

    fn chosen(&self, selection: &Selection) -> Vec<u64> {
        let chosen = self.deliveries.values().rev().filter(|delivery| means(selection, delivery));
        chosen.take(selection.limit as usize).map(|delivery| delivery.id).collect()
    }

    fn remove(&mut self, gone: impl Fn(&Delivery) -> bool) -> u64 {
        let had = self.deliveries.len();
        self.deliveries.retain(|_, delivery| !gone(delivery));
        (had - self.deliveries.len()) as u64
    }
}

fn means(selection: &Selection, delivery: &Delivery) -> bool {
    delivery.endpoint == selection.endpoint
        && selection.id.is_none_or(|id| id == delivery.id)
        && selection.event.as_ref().is_none_or(|event| *event == delivery.event)
        && (selection.states.is_empty() || selection.states.contains(&delivery.state))
        && selection.since.is_none_or(|since| delivery.created_at >= since)
        && selection.until.is_none_or(|until| delivery.created_at < until)
        && selection.before.is_none_or(|before| delivery.id < before)
}

#[async_trait]
impl Deliveries for Memory {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>) -> Result<u64, DeliveriesError> {
        let sent = &mut self.state.lock().sent;
        Ok(deliveries.into_iter().map(|delivery| u64::from(sent.add(delivery))).sum())
    }

    async fn pending(&self, wants: Vec<Want>) -> Result<Vec<Delivery>, DeliveriesError> {
        let sent = &self.state.lock().sent;
        let mut found = Vec::new();
        for want in wants {
            let mut pending: Vec<_> = sent
                .deliveries
                .values()
                .filter(|delivery| {
                    delivery.endpoint == want.endpoint && delivery.state == DeliveryState::Pending
                })
                .map(|delivery| Delivery { attempts: Vec::new(), ..delivery.clone() })
                .collect();
            pending.sort_by_key(|delivery| (delivery.due_at, delivery.id));
            pending.truncate(want.limit as usize);
            found.extend(pending);
        }
        Ok(found)
    }

    async fn settle(&self, settled: Settled) -> Result<Health, DeliveriesError> {
        Ok(self.state.lock().sent.settle(settled))
    }

    async fn list(&self, selection: Selection) -> Result<Vec<Delivery>, DeliveriesError> {
        let sent = &self.state.lock().sent;
        let ids = sent.chosen(&selection);
        Ok(ids.iter().filter_map(|id| sent.deliveries.get(id)).cloned().collect())
    }

    async fn shift(
        &self,
        selection: Selection,
        state: DeliveryState,
        at: Timestamp,
    ) -> Result<u64, DeliveriesError> {
        let sent = &mut self.state.lock().sent;
        let ids = sent.chosen(&selection);
        for id in &ids {
            if let Some(delivery) = sent.deliveries.get_mut(id) {
                (delivery.state, delivery.due_at, delivery.tries) = (state, at, 0);
            }
        }
        Ok(ids.len() as u64)
    }

    async fn endpoint(&self, endpoint: &str) -> Result<EndpointState, DeliveriesError> {
        let sent = &self.state.lock().sent;
        let secrets = sent.secrets.iter().rev().filter(|(of, _)| of == endpoint);
        let pending = sent
            .deliveries
            .values()
            .filter(|delivery| delivery.endpoint == endpoint && delivery.state == DeliveryState::Pending);
        Ok(EndpointState {
            secrets: secrets.map(|(_, secret)| secret.clone()).collect(),
            health: sent.health.get(endpoint).copied().unwrap_or_default(),
            pending: pending.take(1_000).count() as u64,
        })
    }

    async fn add_secret(
        &self,
        endpoint: &str,
        secret: StoredSecret,
        before_until: Timestamp,
    ) -> Result<(), DeliveriesError> {
        let sent = &mut self.state.lock().sent;
        for (_, before) in sent.secrets.iter_mut().filter(|(of, _)| of == endpoint) {
            before.until = Some(before.until.map_or(before_until, |until| until.min(before_until)));
        }
        sent.secrets
            .retain(|(of, before)| of != endpoint || before.until.is_none_or(|until| until > secret.made_at));
        sent.secrets.push((endpoint.to_owned(), secret));
        Ok(())
    }

    async fn remove(&self, removal: Removal) -> Result<u64, DeliveriesError> {
        let sent = &mut self.state.lock().sent;
        Ok(match removal {
            Removal::Endpoint(endpoint) => {
                sent.secrets.retain(|(of, _)| *of != endpoint);
                sent.health.remove(&endpoint);
                sent.remove(|delivery| delivery.endpoint == endpoint)
            }
            Removal::DoneBefore(before) => {
                sent.remove(|delivery| delivery.state != DeliveryState::Pending && delivery.due_at < before)
            }
            Removal::Strays { keep, before } => {
                sent.secrets.retain(|(of, secret)| keep.contains(of) || secret.made_at >= before);
                sent.health.retain(|of, _| keep.contains(of));
                sent.remove(|delivery| !keep.contains(&delivery.endpoint) && delivery.created_at < before)
            }
        })
    }
}
