//! The worker: sends what is due, and notes what became of it.
//!
//! What is under way is only known in memory: after a crash it is still pending and is sent again, under the same id.
//! Each endpoint has few places, and one that keeps failing has one, so that none holds up another.

mod lanes;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    ATTEMPTS, Answered, Attempt, DeliveriesError, Delivery, DeliveryState, Endpoint, Health, Outgoing,
    Removal, Selection, SendError, Sender, Settled, TEST_EVENT, Webhooks, pause, retry_after,
    sender::EXCERPT, sign,
};
use crate::{feed::Feed, metrics::Meters, tasks::Tasks};
use lanes::Lanes;

/// How long at most until it looks again.
const POLL: Duration = Duration::from_secs(30);

/// How long nothing is tried after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// How long a stop waits for answers; what has none by then is sent again after the next start.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// How often deliveries that are done are looked through for old ones.
const PRUNE_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Sends what is due.
pub struct Worker {
    webhooks: Arc<Webhooks>,
    sender: Arc<dyn Sender>,
    meters: Arc<Meters>,
    lanes: Mutex<Lanes>,
}

/// A delivery about to be sent.
struct Flight {
    endpoint: Arc<Endpoint>,
    delivery: Delivery,
}

/// What an attempt came to.
struct Landing {
    settled: Settled,
    /// The endpoint asked to be left alone until then.
    leave_until: Option<Timestamp>,
    gone: bool,
}

impl Worker {
    /// Sends what `webhooks` has through `sender`.
    pub fn new(webhooks: Arc<Webhooks>, sender: Arc<dyn Sender>, meters: Arc<Meters>) -> Self {
        Self { webhooks, sender, meters, lanes: Mutex::default() }
    }

    /// Starts the task that sends until shutdown.
    pub fn start(self: Arc<Self>, tasks: &Tasks) {
        let stop = tasks.stopping();
        tasks.spawn("webhooks.send", self.run(stop));
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (wake, mut head) = (Arc::clone(&self.webhooks.wake), self.webhooks.feed.follow());
        let mut flights = FuturesUnordered::new();
        self.forget_strays().await;
        let mut pruned = None;
        loop {
            self.prune(&mut pruned).await;
            let (due, wait) = self.look().await.unwrap_or_else(|error| {
                tracing::warn!("webhooks are held back, trying again: {error}");
                (Vec::new(), STORE_PAUSE)
            });
            flights.extend(due.into_iter().map(|flight| Arc::clone(&self).fly(flight)));
            tokio::select! {
                () = stop.cancelled() => break,
                _ = flights.next(), if !flights.is_empty() => {}
                () = wake.notified() => {}
                // An endpoint was changed, perhaps.
                changed = head.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(wait) => {}
            }
        }
        let last = async { while flights.next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, last).await;
    }

    /// Sends everything that is due now and there is room for, and waits for the answers. Returns how many were sent.
    pub async fn round(self: &Arc<Self>) -> Result<usize, DeliveriesError> {
        let (due, _) = self.look().await?;
        let flights: FuturesUnordered<_> =
            due.into_iter().map(|flight| Arc::clone(self).fly(flight)).collect();
        Ok(flights.count().await)
    }

    /// Takes what is due and there is room for. Says, too, how long nothing else is due.
    async fn look(&self) -> Result<(Vec<Flight>, Duration), DeliveriesError> {
        let snapshot = self.webhooks.feed.snapshots().get();
        let now = self.webhooks.feed.clock().now();
        let endpoints: Vec<_> = snapshot.webhooks().cloned().collect();
        let disabled = self.lanes.lock().newly_disabled(&endpoints);
        for endpoint in disabled {
            let pending =
                Selection { states: vec![DeliveryState::Pending], ..Selection::of(&endpoint, u32::MAX) };
            self.webhooks.deliveries.shift(pending, DeliveryState::Cancelled, now).await?;
        }
        let wants = self.lanes.lock().wants(&endpoints, &self.webhooks.settings, now);
        let pending =
            if wants.is_empty() { Vec::new() } else { self.webhooks.deliveries.pending(wants).await? };
        let mut lanes = self.lanes.lock();
        let (taken, next) = lanes.take(pending, &self.webhooks.settings, now);
        let wait = next.map_or(POLL, |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        let flights = taken.into_iter().filter_map(|delivery| {
            let endpoint = endpoints.iter().find(|endpoint| endpoint.webhook.id == delivery.endpoint)?;
            Some(Flight { endpoint: Arc::clone(endpoint), delivery })
        });
        Ok((flights.collect(), wait.clamp(Duration::from_millis(10), POLL)))
    }

    /// One attempt, from signing to noting.
    async fn fly(self: Arc<Self>, flight: Flight) {
        let Flight { endpoint, delivery } = flight;
        self.meters.webhooks_flying(1);
        let held = self.attempt(&endpoint, &delivery).await;
        self.meters.webhooks_flying(-1);
        let now = self.webhooks.feed.clock().now();
        match held {
            Ok((leave_until, failed)) => self.lanes.lock().landed(&delivery, failed, leave_until),
            Err(error) => {
                tracing::warn!(
                    webhook = endpoint.webhook.key,
                    "an attempt could not be made or noted, trying again: {error}"
                );
                let later = now.checked_add(SignedDuration::try_from(STORE_PAUSE).unwrap_or_default());
                self.lanes.lock().landed(&delivery, true, later.ok());
            }
        }
    }

    async fn attempt(
        &self,
        endpoint: &Arc<Endpoint>,
        delivery: &Delivery,
    ) -> Result<(Option<Timestamp>, bool), DeliveriesError> {
        let clock = self.webhooks.feed.clock();
        let message = self.message(endpoint, delivery).await?;
        let begun = clock.now();
        let answer = self.sender.send(message).await;
        let landing = self.judge(delivery, begun, answer);
        let failed = landing.settled.state != DeliveryState::Delivered;
        let took = Duration::from_millis(landing.settled.attempt.duration_ms);
        let result = match landing.settled.state {
            DeliveryState::Pending => "retry",
            other => other.as_str(),
        };
        self.meters.webhook_attempted(result, took);
        let health = self.webhooks.deliveries.settle(landing.settled).await?;
        if landing.gone {
            self.disable(endpoint, "the endpoint answered 410 Gone", delivery).await;
        } else if failed && self.is_hopeless(endpoint, health) {
            let days = self.webhooks.settings.disable_after.as_secs() / 86_400;
            let because = format!("every attempt of {days} days failed");
            self.disable(endpoint, &because, delivery).await;
        }
        Ok((landing.leave_until, failed))
    }

    async fn message(&self, endpoint: &Endpoint, delivery: &Delivery) -> Result<Outgoing, DeliveriesError> {
        let now = self.webhooks.feed.clock().now();
        let state = self.webhooks.deliveries.endpoint(&endpoint.webhook.id).await?;
        let signing: Vec<_> = state
            .secrets
            .iter()
            .filter(|stored| stored.until.is_none_or(|until| until > now))
            .map(|stored| &stored.secret)
            .collect();
        let signature = sign(&signing, &delivery.event, now, delivery.body.as_bytes());
        Ok(Outgoing {
            url: endpoint.webhook.url.clone(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("webhook-id", delivery.event.clone()),
                ("webhook-timestamp", now.as_second().to_string()),
                ("webhook-signature", signature),
            ],
            body: delivery.body.clone(),
            timeout: self.webhooks.settings.timeout,
            excerpt: EXCERPT,
        })
    }

    fn judge(&self, delivery: &Delivery, begun: Timestamp, answer: Result<Answered, SendError>) -> Landing {
        let now = self.webhooks.feed.clock().now();
        let duration_ms = u64::try_from(now.duration_since(begun).as_millis()).unwrap_or_default();
        let (status, error, response, asked) = match answer {
            Ok(Answered { status, retry_after: asked, excerpt }) => {
                (Some(status), fault(status), excerpt, asked.filter(|_| matches!(status, 429 | 503)))
            }
            Err(error) => (None, Some(error.0), String::new(), None),
        };
        let (delivered, gone) = (error.is_none(), status == Some(410));
        let attempt = Attempt { at: begun, duration_ms, status, error, response };
        let asked = asked.and_then(|text| retry_after(&text, now));
        let later = |wait: Duration| now.checked_add(SignedDuration::try_from(wait).unwrap_or_default()).ok();
        let again = match delivery.event_type.as_str() {
            _ if delivered || gone => None,
            TEST_EVENT => None,
            _ => pause(delivery.tries.saturating_add(1), self.webhooks.feed.random()),
        };
        let again = again.and_then(|pause| later(pause.max(asked.unwrap_or_default())));
        let state = match again {
            Some(_) => DeliveryState::Pending,
            None if delivered => DeliveryState::Delivered,
            None => DeliveryState::Failed,
        };
        let settled = Settled { id: delivery.id, attempt, state, due_at: again.unwrap_or(now) };
        Landing { settled, leave_until: asked.and_then(later), gone }
    }

    /// Whether nothing got through for so long that nobody seems to care.
    fn is_hopeless(&self, endpoint: &Endpoint, health: Health) -> bool {
        let Some(since) = health.failing_since.map(|since| since.max(endpoint.webhook.active_since)) else {
            return false;
        };
        let failing = self.webhooks.feed.clock().now().duration_since(since);
        let failing = Duration::try_from(failing).unwrap_or_default();
        failing >= self.webhooks.settings.disable_after && health.failures >= u64::from(ATTEMPTS)
    }

    async fn disable(&self, endpoint: &Arc<Endpoint>, because: &str, delivery: &Delivery) {
        let (webhooks, endpoint) = (Arc::clone(&self.webhooks), Arc::clone(endpoint));
        let (because, id) = (because.to_owned(), delivery.id);
        let key = endpoint.webhook.key.clone();
        // To its end, also when the server stops meanwhile: what is logged must also be applied.
        let disabled =
            Feed::finish(
                async move { webhooks.disable(&endpoint, &because, json!({ "delivery": id })).await },
            );
        match disabled.await {
            Some(Ok(true)) => {
                self.meters.webhook_disabled();
                tracing::warn!(webhook = key, delivery = id, "a webhook was disabled");
            }
            Some(Ok(false)) => {}
            Some(Err(error)) => tracing::warn!(webhook = key, "a webhook could not be disabled: {error}"),
            None => tracing::error!(webhook = key, "disabling a webhook failed inside the server"),
        }
    }

    async fn prune(&self, last: &mut Option<Timestamp>) {
        let now = self.webhooks.feed.clock().now();
        if last.is_some_and(|last| now.duration_since(last) < PRUNE_EVERY) {
            return;
        }
        *last = Some(now);
        let kept = SignedDuration::try_from(self.webhooks.settings.retention).unwrap_or(SignedDuration::MAX);
        let Ok(before) = now.checked_sub(kept) else { return };
        if let Err(error) = self.webhooks.deliveries.remove(Removal::DoneBefore(before)).await {
            tracing::warn!("old deliveries of webhooks could not be removed: {error}");
        }
    }

    /// What a crash between removing an endpoint and removing its deliveries left behind.
    async fn forget_strays(&self) {
        let before = self.webhooks.feed.clock().now();
        let snapshot = self.webhooks.feed.snapshots().get();
        let keep = snapshot.webhooks().map(|endpoint| endpoint.webhook.id.clone()).collect();
        if let Err(error) = self.webhooks.deliveries.remove(Removal::Strays { keep, before }).await {
            tracing::warn!("deliveries of removed webhooks could not be removed: {error}");
        }
    }
}

/// Why an answer does not count as taken; `None` when it does.
fn fault(status: u16) -> Option<String> {
    match status {
        200..=299 => None,
        300..=399 => Some(format!("answered {status}; redirects are not followed, set the final address")),
        410 => Some("answered 410: it wants nothing any more".to_owned()),
        _ => Some(format!("answered {status}")),
    }
}
