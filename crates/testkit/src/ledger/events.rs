//! Recorded events.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use std::sync::Arc;

use flagbase_core::ledger::RecordedEvent;
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use super::{after, event};
use crate::Stores;

async fn record(stores: &Stores, events: Vec<RecordedEvent>) -> Vec<bool> {
    stores.ledger.record(events).await.unwrap()
}

async fn ids(stores: &Stores, environment: &str, flag: &str, limit: u32) -> String {
    let events = stores.ledger.events(environment, flag, limit).await.unwrap();
    events.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>().join(" ")
}

/// `flag: without unit + units` of every flag.
async fn counts(stores: &Stores, since: Timestamp, flag: Option<&str>) -> Vec<String> {
    let counts = stores.ledger.count_events("default", "error", since, flag).await.unwrap();
    counts.iter().map(|c| format!("{}: {} + {}", c.flag, c.without_unit, c.units)).collect()
}

pub async fn an_event_is_recorded_once(stores: &Stores) {
    assert_eq!(record(stores, vec![event("e1"), event("e2")]).await, [true, true]);
    let changed = RecordedEvent { value: Some(3.0), at: after(9), ..event("e2") };
    assert_eq!(record(stores, vec![event("e3"), changed]).await, [true, false]);
    assert_eq!(record(stores, Vec::new()).await, [false; 0]);
    assert_eq!(ids(stores, "default", "dark-mode", 9).await, "e3 e2 e1");
}

pub async fn a_batch_may_hold_the_same_event_twice(stores: &Stores) {
    let batch = vec![event("e1"), event("e1"), event("e2"), event("e1")];
    assert_eq!(record(stores, batch).await, [true, false, true, false]);
    assert_eq!(counts(stores, after(0), None).await, ["dark-mode: 2 + 0"]);
}

pub async fn event_ids_belong_to_an_environment(stores: &Stores) {
    let staging = RecordedEvent { environment: "staging".into(), ..event("e1") };
    assert_eq!(record(stores, vec![event("e1"), staging.clone()]).await, [true, true]);
    assert_eq!(record(stores, vec![staging]).await, [false]);
    assert_eq!(ids(stores, "staging", "dark-mode", 9).await, "e1");
}

pub async fn recorded_events_read_back_newest_first(stores: &Stores) {
    let full =
        RecordedEvent { value: Some(-1.5), unit: Some("user-1".into()), at: after(30), ..event("full") };
    let other = RecordedEvent { flag: "other".into(), ..event("other") };
    let old = RecordedEvent { at: after(-30), ..event("old") };
    record(stores, vec![old, full.clone(), other, event("bare")]).await;

    assert_eq!(ids(stores, "default", "dark-mode", 9).await, "full bare old");
    assert_eq!(ids(stores, "default", "dark-mode", 2).await, "full bare");
    assert_eq!(ids(stores, "default", "unknown", 9).await, "");
    let newest = stores.ledger.events("default", "dark-mode", 2).await.unwrap();
    assert_eq!(newest, [full, event("bare")]);
}

pub async fn units_are_counted_once_and_the_unitless_each(stores: &Stores) {
    let of = |id: &str, unit: &str| RecordedEvent { unit: Some(unit.into()), ..event(id) };
    let batch = vec![of("1", "a"), of("2", "a"), of("3", "b"), event("4"), event("5"), of("6", "")];
    record(stores, batch).await;
    assert_eq!(counts(stores, after(0), None).await, ["dark-mode: 2 + 3"]);
    let count = stores.ledger.count_events("default", "error", after(0), None).await.unwrap();
    assert_eq!(count.first().map(flagbase_core::ledger::EventCount::total), Some(5));
}

pub async fn counting_starts_with_the_first_moment(stores: &Stores) {
    record(stores, vec![RecordedEvent { at: after(60), ..event("e1") }]).await;
    assert_eq!(counts(stores, after(60), None).await, ["dark-mode: 1 + 0"]);
    let moment = jiff::SignedDuration::from_nanos(1);
    assert_eq!(counts(stores, after(60) - moment, None).await, ["dark-mode: 1 + 0"]);
    assert_eq!(counts(stores, after(60) + moment, None).await, [""; 0]);
}

pub async fn counting_keeps_flags_types_and_environments_apart(stores: &Stores) {
    let batch = vec![
        event("e1"),
        RecordedEvent { flag: "other".into(), unit: Some("u".into()), ..event("e2") },
        RecordedEvent { event_type: "conversion".into(), ..event("e3") },
        RecordedEvent { environment: "staging".into(), ..event("e4") },
    ];
    record(stores, batch).await;
    let all = ["dark-mode: 1 + 0", "other: 0 + 1"];
    assert_eq!(counts(stores, after(0), None).await, all);
    assert_eq!(counts(stores, after(0), Some("other")).await, ["other: 0 + 1"]);
    assert_eq!(counts(stores, after(0), Some("unknown")).await, [""; 0]);
}

pub async fn exactly_one_of_many_senders_records_an_event(stores: &Stores) {
    let mut senders = JoinSet::new();
    for _ in 0..16 {
        let ledger = Arc::clone(&stores.ledger);
        senders.spawn(async move { ledger.record(vec![event("e1")]).await.unwrap() });
    }
    let outcomes = senders.join_all().await.concat();
    assert_eq!(outcomes.iter().filter(|new| **new).count(), 1);
    assert_eq!(counts(stores, after(0), None).await, ["dark-mode: 1 + 0"]);
}

pub async fn notes_are_kept_by_name(stores: &Stores) {
    let ledger = &stores.ledger;
    assert_eq!(ledger.note("cursor", None).await.unwrap(), None);
    let set = ledger.note("cursor", Some(json!({ "revision": 7 }))).await.unwrap();
    assert_eq!(set, Some(json!({ "revision": 7 })));
    ledger.note("other", Some(json!(null))).await.unwrap();
    ledger.note("cursor", Some(json!(8))).await.unwrap();
    assert_eq!(ledger.note("cursor", None).await.unwrap(), Some(json!(8)));
    assert_eq!(ledger.note("other", None).await.unwrap(), Some(json!(null)));
}
