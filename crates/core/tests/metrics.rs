//! Measurements on the fakes: nothing is lost, nothing is counted twice, and only those record who may.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flagbase_core::{
    caller::{Caller, Principal},
    engine::Reason,
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    flags::{Asked, Flags},
    ledger::{EventCount, Ledger, LedgerError, RecordedEvent, Rollup, RollupQuery},
    metrics::{Bounds, Meters, Metrics, OTHER, RangeAsked, Recorder, RequestObservation, Settings},
    refusal::Class,
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A ledger that refuses as many writes of rollups as it is told to.
#[derive(Default)]
struct Moody {
    memory: Memory,
    /// Writes that still succeed before those that fail.
    good: AtomicUsize,
    bad: AtomicUsize,
}

fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

#[async_trait]
impl Ledger for Moody {
    async fn record(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, LedgerError> {
        self.memory.record(events).await
    }
    async fn add(&self, rollups: Vec<Rollup>) -> Result<(), LedgerError> {
        if !take(&self.good) && take(&self.bad) {
            return Err(LedgerError::Unavailable("the disk is full".into()));
        }
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
    metrics: Arc<Metrics>,
    recorder: Arc<Recorder>,
    ledger: Arc<Moody>,
    clock: FixedClock,
    feed: Arc<Feed>,
}

async fn product() -> Product {
    on(Memory::new(), Bounds::default()).await
}

async fn on(memory: Memory, bounds: Bounds) -> Product {
    let clock = FixedClock::default();
    let (time, random) = (Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    let feed = Arc::new(Feed::open(Arc::new(memory.clone()), time.clone(), random).await.unwrap());
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let recorder = Arc::new(Recorder::new(time, Arc::new(Meters::default()), bounds));
    let ledger = Arc::new(Moody { memory, ..Moody::default() });
    let settings = Settings::default();
    let metrics = Metrics::new(Arc::clone(&feed), ledger.clone(), Arc::clone(&recorder), settings);
    let product = Product { metrics: Arc::new(metrics), recorder, ledger, clock, feed };
    product.flag("checkout").await;
    product
}

impl Product {
    async fn flag(&self, key: &str) {
        let flags = Flags::new(Arc::clone(&self.feed));
        let caller = caller("developer");
        let asked = Asked { caller: &caller, environment: "default", reason: "" };
        let body = json!({"key": key, "name": key, "enabled": true, "default_value": false});
        let _ = flags.create(asked, &body).await;
    }

    fn request(&self, route: &str, variant: &str, status: u16) {
        let [environment, route, flag, variant] = ["default", route, "checkout", variant].map(Arc::from);
        self.recorder.request(&RequestObservation {
            environment: &environment,
            route: &route,
            flag: &flag,
            variant: &variant,
            status,
            latency: Duration::from_millis(20),
        });
    }

    fn exposed(&self, variant: &str) {
        let [environment, flag, variant] = ["default", "checkout", variant].map(Arc::from);
        self.recorder.exposed(&environment, &flag, &variant, Reason::Split);
    }

    async fn shown(&self) -> Value {
        let (developer, asked) = (caller("developer"), RangeAsked::default());
        let shown = self.metrics.flag(&developer, "default", "checkout", &asked).await.unwrap();
        serde_json::to_value(shown).unwrap()
    }
}

fn caller(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: "id".into(),
        email: "alice@example.com".into(),
        role: role.into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn event(event_type: &str) -> Value {
    json!({"flag_key": "checkout", "variant": "true", "event_type": event_type, "value": 2})
}

fn variant<'v>(shown: &'v Value, name: &str) -> &'v Value {
    let variants = shown["variants"].as_array().unwrap();
    variants.iter().find(|variant| variant["variant"] == name).unwrap()
}

#[tokio::test]
async fn a_weighted_flag_is_already_a_simple_experiment() {
    let product = product().await;
    (0..4).for_each(|_| product.exposed("true"));
    (0..3).for_each(|_| product.request("shop", "true", 200));
    product.request("shop", "true", 502);
    product.metrics.record(&caller("developer"), "default", &event("conversion")).await.unwrap();
    let shown = product.shown().await;
    let on = variant(&shown, "true");
    assert_eq!((&on["exposures"], &on["requests"], &on["errors_5xx"]), (&json!(4), &json!(4), &json!(1)));
    assert_eq!(on["events"]["conversion"], json!({"count": 1, "sum": 2.0, "mean": 2.0, "rate": 0.25}));
    assert_eq!((&on["error_rate"], &on["latency_ms"]), (&json!(0.25), &json!({"mean": 20.0, "max": 20.0})));
    assert_eq!(variant(&shown, "false")["exposures"], 0);
    assert_eq!(shown["resolution"], "10s");
}

#[tokio::test]
async fn what_is_shown_is_the_same_before_and_after_it_is_written_and_after_a_restart() {
    let memory = Memory::new();
    let product = on(memory.clone(), Bounds::default()).await;
    product.exposed("true");
    product.request("shop", "true", 200);
    let before = product.shown().await;
    assert_eq!(product.recorder.flush(product.ledger.as_ref()).await.unwrap(), 2);
    assert_eq!(product.shown().await, before);
    assert_eq!(product.recorder.flush(product.ledger.as_ref()).await.unwrap(), 0);
    let restarted = on(memory, Bounds::default()).await;
    assert_eq!(restarted.shown().await, before);
    restarted.exposed("true");
    assert_eq!(variant(&restarted.shown().await, "true")["exposures"], 2);
}

#[tokio::test]
async fn a_write_that_fails_keeps_the_counts_in_their_own_bucket() {
    let product = product().await;
    product.ledger.bad.store(1, Ordering::SeqCst);
    product.exposed("true");
    product.clock.advance_seconds(10);
    assert!(product.recorder.flush(product.ledger.as_ref()).await.is_err());
    product.exposed("true");
    product.exposed("true");
    assert_eq!(variant(&product.shown().await, "true")["exposures"], 3);
    product.clock.advance_seconds(10);
    product.recorder.flush(product.ledger.as_ref()).await.unwrap();
    let shown = product.shown().await;
    let series: Vec<_> = shown["series"].as_array().unwrap().iter().map(|m| m["exposures"].clone()).collect();
    assert_eq!(series, [1, 2]);
}

#[tokio::test]
async fn a_write_that_fails_half_way_counts_nothing_twice() {
    let product = product().await;
    let variants = 2500;
    (0..variants).for_each(|n| product.exposed(&format!("v{n}")));
    product.ledger.good.store(1, Ordering::SeqCst);
    product.ledger.bad.store(1, Ordering::SeqCst);
    assert!(product.recorder.flush(product.ledger.as_ref()).await.is_err());
    assert_eq!(product.recorder.flush(product.ledger.as_ref()).await.unwrap(), 500);
    let shown = product.shown().await;
    let counts = shown["variants"].as_array().unwrap();
    let sum: u64 = counts.iter().map(|variant| variant["exposures"].as_u64().unwrap()).sum();
    assert_eq!(sum, variants);
}

#[tokio::test]
async fn many_threads_lose_nothing_while_it_is_written() {
    let product = product().await;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let recorder = Arc::clone(&product.recorder);
            std::thread::Builder::new().spawn(move || {
                let [environment, route, flag, variant] = ["default", "r", "checkout", "true"].map(Arc::from);
                let kept = recorder.handle(&environment, &route, &flag, &variant);
                for n in 0..20_000 {
                    if n % 2 == 0 {
                        kept.observe(200, Duration::from_micros(10));
                    } else {
                        recorder.exposed(&environment, &flag, &variant, Reason::Default);
                    }
                }
            })
        })
        .collect();
    for _ in 0..50 {
        product.recorder.flush(product.ledger.as_ref()).await.unwrap();
    }
    for thread in threads {
        thread.unwrap().join().unwrap();
    }
    product.recorder.flush(product.ledger.as_ref()).await.unwrap();
    let shown = product.shown().await;
    let on = variant(&shown, "true");
    assert_eq!((&on["requests"], &on["exposures"]), (&json!(40_000), &json!(40_000)));
    assert!((on["latency_ms"]["mean"].as_f64().unwrap() - 0.01).abs() < 1e-9);
}

#[tokio::test]
async fn more_names_than_there_is_room_for_are_counted_together_and_told() {
    let product = on(Memory::new(), Bounds { requests: 2, exposures: 2 }).await;
    (0..5).for_each(|n| product.request(&format!("r{n}"), "true", 200));
    (0..5).for_each(|n| product.exposed(&format!("v{n}")));
    let routes =
        product.metrics.routes(&caller("developer"), "default", &RangeAsked::default()).await.unwrap();
    let other = routes.iter().find(|route| route.route == OTHER).unwrap();
    assert_eq!((routes.len(), other.requests), (3, 3));
    let text = product.metrics.prometheus();
    assert!(text.contains("flagbase_events_dropped_total{reason=\"cardinality\"} 6"), "{text}");
}

#[tokio::test]
async fn only_those_record_who_may() {
    let product = product().await;
    for (caller, class) in
        [(caller("user"), Class::Forbidden), (Caller::clone(&Caller::nobody()), Class::Unauthenticated)]
    {
        let refusal = product.metrics.record(&caller, "default", &event("error")).await.unwrap_err();
        assert_eq!(refusal.class, class);
    }
    let unknown = product.metrics.record(&caller("developer"), "nowhere", &event("error")).await.unwrap_err();
    assert_eq!(unknown.code, "environment_not_found");
    assert!(product.ledger.memory.events("default", "checkout", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_event_sent_again_is_a_duplicate_and_a_batch_with_a_fault_changes_nothing() {
    let product = product().await;
    let developer = caller("developer");
    let mut named = event("error");
    named["event_id"] = json!("once");
    let batch = json!({"events": [named.clone(), event("error"), named.clone()]});
    let recorded = product.metrics.record(&developer, "default", &batch).await.unwrap();
    assert_eq!((recorded.accepted, recorded.duplicates, recorded.single), (2, 1, false));
    let again = product.metrics.record(&developer, "default", &named).await.unwrap();
    assert_eq!((again.accepted, again.duplicates, again.single), (0, 1, true));
    let faulty = json!([event("conversion"), {"flag_key": "checkout"}]);
    assert!(product.metrics.record(&developer, "default", &faulty).await.is_err());
    let shown = product.shown().await;
    assert_eq!(variant(&shown, "true")["events"]["error"]["count"], 2);
    assert!(variant(&shown, "true")["events"]["conversion"].is_null());
}

#[tokio::test]
async fn raw_events_and_totals_are_read_back() {
    let product = product().await;
    let developer = caller("developer");
    product.metrics.record(&developer, "default", &event("conversion")).await.unwrap();
    let events = product.metrics.events(&developer, "default", "checkout", 10).await.unwrap();
    assert_eq!((events.len(), &*events[0].event_type, events[0].value), (1, "conversion", Some(2.0)));
    assert_eq!(&*events[0].recorded_by, "id");
    assert_eq!(events[0].event_id.len(), 36);
    let totals = product.metrics.flags(&developer, "default", &RangeAsked::default()).await.unwrap();
    assert_eq!((totals[0].flag.as_str(), totals[0].events["conversion"].count), ("checkout", 1));
    let unknown = product.metrics.events(&developer, "default", "chekout", 10).await.unwrap_err();
    assert!(unknown.message.contains("did you mean `checkout`"), "{unknown}");
}

#[tokio::test]
async fn prometheus_sees_the_names_it_was_promised_and_no_person() {
    let product = product().await;
    product.exposed("true");
    product.request("shop", "true", 503);
    product.metrics.record(&caller("developer"), "default", &event("error")).await.unwrap();
    let meters = product.recorder.meters();
    meters.auth_failure("bad_password");
    meters.guard_looked("errors", "judged");
    meters.guard_evidence("checkout", "errors", 0.5);
    meters.guard_acted("disable");
    meters.evaluation_took(Duration::from_nanos(300));
    product.recorder.flush(product.ledger.as_ref()).await.unwrap();
    let text = product.metrics.prometheus();
    for line in [
        "flagbase_flag_evaluations_total{environment=\"default\",flag=\"checkout\",variant=\"true\",reason=\"SPLIT\"} 1",
        "flagbase_flag_evaluation_duration_seconds_count 1",
        "flagbase_flag_config_revision 3",
        "flagbase_sdk_stream_clients 0",
        "flagbase_flag_propagation_seconds_count 0",
        "flagbase_events_ingested_total{type=\"error\",result=\"accepted\"} 1",
        "flagbase_ingest_queue_depth 0",
        "flagbase_ingest_lag_seconds_count 1",
        "flagbase_rollup_flush_seconds_count 1",
        "flagbase_guard_evaluations_total{guard=\"errors\",result=\"judged\"} 1",
        "flagbase_guard_evidence_log{flag=\"checkout\",guard=\"errors\"} 0.5",
        "flagbase_guard_actions_total{action=\"disable\"} 1",
        "flagbase_guard_last_check_timestamp 0.0",
        "flagbase_auth_failures_total{reason=\"bad_password\"} 1",
        "flagbase_build_info{version=",
        "variant=\"true\",flag=\"checkout\",code_class=\"5xx\"} 1",
        "flagbase_gateway_request_duration_seconds_count{",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_start_time_seconds ",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("alice"), "{text}");
}

#[tokio::test]
async fn what_may_never_happen_has_a_line_before_it_does() {
    let text = product().await.metrics.prometheus();
    for line in [
        "flagbase_events_ingested_total{type=\"error\",result=\"accepted\"} 0",
        "flagbase_events_dropped_total{reason=\"cardinality\"} 0",
        "flagbase_events_dropped_total{reason=\"overflow\"} 0",
        "flagbase_events_dropped_total{reason=\"queue_full\"} 0",
        "flagbase_guard_evaluations_total{guard=\"errors\",result=\"judged\"} 0",
        "flagbase_guard_evaluations_total{guard=\"errors\",result=\"trip\"} 0",
        "flagbase_guard_evaluations_total{guard=\"errors\",result=\"inconclusive\"} 0",
        "flagbase_guard_actions_total{action=\"disable\"} 0",
        "flagbase_auth_failures_total{reason=\"invalid_credentials\"} 0",
        "flagbase_auth_failures_total{reason=\"session_ended\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
