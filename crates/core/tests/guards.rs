//! The watcher on the fakes: the rule exactly, once, and never in anybody's way.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use flagbase_core::{
    caller::{Caller, Principal},
    catalog::{Catalog as _, Change, DocumentId, Kind, Page},
    environments::{EnvironmentKind, Environments},
    events::CloudEvent,
    feed::Feed,
    flags::{Asked, Flags},
    guards::{Guards, Look, Watcher},
    ledger::{EventCount, Ledger, LedgerError, RecordedEvent, Rollup, RollupQuery},
    metrics::{Bounds, Meters, Metrics, Recorder, Settings},
    refusal::{Class, Precondition},
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// A ledger that fails to count, or never answers, when told to.
#[derive(Default)]
struct Stubborn {
    memory: Memory,
    fails: AtomicBool,
    hangs: AtomicBool,
    asked: Notify,
}

#[async_trait]
impl Ledger for Stubborn {
    async fn record(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, LedgerError> {
        self.memory.record(events).await
    }
    async fn add(&self, rollups: Vec<Rollup>) -> Result<(), LedgerError> {
        self.memory.add(rollups).await
    }
    async fn rollups(&self, query: RollupQuery) -> Result<Vec<Rollup>, LedgerError> {
        self.memory.rollups(query).await
    }
    async fn count_events(
        &self,
        environment: &str,
        event_type: &str,
        since: Timestamp,
        flag: Option<&str>,
    ) -> Result<Vec<EventCount>, LedgerError> {
        self.asked.notify_one();
        if self.fails.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("no answer".into()));
        }
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.memory.count_events(environment, event_type, since, flag).await
    }
    async fn events(
        &self,
        environment: &str,
        flag: &str,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        self.memory.events(environment, flag, limit).await
    }
    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError> {
        self.memory.prune(before).await
    }
    async fn note(&self, name: &str, set: Option<Value>) -> Result<Option<Value>, LedgerError> {
        self.memory.note(name, set).await
    }
}

struct Product {
    memory: Memory,
    feed: Arc<Feed>,
    flags: Arc<Flags>,
    guards: Guards,
    metrics: Metrics,
    ledger: Arc<Stubborn>,
    watcher: Arc<Watcher>,
    clock: FixedClock,
}

async fn product() -> Product {
    let (memory, clock) = (Memory::new(), FixedClock::default());
    let (time, random) = (Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    let feed = Arc::new(Feed::open(Arc::new(memory.clone()), time.clone(), random).await.unwrap());
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let ledger = Arc::new(Stubborn { memory: memory.clone(), ..Stubborn::default() });
    let meters = Arc::new(Meters::default());
    let recorder = Arc::new(Recorder::new(time, Arc::clone(&meters), Bounds::default()));
    let flags = Arc::new(Flags::new(Arc::clone(&feed)));
    let watcher = Watcher::new(Arc::clone(&feed), Arc::clone(&flags), ledger.clone(), meters);
    let product = Product {
        guards: Guards::new(Arc::clone(&feed)),
        metrics: Metrics::new(Arc::clone(&feed), ledger.clone(), recorder, Settings::default()),
        watcher: Arc::new(watcher),
        memory,
        feed,
        flags,
        ledger,
        clock,
    };
    product.create("checkout").await;
    product
}

impl Product {
    async fn create(&self, key: &str) {
        let body = json!({"key": key, "name": key, "enabled": true, "default_value": true});
        self.flags.create(asks(&developer()), &body).await.unwrap();
    }

    async fn record(&self, flag: &str, event_type: &str, unit: Option<&str>) {
        let event = json!({"flag_key": flag, "variant": "true", "event_type": event_type, "unit": unit});
        self.metrics.record(&developer(), "default", &event).await.unwrap();
    }

    async fn errors(&self, n: usize) {
        for _ in 0..n {
            self.record("checkout", "error", None).await;
        }
    }

    async fn look(&self) -> Look {
        let now = flagbase_core::clock::Clock::now(&self.clock);
        self.watcher.look(now).await
    }

    async fn enable(&self) {
        self.flags.set_enabled(asks(&developer()), "checkout", true).await.unwrap();
    }

    fn is_on(&self, key: &str) -> bool {
        let snapshot = self.feed.snapshots().get();
        snapshot.environment("default").unwrap().rules.flag(key).unwrap().enabled()
    }

    async fn history(&self, verb: &str) -> Vec<Change> {
        let id = DocumentId::new(Kind::Flag, "default", "checkout");
        let changes = self.memory.history(&id, None, 1000).await.unwrap();
        changes.into_iter().filter(|change| change.verb == verb).collect()
    }

    async fn guard(&self, key: &str, rule: Value, flags: &[&str]) {
        let body = json!({"rule": rule, "flags": flags});
        let caller = administrator();
        self.guards.put(asks(&caller), key, &body, Precondition::None).await.unwrap();
    }
}

fn developer() -> Caller {
    Caller {
        principal: Principal::User,
        id: "id".into(),
        email: "alice@example.com".into(),
        role: "developer".into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn administrator() -> Caller {
    Caller { role: "admin".into(), ..developer() }
}

fn asks(caller: &Caller) -> Asked<'_> {
    Asked { caller, environment: "default", reason: "because" }
}

#[tokio::test]
async fn ten_errors_are_fine_and_the_eleventh_turns_the_flag_off() {
    let product = product().await;
    product.errors(10).await;
    assert_eq!(product.look().await.trips, []);
    assert!(product.is_on("checkout"));
    product.errors(1).await;
    let look = product.look().await;
    assert_eq!(look.trips.len(), 1);
    assert!(!product.is_on("checkout"));
}

#[tokio::test]
async fn a_trip_is_one_event_and_one_row_with_the_evidence() {
    let product = product().await;
    product.errors(11).await;
    product.look().await;
    product.errors(5).await;
    assert_eq!(product.look().await.trips, []);
    let rows = product.history("disabled").await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&*row.actor.kind, &*row.actor.id), ("guard", "errors"));
    assert!(row.reason.contains("11 `error` events within 300 seconds"), "{}", row.reason);
    assert_eq!((&row.detail["count"], &row.detail["threshold"]), (&json!(11), &json!(10)));
    assert_eq!(row.detail["rule"]["type"], "absolute_count");
    assert_eq!(row.detail["window"]["seconds"], 300);
    let event = CloudEvent::of(row);
    assert_eq!((event.event_type.as_str(), event.subject.as_str()), ("flagbase.flag.disabled", "checkout"));
    assert_eq!(event.data["detail"]["count"], 11);
}

#[tokio::test]
async fn eleven_errors_over_more_than_five_minutes_are_fine() {
    let product = product().await;
    for _ in 0..11 {
        product.errors(1).await;
        product.clock.advance_seconds(31);
        assert_eq!(product.look().await.trips, []);
    }
    assert!(product.is_on("checkout"));
}

#[tokio::test]
async fn a_unit_counts_once_however_often_it_retries() {
    let product = product().await;
    for _ in 0..50 {
        product.record("checkout", "error", Some("one client")).await;
    }
    for n in 0..9 {
        product.record("checkout", "error", Some(&format!("client {n}"))).await;
    }
    assert_eq!(product.look().await.trips, []);
    product.errors(1).await;
    assert_eq!(product.look().await.trips.len(), 1);
    assert_eq!(product.history("disabled").await[0].detail["units"], 10);
}

#[tokio::test]
async fn a_flag_that_is_turned_on_again_stays_on_until_it_fails_anew() {
    let product = product().await;
    product.errors(20).await;
    product.look().await;
    product.clock.advance_seconds(30);
    product.enable().await;
    product.clock.advance_seconds(1);
    assert_eq!(product.look().await.trips, []);
    product.errors(10).await;
    product.clock.advance_seconds(30);
    assert_eq!(product.look().await.trips, []);
    assert!(product.is_on("checkout"));
    product.errors(1).await;
    assert_eq!(product.look().await.trips.len(), 1);
    assert_eq!(product.history("disabled").await[0].detail["count"], 11);
}

#[tokio::test]
async fn many_edits_since_it_was_turned_on_do_not_hide_that_moment() {
    let product = product().await;
    product.errors(20).await;
    product.look().await;
    product.clock.advance_seconds(1);
    product.enable().await;
    for n in 0..60 {
        let patch = json!({"name": format!("name {n}")});
        product.flags.patch(asks(&developer()), "checkout", &patch, Precondition::None).await.unwrap();
    }
    assert_eq!(product.look().await.trips, []);
}

#[tokio::test]
async fn only_the_failing_flag_of_the_right_type_and_environment_is_taken() {
    let product = product().await;
    product.create("search").await;
    product.errors(11).await;
    for _ in 0..20 {
        product.record("search", "conversion", None).await;
    }
    product.look().await;
    assert_eq!((product.is_on("checkout"), product.is_on("search")), (false, true));
}

#[tokio::test]
async fn a_guard_has_its_own_numbers_and_flags() {
    let product = product().await;
    product.create("search").await;
    let rule =
        json!({"type": "absolute_count", "more_than": 2, "window_seconds": 60, "event_type": "timeout"});
    product.guard("timeouts", rule, &["search"]).await;
    for flag in ["checkout", "search"] {
        for _ in 0..3 {
            product.record(flag, "timeout", None).await;
        }
    }
    let look = product.look().await;
    assert_eq!((look.judged, look.trips.len(), look.trips[0].guard.as_str()), (2, 1, "timeouts"));
    assert_eq!((product.is_on("checkout"), product.is_on("search")), (true, false));
}

#[tokio::test]
async fn a_guard_that_is_switched_off_does_nothing() {
    let product = product().await;
    let body = json!({"enabled": false, "rule": {"type": "absolute_count"}});
    product.guards.put(asks(&administrator()), "errors", &body, Precondition::None).await.unwrap();
    product.errors(30).await;
    assert_eq!(product.look().await, Look::default());
    assert!(product.is_on("checkout"));
}

#[tokio::test]
async fn without_an_answer_nothing_is_judged_and_the_next_look_goes_on() {
    let product = product().await;
    product.errors(11).await;
    product.ledger.fails.store(true, Ordering::SeqCst);
    let look = product.look().await;
    assert_eq!((look.judged, look.inconclusive, look.trips.len()), (0, 1, 0));
    product.ledger.fails.store(false, Ordering::SeqCst);
    assert_eq!(product.look().await.trips.len(), 1);
}

#[tokio::test]
async fn a_watcher_that_waits_for_the_store_keeps_nobody_from_writing() {
    let product = product().await;
    product.errors(11).await;
    product.ledger.hangs.store(true, Ordering::SeqCst);
    let watcher = Arc::clone(&product.watcher);
    let now = flagbase_core::clock::Clock::now(&product.clock);
    let looking = tokio::task::LocalSet::new();
    looking
        .run_until(async {
            let look = tokio::task::spawn_local(async move { watcher.look(now).await });
            product.ledger.asked.notified().await;
            product.create("search").await;
            product.errors(3).await;
            product.flags.set_enabled(asks(&developer()), "search", false).await.unwrap();
            assert!(!look.is_finished());
            look.abort();
        })
        .await;
    assert!(!product.is_on("search"));
}

#[tokio::test]
async fn many_flags_failing_at_once_are_all_taken_and_writing_goes_on() {
    let product = product().await;
    for n in 0..20 {
        let key = format!("flag-{n}");
        product.create(&key).await;
        for _ in 0..11 {
            product.record(&key, "error", None).await;
        }
    }
    let (look, ()) = tokio::join!(product.look(), async {
        for n in 0..20 {
            product.create(&format!("other-{n}")).await;
        }
    });
    assert_eq!(look.trips.len(), 20);
    assert!(product.is_on("other-19"));
}

#[tokio::test]
async fn the_guard_and_a_person_reaching_for_the_button_together_turn_it_off_once() {
    let product = product().await;
    product.errors(11).await;
    let caller = developer();
    let (_, person) =
        tokio::join!(product.look(), product.flags.set_enabled(asks(&caller), "checkout", false));
    person.unwrap();
    assert_eq!(product.history("disabled").await.len(), 1);
}

#[tokio::test]
async fn an_edit_at_the_same_moment_does_not_save_the_flag() {
    let product = product().await;
    product.errors(11).await;
    let (patch, caller) = (json!({"name": "New"}), developer());
    let (look, edit) = tokio::join!(
        product.look(),
        product.flags.patch(asks(&caller), "checkout", &patch, Precondition::None)
    );
    edit.unwrap();
    assert_eq!(look.trips.len(), 1);
    assert!(!product.is_on("checkout"));
}

#[tokio::test]
async fn events_a_long_way_off_do_not_count() {
    let product = product().await;
    let now = flagbase_core::clock::Clock::now(&product.clock);
    let old = now - SignedDuration::from_secs(301);
    let event =
        |at: Timestamp| json!({"flag_key": "checkout", "variant": "true", "event_type": "error", "time": at});
    let events: Vec<_> = (0..20).map(|_| event(old)).chain((0..10).map(|_| event(now))).collect();
    product.metrics.record(&developer(), "default", &json!(events)).await.unwrap();
    assert_eq!(product.look().await.trips, []);
}

#[tokio::test]
async fn guards_are_for_those_who_may_and_say_what_is_wrong() {
    let product = product().await;
    let mut user = developer();
    user.role = "user".into();
    let body = json!({"rule": {"type": "absolute_count", "window_seconds": 60}});
    let refused = product.guards.put(asks(&user), "mine", &body, Precondition::None).await.unwrap_err();
    assert_eq!(refused.class, Class::Forbidden);
    let building =
        product.guards.put(asks(&developer()), "mine", &body, Precondition::None).await.unwrap_err();
    assert_eq!(
        building.class,
        Class::Forbidden,
        "whoever registers is a developer, and guards are above him"
    );
    let caller = administrator();
    let (made, new) = product.guards.put(asks(&caller), "mine", &body, Precondition::Absent).await.unwrap();
    assert!(new);
    let listed = product.guards.list(&user, "default", Page { limit: 10, ..Page::default() }).await.unwrap();
    let keys: Vec<_> = listed.iter().map(|document| document.id.key.as_ref()).collect();
    assert_eq!(keys, ["errors", "mine"]);
    let stale = product.guards.delete(asks(&caller), "mine", Precondition::Match(made.revision + 1)).await;
    assert_eq!(stale.unwrap_err().class, Class::Stale);
    product.guards.delete(asks(&caller), "mine", Precondition::Match(made.revision)).await.unwrap();
    let gone = product.guards.get(&caller, "default", "mine").await.unwrap_err();
    assert_eq!(gone.code, "guard_not_found");
}
