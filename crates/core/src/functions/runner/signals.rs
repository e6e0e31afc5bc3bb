//! Telling guards: what went wrong in code that a flag chose becomes an `error` event of that flag and variant.
//!
//! These events have no unit. A unit counts once however often something happens to it, which is right when a person
//! tells us of his trouble, and wrong here: that code broke twelve times is twelve faults, whoever called, and callers
//! without a token have no unit at all. Nobody can send such an event from outside: only an answer of the code, or the
//! lack of one, makes it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Under;
use crate::{
    clock::Clock,
    ledger::{Ledger, RecordedEvent},
    metrics::Meters,
    random::Random,
};

/// What happened, as guards ask for it.
const EVENT: &str = "error";

/// Events that wait to be written; what comes while as many wait is counted, and dropped.
const MOST_WAITING: usize = 4096;

/// Events written at once, at most.
const BATCH: usize = 500;

/// Attempts at writing a batch, a second apart.
const ATTEMPTS: u32 = 5;

/// Hands events to the ledger, behind the requests.
pub(super) struct Signals {
    sender: mpsc::Sender<RecordedEvent>,
    receiver: Mutex<Option<mpsc::Receiver<RecordedEvent>>>,
    ledger: Arc<dyn Ledger>,
    meters: Arc<Meters>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    event: Arc<str>,
    by: Arc<str>,
}

impl Signals {
    pub(super) fn new(
        ledger: Arc<dyn Ledger>,
        meters: Arc<Meters>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let receiver = Mutex::new(Some(receiver));
        Self { sender, receiver, ledger, meters, clock, random, event: EVENT.into(), by: "functions".into() }
    }

    /// Notes a fault, without waiting for anything.
    pub(super) fn send(&self, environment: &Arc<str>, under: &Under) {
        let Ok(place) = self.sender.try_reserve() else {
            self.meters.dropped("queue_full", 1);
            return;
        };
        let now = self.clock.now();
        place.send(RecordedEvent {
            environment: Arc::clone(environment),
            event_id: self.random.uuid7(self.clock.as_ref()).to_string(),
            flag: Arc::clone(&under.flag),
            variant: Arc::clone(&under.variant),
            event_type: Arc::clone(&self.event),
            value: None,
            unit: None,
            at: now,
            received_at: now,
            recorded_by: Arc::clone(&self.by),
        });
    }

    /// Writes what comes, until `stop`; then what is there, once.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let Some(mut receiver) = self.receiver.lock().take() else { return };
        let mut batch = Vec::new();
        while let Some(more) = stop.run_until_cancelled(receiver.recv_many(&mut batch, BATCH)).await {
            if more == 0 {
                return;
            }
            self.write(std::mem::take(&mut batch), &stop).await;
        }
        receiver.close();
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            self.write(std::mem::take(&mut batch), &stop).await;
        }
    }

    /// Writes a batch; the same events again when the ledger does not answer, which count once because of their ids.
    async fn write(&self, batch: Vec<RecordedEvent>, stop: &CancellationToken) {
        let events = batch.len() as u64;
        for attempt in 1..=ATTEMPTS {
            let Err(error) = self.ledger.record(batch.clone()).await else {
                return self.meters.ingested(EVENT, "accepted", events);
            };
            tracing::warn!(%error, attempt, events, "guards cannot be told of faults of functions");
            let pause = stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1)));
            if attempt == ATTEMPTS || pause.await.is_none() {
                break;
            }
        }
        self.meters.dropped("ledger_unavailable", events);
    }
}
