//! What every `Occasions` does.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use flagbase_core::{
    catalog::{DocumentId, Expect, Kind},
    functions::{
        Event, Occasion,
        triggers::{Enqueued, MOST_DEAD, MOST_WAITING, NewOccasion, Queued, Settled, Which},
    },
};
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Stores,
    catalog::{commit, delete, put},
};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! occasions_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            occasions,
            [
                what_is_enqueued_waits_as_it_is,
                an_event_waits_once_per_trigger,
                exactly_one_of_many_makes_it_wait,
                what_is_due_first_comes_first_and_only_as_much_as_wanted,
                what_is_done_is_forgotten,
                what_failed_waits_for_its_time_and_counts_its_tries,
                what_is_dead_is_listed_newest_first_and_waits_no_more,
                a_dead_one_is_replayed_or_forgotten_alone_or_with_all,
                what_waits_and_what_is_dead_of_others_is_left_alone,
                a_moment_is_taken_once_and_none_before_it,
                only_so_many_wait_for_one_function,
                only_so_many_lie_dead_the_newest,
                all_of_it_goes_with_the_function_and_no_other,
            ]
        );
    };
}

fn function(name: &str) -> DocumentId {
    DocumentId::new(Kind::Function, "default", name)
}

/// `seconds` after the start of an hour.
fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn event(id: &str) -> Event {
    Event {
        id: id.into(),
        subject: "orders.created".into(),
        kind: String::new(),
        time: after(-5),
        content_type: "text/plain".into(),
        data: format!("\0data of {id}").into(),
        attempt: 1,
    }
}

/// The event `id` for the trigger `t` of `name`, made at `second`.
fn new(name: &str, id: &str, second: i64) -> NewOccasion {
    NewOccasion {
        function: function(name),
        trigger: "t".into(),
        id: id.into(),
        occasion: Occasion::Event(event(id)),
        attempts: 5,
        at: after(second),
        dead: None,
    }
}

fn dead(name: &str, id: &str, second: i64) -> NewOccasion {
    NewOccasion { dead: Some("on purpose".into()), ..new(name, id, second) }
}

async fn enqueue(stores: &Stores, occasions: Vec<NewOccasion>) -> u64 {
    let Enqueued { new, refused } = stores.occasions.enqueue(occasions).await.unwrap();
    assert_eq!(refused, 0);
    new
}

async fn waiting(stores: &Stores, name: &str, limit: u32) -> Vec<Queued> {
    stores.occasions.waiting(vec![(function(name), limit)]).await.unwrap()
}

async fn lying(stores: &Stores, name: &str) -> Vec<Queued> {
    stores.occasions.dead(&function(name), None, u32::MAX).await.unwrap()
}

/// The ids of events, in their order.
fn ids(queued: &[Queued]) -> String {
    let id = |queued: &Queued| match &queued.occasion {
        Occasion::Event(event) => event.id.clone(),
        Occasion::Tick { at, .. } => at.to_string(),
    };
    queued.iter().map(id).collect::<Vec<_>>().join(" ")
}

pub async fn what_is_enqueued_waits_as_it_is(stores: &Stores) {
    let tick = Occasion::Tick { schedule: "0 3 * * *".into(), at: after(7) };
    let ticking = NewOccasion { occasion: tick, trigger: "nightly".into(), ..dead("hello", "tick", 2) };
    assert_eq!(enqueue(stores, vec![new("hello", "e1", 1), ticking]).await, 2);
    let found = &waiting(stores, "hello", 9).await[..];
    let [queued] = found else { unreachable!("{found:?}") };
    assert!(matches!(&queued.occasion, Occasion::Event(found) if *found == event("e1")), "{queued:?}");
    assert_eq!((&queued.function, queued.trigger.as_str()), (&function("hello"), "t"));
    assert_eq!((queued.attempts, queued.tries, &queued.fault), (5, 0, &None));
    assert_eq!((queued.created_at, queued.due_at), (after(1), after(1)));
    let ticked = &lying(stores, "hello").await[0];
    assert!(
        matches!(&ticked.occasion, Occasion::Tick { schedule, at } if &**schedule == "0 3 * * *" && *at == after(7))
    );
    assert_eq!((ticked.trigger.as_str(), ticked.fault.as_deref()), ("nightly", Some("on purpose")));
}

pub async fn an_event_waits_once_per_trigger(stores: &Stores) {
    let other = NewOccasion { trigger: "u".into(), ..new("a", "e1", 0) };
    let all = vec![new("a", "e1", 0), new("a", "e1", 3), other, new("b", "e1", 0)];
    assert_eq!(enqueue(stores, all).await, 3);
    assert_eq!(enqueue(stores, vec![new("a", "e1", 9), new("a", "e2", 9)]).await, 1);
    assert_eq!(enqueue(stores, Vec::new()).await, 0);
    assert_eq!(ids(&waiting(stores, "a", 9).await), "e1 e1 e2");
    assert_eq!(waiting(stores, "a", 1).await[0].due_at, after(0), "the second one changed nothing");
}

pub async fn exactly_one_of_many_makes_it_wait(stores: &Stores) {
    let mut senders = JoinSet::new();
    for _ in 0..16 {
        let occasions = Arc::clone(&stores.occasions);
        senders.spawn(async move { occasions.enqueue(vec![new("a", "e1", 0)]).await.unwrap().new });
    }
    assert_eq!(senders.join_all().await.iter().sum::<u64>(), 1);
}

pub async fn what_is_due_first_comes_first_and_only_as_much_as_wanted(stores: &Stores) {
    let all =
        vec![new("a", "e1", 5), new("b", "e2", 1), new("a", "e3", 3), new("a", "e4", 3), new("c", "e5", 0)];
    enqueue(stores, all).await;
    assert_eq!(ids(&waiting(stores, "a", 2).await), "e3 e4");
    let wants = ["a", "b", "nobody"].map(|name| (function(name), 9));
    assert_eq!(ids(&stores.occasions.waiting(wants.to_vec()).await.unwrap()), "e3 e4 e1 e2");
}

pub async fn what_is_done_is_forgotten(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0), new("a", "e2", 0)]).await;
    let id = waiting(stores, "a", 1).await[0].id;
    for _ in 0..2 {
        stores.occasions.settle(id, Settled::Done).await.unwrap();
    }
    stores.occasions.settle(77, Settled::Dead(after(1), "gone".into())).await.unwrap();
    assert_eq!(ids(&waiting(stores, "a", 9).await), "e2");
    enqueue(stores, vec![new("a", "e1", 1)]).await;
    assert!(waiting(stores, "a", 9).await.iter().all(|queued| queued.id != id), "no number comes twice");
}

pub async fn what_failed_waits_for_its_time_and_counts_its_tries(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0), new("a", "e2", 3)]).await;
    let id = waiting(stores, "a", 1).await[0].id;
    stores.occasions.settle(id, Settled::Later(after(6), "it trapped".into())).await.unwrap();
    let found = waiting(stores, "a", 9).await;
    assert_eq!(ids(&found), "e2 e1");
    let again = &found[1];
    assert_eq!((again.id, again.tries, again.due_at), (id, 1, after(6)));
    assert_eq!((again.fault.as_deref(), again.created_at), (Some("it trapped"), after(0)));
    assert!(matches!(&again.occasion, Occasion::Event(event) if event.attempt == 2));
}

pub async fn what_is_dead_is_listed_newest_first_and_waits_no_more(stores: &Stores) {
    enqueue(stores, (0..4).map(|n| new("a", &format!("e{n}"), n)).collect()).await;
    let found = waiting(stores, "a", 9).await;
    for queued in &found[..3] {
        stores.occasions.settle(queued.id, Settled::Dead(after(9), "why".into())).await.unwrap();
    }
    assert_eq!(ids(&waiting(stores, "a", 9).await), "e3");
    let dead = lying(stores, "a").await;
    assert_eq!(ids(&dead), "e2 e1 e0");
    assert_eq!((dead[0].tries, dead[0].due_at, dead[0].fault.as_deref()), (1, after(9), Some("why")));
    let page = stores.occasions.dead(&function("a"), Some(dead[0].id), 1).await.unwrap();
    assert_eq!(ids(&page), "e1");
    assert_eq!(enqueue(stores, vec![new("a", "e1", 20)]).await, 0, "a dead one is known, too");
}

pub async fn a_dead_one_is_replayed_or_forgotten_alone_or_with_all(stores: &Stores) {
    enqueue(stores, (0..6).map(|n| dead("a", &format!("e{n}"), n)).collect()).await;
    let all = lying(stores, "a").await;
    let hello = function("a");
    let occasions = &stores.occasions;
    assert_eq!(occasions.replay(&hello, Which::One(all[0].id), after(20)).await.unwrap(), 1);
    assert_eq!(occasions.replay(&hello, Which::One(all[0].id), after(20)).await.unwrap(), 0);
    let again = &waiting(stores, "a", 9).await[0];
    assert_eq!((again.id, again.tries, again.due_at), (all[0].id, 0, after(20)));
    assert_eq!(again.fault.as_deref(), Some("on purpose"), "what it died of is still told");
    assert_eq!(occasions.bury(&hello, Which::One(all[0].id)).await.unwrap(), 0, "it is alive");
    assert_eq!(occasions.bury(&hello, Which::One(all[1].id)).await.unwrap(), 1);
    assert_eq!(occasions.replay(&hello, Which::All, after(30)).await.unwrap(), 4);
    assert_eq!(waiting(stores, "a", 9).await.len(), 5);
    enqueue(stores, vec![dead("a", "f1", 0), dead("a", "f2", 0)]).await;
    assert_eq!(occasions.bury(&hello, Which::All).await.unwrap(), 2);
    assert_eq!((lying(stores, "a").await.len(), waiting(stores, "a", 9).await.len()), (0, 5));
}

pub async fn what_waits_and_what_is_dead_of_others_is_left_alone(stores: &Stores) {
    enqueue(stores, vec![dead("a", "e1", 0), dead("b", "e2", 0)]).await;
    let id = lying(stores, "a").await[0].id;
    assert_eq!(stores.occasions.replay(&function("b"), Which::One(id), after(1)).await.unwrap(), 0);
    assert_eq!(stores.occasions.bury(&function("b"), Which::One(id)).await.unwrap(), 0);
    assert_eq!(stores.occasions.bury(&function("b"), Which::All).await.unwrap(), 1);
    let elsewhere = DocumentId::new(Kind::Function, "staging", "a");
    assert_eq!(stores.occasions.bury(&elsewhere, Which::All).await.unwrap(), 0);
    assert_eq!(ids(&lying(stores, "a").await), "e1");
}

pub async fn a_moment_is_taken_once_and_none_before_it(stores: &Stores) {
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let occasions = Arc::clone(&stores.occasions);
        takers.spawn(async move { occasions.take(&function("a"), "nightly", after(60)).await.unwrap() });
    }
    assert_eq!(takers.join_all().await.into_iter().filter(|taken| *taken).count(), 1);
    let take = |trigger: &'static str, second| async move {
        stores.occasions.take(&function("a"), trigger, after(second)).await.unwrap()
    };
    assert!(!take("nightly", 0).await, "one before it");
    assert!(take("nightly", 120).await);
    assert!(take("hourly", 60).await);
    let taken = stores.occasions.taken(&function("a")).await.unwrap();
    assert_eq!(Vec::from_iter(taken), [("hourly".into(), after(60)), ("nightly".into(), after(120))]);
    assert!(stores.occasions.taken(&function("b")).await.unwrap().is_empty());
}

pub async fn only_so_many_wait_for_one_function(stores: &Stores) {
    let many: Vec<_> = (0..MOST_WAITING).map(|n| new("a", &format!("e{n}"), 0)).collect();
    assert_eq!(enqueue(stores, many).await, u64::from(MOST_WAITING));
    let more = vec![new("a", "e1", 0), new("a", "more", 0), new("b", "e1", 0), dead("a", "dead", 0)];
    let enqueued = stores.occasions.enqueue(more).await.unwrap();
    assert_eq!(enqueued, Enqueued { new: 2, refused: 1 }, "what is there already is not refused");
    let id = waiting(stores, "a", 1).await[0].id;
    stores.occasions.settle(id, Settled::Done).await.unwrap();
    assert_eq!(enqueue(stores, vec![new("a", "more", 0)]).await, 1);
}

pub async fn only_so_many_lie_dead_the_newest(stores: &Stores) {
    enqueue(stores, vec![dead("b", "old", 0)]).await;
    let many = (0..=MOST_DEAD).map(|n| dead("a", &format!("e{n}"), 0)).collect();
    enqueue(stores, many).await;
    enqueue(stores, vec![new("a", "last", 0)]).await;
    let id = waiting(stores, "a", 1).await[0].id;
    stores.occasions.settle(id, Settled::Dead(after(1), "why".into())).await.unwrap();
    let dead = lying(stores, "a").await;
    assert_eq!(dead.len(), MOST_DEAD as usize);
    assert_eq!((ids(&dead[..1]), ids(&dead[dead.len() - 1..])), ("last".into(), "e2".into()));
    assert_eq!(lying(stores, "b").await.len(), 1);
}

pub async fn all_of_it_goes_with_the_function_and_no_other(stores: &Stores) {
    for name in ["gone", "kept"] {
        let draft = put(&function(name), Expect::Absent, json!({ "name": name }));
        stores.catalog.commit(commit(vec![draft])).await.unwrap();
        enqueue(stores, vec![new(name, "e1", 0), dead(name, "e2", 0)]).await;
        assert!(stores.occasions.take(&function(name), "t", after(0)).await.unwrap());
    }
    stores.catalog.commit(commit(vec![delete(&function("gone"), Expect::Any)])).await.unwrap();
    for (name, each) in [("gone", 0), ("kept", 1)] {
        let taken = stores.occasions.taken(&function(name)).await.unwrap().len();
        let found = (waiting(stores, name, 9).await.len(), lying(stores, name).await.len(), taken);
        assert_eq!(found, (each, each, each), "{name}");
    }
}
