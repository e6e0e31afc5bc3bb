//! Deliveries and their attempts.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use flagbase_core::webhooks::{DeliveryState, Health, Selection, Want};
use tokio::task::JoinSet;

use super::{after, attempt, enqueue, events, list, new, pending, settled};
use crate::Stores;

pub async fn an_event_makes_one_delivery_per_endpoint(stores: &Stores) {
    assert_eq!(enqueue(stores, vec![new("a", "e1", 0), new("b", "e1", 0), new("a", "e1", 0)]).await, 2);
    assert_eq!(enqueue(stores, vec![new("a", "e1", 9), new("a", "e2", 9)]).await, 1);
    assert_eq!(enqueue(stores, Vec::new()).await, 0);
    let found = list(stores, Selection::of("a", 9)).await;
    assert_eq!(events(&found), "e2 e1");
    let first = &found[1];
    assert_eq!((first.state, first.tries), (DeliveryState::Pending, 0));
    assert_eq!((first.created_at, first.due_at), (after(0), after(0)), "the second one changed nothing");
    assert_eq!(
        (first.body.as_str(), first.event_type.as_str()),
        ("{\"id\":\"e1\"}", "flagbase.flag.disabled")
    );
    assert!(found[0].id > first.id && first.attempts.is_empty());
}

pub async fn what_is_due_first_comes_first_and_only_as_much_as_wanted(stores: &Stores) {
    let all =
        vec![new("a", "e1", 5), new("b", "e2", 1), new("a", "e3", 3), new("a", "e4", 3), new("c", "e5", 0)];
    enqueue(stores, all).await;
    assert_eq!(events(&pending(stores, "a", 2).await), "e3 e4");
    let wants = ["a", "b", "nobody"].map(|endpoint| Want { endpoint: endpoint.into(), limit: 9 });
    let both = stores.deliveries.pending(wants.to_vec()).await.unwrap();
    assert_eq!(events(&both), "e3 e4 e1 e2");
}

pub async fn exactly_one_of_many_senders_makes_a_delivery(stores: &Stores) {
    let mut senders = JoinSet::new();
    for _ in 0..16 {
        let deliveries = Arc::clone(&stores.deliveries);
        senders.spawn(async move { deliveries.enqueue(vec![new("a", "e1", 0)]).await.unwrap() });
    }
    assert_eq!(senders.join_all().await.iter().sum::<u64>(), 1);
}

pub async fn an_attempt_is_noted_and_says_when_the_next_one_is_due(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0)]).await;
    let id = pending(stores, "a", 1).await[0].id;
    let again = settled(id, DeliveryState::Pending, (1, 500), 6);
    stores.deliveries.settle(again).await.unwrap();
    let waiting = &pending(stores, "a", 1).await[0];
    assert_eq!((waiting.tries, waiting.due_at), (1, after(6)));
    stores.deliveries.settle(settled(id, DeliveryState::Delivered, (6, 204), 7)).await.unwrap();
    assert!(pending(stores, "a", 1).await.is_empty());
    let done = &list(stores, Selection::of("a", 1)).await[0];
    assert_eq!((done.state, done.tries, done.due_at), (DeliveryState::Delivered, 2, after(7)));
    assert_eq!(done.attempts, [attempt(1, 500), attempt(6, 204)]);
}

pub async fn an_attempt_of_a_delivery_that_is_gone_is_no_error(stores: &Stores) {
    let gone = settled(77, DeliveryState::Delivered, (1, 200), 1);
    assert_eq!(stores.deliveries.settle(gone).await.unwrap(), Health::default());
}

pub async fn what_is_cancelled_under_way_is_not_sent_again(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0), new("a", "e2", 0)]).await;
    let ids: Vec<_> = pending(stores, "a", 2).await.iter().map(|delivery| delivery.id).collect();
    let all = Selection::of("a", 9);
    stores.deliveries.shift(all.clone(), DeliveryState::Cancelled, after(1)).await.unwrap();
    stores.deliveries.settle(settled(ids[0], DeliveryState::Pending, (0, 500), 9)).await.unwrap();
    stores.deliveries.settle(settled(ids[1], DeliveryState::Delivered, (0, 200), 2)).await.unwrap();
    let states: Vec<_> = list(stores, all).await.iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [DeliveryState::Delivered, DeliveryState::Cancelled], "what arrived, arrived");
}

pub async fn of_many_attempts_the_last_thirty_are_kept(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0), new("a", "e2", 0)]).await;
    let ids: Vec<_> = pending(stores, "a", 2).await.iter().map(|delivery| delivery.id).collect();
    for second in 0..35 {
        stores.deliveries.settle(settled(ids[0], DeliveryState::Pending, (second, 500), 0)).await.unwrap();
    }
    stores.deliveries.settle(settled(ids[1], DeliveryState::Pending, (0, 500), 0)).await.unwrap();
    let found = list(stores, Selection::of("a", 9)).await;
    assert_eq!((found[1].attempts.len(), found[1].tries), (30, 35));
    assert_eq!(found[1].attempts.first(), Some(&attempt(5, 500)));
    assert_eq!(found[0].attempts.len(), 1, "others keep theirs");
}

pub async fn deliveries_are_listed_newest_first_by_every_criterion(stores: &Stores) {
    enqueue(stores, (0..5).map(|n| new("a", &format!("e{n}"), n)).collect()).await;
    enqueue(stores, vec![new("b", "e1", 0)]).await;
    let all = list(stores, Selection::of("a", 9)).await;
    assert_eq!(events(&all), "e4 e3 e2 e1 e0");
    let failed = settled(all[0].id, DeliveryState::Failed, (1, 500), 1);
    stores.deliveries.settle(failed).await.unwrap();
    let of = |selection: Selection| async move { events(&list(stores, selection).await) };
    let base = || Selection::of("a", 9);
    assert_eq!(of(Selection { limit: 2, ..base() }).await, "e4 e3");
    assert_eq!(of(Selection { before: Some(all[1].id), limit: 2, ..base() }).await, "e2 e1");
    assert_eq!(of(Selection { id: Some(all[2].id), ..base() }).await, "e2");
    assert_eq!(of(Selection { event: Some("e3".into()), ..base() }).await, "e3");
    assert_eq!(of(Selection { states: vec![DeliveryState::Failed], ..base() }).await, "e4");
    let both = vec![DeliveryState::Failed, DeliveryState::Pending];
    assert_eq!(of(Selection { states: both, ..base() }).await, "e4 e3 e2 e1 e0");
    assert_eq!(of(Selection { since: Some(after(1)), until: Some(after(3)), ..base() }).await, "e2 e1");
    assert_eq!(of(Selection { id: Some(all[2].id), ..Selection::of("b", 9) }).await, "", "not its delivery");
}

pub async fn deliveries_are_shifted_by_the_same_criteria(stores: &Stores) {
    enqueue(stores, (0..3).map(|n| new("a", &format!("e{n}"), n)).collect()).await;
    let all = list(stores, Selection::of("a", 9)).await;
    for delivery in &all {
        let failed = settled(delivery.id, DeliveryState::Failed, (9, 500), 9);
        stores.deliveries.settle(failed).await.unwrap();
    }
    let shift =
        |selection, state| async move { stores.deliveries.shift(selection, state, after(20)).await.unwrap() };
    let young = Selection { since: Some(after(1)), ..Selection::of("a", 9) };
    assert_eq!(shift(young.clone(), DeliveryState::Pending).await, 2);
    let waiting = pending(stores, "a", 9).await;
    assert_eq!(events(&waiting), "e1 e2");
    assert_eq!((waiting[0].tries, waiting[0].due_at), (0, after(20)));
    let seen = list(stores, Selection::of("a", 1)).await;
    assert_eq!(seen[0].attempts.len(), 1, "what was attempted before is still told");
    let waiting = Selection { states: vec![DeliveryState::Pending], ..Selection::of("a", 1) };
    assert_eq!(shift(waiting, DeliveryState::Cancelled).await, 1, "no more than the limit");
    assert_eq!(events(&pending(stores, "a", 9).await), "e1");
    assert_eq!(shift(Selection::of("nobody", 9), DeliveryState::Pending).await, 0);
}
