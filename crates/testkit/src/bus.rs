//! What every `EventBus` does.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use flagbase_core::events::{BusError, CloudEvent, EventBus, Halted};
use serde_json::{Value, json};
use tokio::sync::Mutex;

mod faults;
mod plain;

pub use self::{faults::*, plain::*};

/// Far longer than any bus needs; a test that hangs is ended by it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A bus to test, somebody who listens to it, and whoever can switch it off.
pub struct BusUnderTest {
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    listener: Mutex<Box<dyn Listener>>,
    broker: Option<Box<dyn Broker>>,
    _keep: Box<dyn Any + Send + Sync>,
}

/// Hears what is published on a bus, from before the first event on.
#[async_trait]
pub trait Listener: Send {
    /// The next event, once per publication however many subjects it was published on. Waits for it, also while the
    /// broker is away.
    async fn hear(&mut self) -> CloudEvent;
}

/// The process behind a bus.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Kills it, without a chance to save anything.
    async fn kill(&self);
    /// Starts it again at the same address, and returns when it answers.
    async fn start(&self);
    /// Whether what it acknowledged is still there after it was killed.
    fn is_durable(&self) -> bool;
}

impl BusUnderTest {
    /// A bus and its listener; `keep` (a server, say) lives as long as they are tested.
    pub fn new(
        bus: Arc<dyn EventBus>,
        listener: impl Listener + 'static,
        keep: impl Any + Send + Sync,
    ) -> Self {
        Self { bus, listener: Mutex::new(Box::new(listener)), broker: None, _keep: Box::new(keep) }
    }

    /// The same, with a broker that can be switched off.
    #[must_use]
    pub fn with_broker(self, broker: impl Broker + 'static) -> Self {
        Self { broker: Some(Box::new(broker)), ..self }
    }

    fn broker(&self) -> &dyn Broker {
        self.broker.as_deref().unwrap()
    }

    async fn hear(&self) -> CloudEvent {
        let mut listener = self.listener.lock().await;
        tokio::time::timeout(PATIENCE, listener.hear()).await.unwrap()
    }

    /// The next `count` events.
    async fn hear_many(&self, count: usize) -> Vec<CloudEvent> {
        let mut heard = Vec::with_capacity(count);
        while heard.len() < count {
            heard.push(self.hear().await);
        }
        heard
    }

    /// What is heard up to the event `last`, without what came before; the first of each id.
    async fn hear_until(&self, last: u64) -> Vec<u64> {
        let mut heard = Vec::new();
        loop {
            let CloudEvent { subject, flagbaseseq: sequence, .. } = self.hear().await;
            if subject != PROBE && !heard.contains(&sequence) {
                heard.push(sequence);
            }
            if sequence == last {
                return heard;
            }
        }
    }

    /// Offers `events` as the relay does: what was not taken again and again, until everything is. Returns how often
    /// the bus was unavailable.
    async fn relay(&self, events: &[CloudEvent]) -> usize {
        let (mut rest, mut failures) = (events, 0);
        let offering = async {
            while !rest.is_empty() {
                let (batch, behind) = rest.split_at(rest.len().min(BATCH));
                match self.bus.publish(batch).await {
                    Ok(()) => rest = behind,
                    Err(Halted { taken, error }) => {
                        assert!(matches!(error, BusError::Unavailable(_)), "{error:?}");
                        rest = rest.get(taken..).unwrap();
                        failures += 1;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE * 2, offering).await.unwrap();
        failures
    }
}

impl fmt::Debug for BusUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusUnderTest").finish_non_exhaustive()
    }
}

/// The key of events that only find out whether anybody listens.
const PROBE: &str = "probe";

/// As many events as the relay offers at once.
const BATCH: usize = 64;

/// An event about the flag `key`, at place `sequence` of the log.
#[must_use]
pub fn event(key: &str, sequence: u64) -> CloudEvent {
    let data = json!({"key": key, "environment": "default", "before": null, "after": {"enabled": false}});
    CloudEvent {
        specversion: "1.0".into(),
        id: format!("01970000-0000-7000-8000-{sequence:012}"),
        source: "/environments/default".to_owned(),
        event_type: "flagbase.flag.disabled".to_owned(),
        subject: key.to_owned(),
        time: "2026-01-01T00:00:00Z".to_owned(),
        datacontenttype: "application/json".into(),
        traceparent: None,
        flagbaseseq: sequence,
        data,
    }
}

/// The same about a flag that became `after`.
fn event_with(sequence: u64, after: &Value) -> CloudEvent {
    CloudEvent { data: json!({"key": "dark-mode", "after": after}), ..event("dark-mode", sequence) }
}

/// Events of one flag at the places `from` to `to`, without the last.
fn events(from: u64, to: u64) -> Vec<CloudEvent> {
    (from..to).map(|sequence| event("dark-mode", sequence)).collect()
}

fn sequences(events: &[CloudEvent]) -> Vec<u64> {
    events.iter().map(|event| event.flagbaseseq).collect()
}

/// Makes a module of tests, one per rule of the contract that every bus keeps.
///
/// `$fresh` names an `async fn() -> BusUnderTest` that gives a bus nobody has used, as seen from a module below the
/// call: `super::fresh`.
#[macro_export]
macro_rules! event_bus_contract {
    ($fresh:path) => {
        $crate::bus_cases!(
            $fresh,
            contract,
            [
                an_event_arrives_as_it_was_published,
                a_batch_arrives_in_its_order,
                many_batches_arrive_in_their_order,
                an_empty_batch_is_taken,
                keys_of_any_letters_arrive,
                what_belongs_to_no_environment_arrives,
                what_is_offered_again_carries_the_same_id,
                a_large_event_arrives_whole,
                nothing_behind_a_huge_event_is_held_up,
            ]
        );
    };
}

/// The same for what a bus with a broker of its own does when that fails.
#[macro_export]
macro_rules! event_bus_fault_contract {
    ($fresh:path) => {
        $crate::bus_cases!(
            $fresh,
            faults,
            [
                a_broker_that_is_away_is_told_and_everything_comes_in_order_later,
                a_broker_that_was_never_there_is_told_and_used_once_it_is,
                a_broker_killed_in_the_middle_keeps_the_order_and_what_it_acknowledged,
                nothing_piles_up_while_the_broker_is_away,
            ]
        );
    };
}

/// One test per case.
#[doc(hidden)]
#[macro_export]
macro_rules! bus_cases {
    ($fresh:path, $module:ident, [$($case:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::bus::$case(&$fresh().await).await;
                }
            )*
        }
    };
}
