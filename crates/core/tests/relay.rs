//! The relay on the fakes: in order, at least once, whatever happens to it or to the sink.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use async_trait::async_trait;
use flagbase_core::{
    catalog::{Actor, DocumentId, Draft, Expect, Kind, Write},
    events::{CloudEvent, EventBus, Halted},
    feed::Feed,
    ledger::{EventCount, Ledger, LedgerError, RecordedEvent, Rollup, RollupQuery},
    metrics::Meters,
    relay::{Relay, Sinks},
    tasks::Tasks,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

struct House {
    memory: Memory,
    feed: Arc<Feed>,
    clock: FixedClock,
}

impl House {
    async fn with(changes: u64) -> Self {
        let (memory, clock) = (Memory::new(), FixedClock::default());
        let random = Arc::new(SeededRandom::new(1));
        let feed = Feed::open(Arc::new(memory.clone()), Arc::new(clock.clone()), random).await.unwrap();
        let house = Self { memory, feed: Arc::new(feed), clock };
        for n in 0..changes {
            house.notice(&format!("u{n}"), Value::Null).await;
        }
        house
    }

    async fn notice(&self, key: &str, detail: Value) {
        let id = DocumentId::new(Kind::User, "", key);
        let draft = Draft { id, verb: "updated", expect: Expect::Any, write: Write::Nothing, detail };
        self.feed.edit().await.commit(Actor::system(), "", vec![draft]).await.unwrap();
    }

    fn relay(&self, bus: &Arc<Recording>) -> Relay {
        let ledger: Arc<dyn Ledger> = Arc::new(self.memory.clone());
        let bus: Arc<dyn EventBus> = bus.clone();
        Relay::new(Arc::clone(&self.feed), ledger, ("test", bus), Arc::new(Meters::default()))
    }
}

/// A bus that takes so many more events, each after having been waited for, and refuses one for good.
struct Recording {
    taken: Mutex<Vec<u64>>,
    largest_batch: AtomicUsize,
    room: AtomicUsize,
    poison: AtomicU64,
}

impl Recording {
    fn with_room(room: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            largest_batch: AtomicUsize::new(0),
            room: AtomicUsize::new(room),
            poison: AtomicU64::new(0),
        })
    }

    fn taken(&self) -> Vec<u64> {
        self.taken.lock().clone()
    }
}

#[async_trait]
impl EventBus for Recording {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        self.largest_batch.fetch_max(events.len(), Ordering::SeqCst);
        for (taken, event) in events.iter().enumerate() {
            tokio::task::yield_now().await;
            if event.flagbaseseq == self.poison.load(Ordering::SeqCst) {
                return Err(Halted::refused(taken, "larger than 1 MiB"));
            }
            let room = self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            room.map_err(|_| Halted::unavailable(taken, "down"))?;
            self.taken.lock().push(event.flagbaseseq);
        }
        // As a bus that has the events and whose acknowledgement is on its way.
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// Runs `future` for so many steps and then lets it fall, as a process that is killed does.
fn killed_after<T>(steps: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..steps).find_map(|_| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    })
}

#[tokio::test]
async fn a_death_at_any_step_loses_nothing_and_keeps_the_order() {
    for step in 1..160 {
        let house = House::with(70).await;
        let bus = Recording::with_room(usize::MAX);
        let relay = house.relay(&bus);
        let survived = killed_after(step, relay.drain()).is_some();
        drop(relay);
        let before = bus.taken().len();
        assert_eq!(house.relay(&bus).drain().await.unwrap(), 70);
        let taken = bus.taken();
        let mut last = 0;
        for revision in &taken {
            assert!(*revision <= last + 1, "a gap after {last} when killed at step {step}: {taken:?}");
            last = last.max(*revision);
        }
        assert_eq!(last, 70);
        assert!(!survived || taken.len() == before, "what was acknowledged and noted is not repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_for_an_hour_is_offered_little_and_then_gets_everything_in_order() {
    let house = House::with(3).await;
    let (bus, sinks, tasks) = (Recording::with_room(2), Sinks::default(), Tasks::new());
    sinks.start(house.relay(&bus), &tasks);
    for n in 0..3600 {
        if n % 4 == 0 {
            house.notice(&format!("late{n}"), Value::Null).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.clock.advance(SignedDuration::from_secs(1));
    }
    let [down] = sinks.all().try_into().unwrap();
    assert_eq!((down.revision, down.head, down.behind), (2, 903, 901));
    assert!((down.behind_seconds - 3600.0).abs() < 2.0, "{down:?}");
    assert_eq!(down.error.as_deref(), Some("the event bus is unavailable: down"));
    assert!(bus.largest_batch.load(Ordering::SeqCst) <= 64, "more than a batch was in memory");

    bus.room.store(usize::MAX, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bus.taken(), (1..=903).collect::<Vec<_>>());
    let [up] = sinks.all().try_into().unwrap();
    assert_eq!((up.behind, up.error, up.passed_over), (0, None, 0));
    assert!(up.behind_seconds.abs() < f64::EPSILON);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn an_event_that_is_refused_for_good_is_recorded_and_passed_over() {
    let house = House::with(10).await;
    let bus = Recording::with_room(usize::MAX);
    bus.poison.store(4, Ordering::SeqCst);
    let relay = house.relay(&bus);
    assert_eq!(relay.drain().await.unwrap(), 10);
    assert_eq!(bus.taken(), [1, 2, 3, 5, 6, 7, 8, 9, 10]);
    let again = house.relay(&bus);
    assert_eq!(again.drain().await.unwrap(), 10);
    for sink in [relay.sink(), again.sink()] {
        assert_eq!((sink.passed_over, sink.behind), (1, 0));
        let last = sink.last_passed_over.unwrap();
        assert_eq!((last.revision, last.reason.as_str()), (4, "larger than 1 MiB"));
    }
}

#[tokio::test]
async fn a_sink_may_begin_with_what_happens_from_now_on() {
    let house = House::with(5).await;
    let bus = Recording::with_room(usize::MAX);
    let relay = house.relay(&bus).from_now();
    assert_eq!(relay.drain().await.unwrap(), 5);
    house.notice("new", Value::Null).await;
    assert_eq!(relay.drain().await.unwrap(), 6);
    assert_eq!(bus.taken(), [6]);
    house.notice("while it was off", Value::Null).await;
    assert_eq!(house.relay(&bus).from_now().drain().await.unwrap(), 7);
    assert_eq!(bus.taken(), [6, 7], "and goes on where it was when it comes back");
}

#[tokio::test]
async fn a_relay_wakes_by_itself_soon_after_a_change() {
    let house = House::with(0).await;
    let (bus, tasks) = (Recording::with_room(usize::MAX), Tasks::new());
    Arc::new(house.relay(&bus)).start(&tasks);
    house.notice("a", json!({"n": 1})).await;
    while bus.taken().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bus.taken(), [1]);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

/// A ledger that cannot write for a while.
struct FullDisk {
    ledger: Memory,
    full: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Ledger for FullDisk {
    async fn record(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, LedgerError> {
        self.ledger.record(events).await
    }

    async fn add(&self, rollups: Vec<Rollup>) -> Result<(), LedgerError> {
        self.ledger.add(rollups).await
    }

    async fn rollups(&self, query: RollupQuery) -> Result<Vec<Rollup>, LedgerError> {
        self.ledger.rollups(query).await
    }

    async fn count_events(
        &self,
        environment: &str,
        event_type: &str,
        since: Timestamp,
        flag: Option<&str>,
    ) -> Result<Vec<EventCount>, LedgerError> {
        self.ledger.count_events(environment, event_type, since, flag).await
    }

    async fn events(
        &self,
        environment: &str,
        flag: &str,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        Ledger::events(&self.ledger, environment, flag, limit).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError> {
        self.ledger.prune(before).await
    }

    async fn note(&self, name: &str, set: Option<Value>) -> Result<Option<Value>, LedgerError> {
        if set.is_some() && self.full.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("the disk is full".into()));
        }
        self.ledger.note(name, set).await
    }
}

#[tokio::test]
async fn a_full_disk_does_not_make_the_same_events_come_again_and_again() {
    let house = House::with(130).await;
    let bus = Recording::with_room(usize::MAX);
    let disk = Arc::new(FullDisk { ledger: house.memory.clone(), full: true.into() });
    let (ledger, behind): (Arc<dyn Ledger>, Arc<dyn EventBus>) = (disk.clone(), bus.clone());
    let relay = Relay::new(Arc::clone(&house.feed), ledger, ("test", behind), Arc::new(Meters::default()));
    for _ in 0..5 {
        assert!(relay.drain().await.is_err());
    }
    assert_eq!(bus.taken(), (1..=64).collect::<Vec<_>>(), "one batch, once");
    disk.full.store(false, Ordering::SeqCst);
    assert_eq!(relay.drain().await.unwrap(), 130);
    assert_eq!(bus.taken(), (1..=130).collect::<Vec<_>>());
}
