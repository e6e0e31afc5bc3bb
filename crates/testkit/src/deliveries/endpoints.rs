//! Secrets, health, and forgetting.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use flagbase_core::webhooks::{DeliveryState, EndpointState, Health, Removal, Selection};

use super::{after, enqueue, events, list, new, pending, secret, settled};
use crate::Stores;

async fn state(stores: &Stores, endpoint: &str) -> EndpointState {
    stores.deliveries.endpoint(endpoint).await.unwrap()
}

pub async fn an_endpoint_fails_since_its_first_failure_until_it_succeeds(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0), new("b", "e1", 0)]).await;
    let id = pending(stores, "a", 1).await[0].id;
    let settle = |second, status| async move {
        let settled = settled(id, DeliveryState::Pending, (second, status), 0);
        stores.deliveries.settle(settled).await.unwrap()
    };
    assert_eq!(settle(1, 200).await, Health::default());
    assert_eq!(settle(2, 500).await, Health { failing_since: Some(after(2)), failures: 1 });
    let failing = Health { failing_since: Some(after(2)), failures: 2 };
    assert_eq!(settle(3, 302).await, failing);
    assert_eq!(
        (state(stores, "a").await.health, state(stores, "b").await.health),
        (failing, Health::default())
    );
    assert_eq!(settle(4, 204).await, Health::default());
    assert_eq!(settle(5, 500).await, Health { failing_since: Some(after(5)), failures: 1 });
}

pub async fn a_new_secret_comes_first_and_the_ones_before_end(stores: &Stores) {
    let (first, second) = (secret(1, 0), secret(2, 10));
    stores.deliveries.add_secret("a", first.clone(), after(0)).await.unwrap();
    stores.deliveries.add_secret("b", first.clone(), after(0)).await.unwrap();
    assert_eq!(state(stores, "a").await.secrets, std::slice::from_ref(&first));
    stores.deliveries.add_secret("a", second.clone(), after(60)).await.unwrap();
    let ending = flagbase_core::webhooks::StoredSecret { until: Some(after(60)), ..first.clone() };
    assert_eq!(state(stores, "a").await.secrets, [second, ending]);
    assert_eq!(state(stores, "b").await.secrets, [first], "of another endpoint");
}

pub async fn a_secret_that_ended_is_forgotten_with_the_next_one(stores: &Stores) {
    for (seed, second) in [(1, 0), (2, 10), (3, 30)] {
        stores.deliveries.add_secret("a", secret(seed, second), after(second + 20)).await.unwrap();
    }
    let made: Vec<_> = state(stores, "a").await.secrets.iter().map(|stored| stored.made_at).collect();
    assert_eq!(made, [after(30), after(10)], "the first ended at 30");
}

pub async fn ending_a_secret_never_makes_it_last_longer(stores: &Stores) {
    stores.deliveries.add_secret("a", secret(1, 0), after(0)).await.unwrap();
    stores.deliveries.add_secret("a", secret(2, 1), after(10)).await.unwrap();
    stores.deliveries.add_secret("a", secret(3, 2), after(99)).await.unwrap();
    let until: Vec<_> = state(stores, "a").await.secrets.iter().map(|stored| stored.until).collect();
    assert_eq!(until, [None, Some(after(99)), Some(after(10))]);
}

pub async fn an_endpoint_nobody_knows_has_nothing(stores: &Stores) {
    assert_eq!(state(stores, "nobody").await, EndpointState::default());
}

pub async fn pending_deliveries_are_counted(stores: &Stores) {
    enqueue(stores, (0..3).map(|n| new("a", &n.to_string(), n)).collect()).await;
    let id = pending(stores, "a", 1).await[0].id;
    stores.deliveries.settle(settled(id, DeliveryState::Delivered, (1, 200), 1)).await.unwrap();
    assert_eq!((state(stores, "a").await.pending, state(stores, "b").await.pending), (2, 0));
}

pub async fn removing_an_endpoint_removes_all_about_it_and_nothing_else(stores: &Stores) {
    enqueue(stores, vec![new("a", "e1", 0), new("a", "e2", 0), new("b", "e1", 0)]).await;
    for endpoint in ["a", "b"] {
        stores.deliveries.add_secret(endpoint, secret(1, 0), after(0)).await.unwrap();
        let id = pending(stores, endpoint, 1).await[0].id;
        stores.deliveries.settle(settled(id, DeliveryState::Pending, (1, 500), 1)).await.unwrap();
    }
    assert_eq!(stores.deliveries.remove(Removal::Endpoint("a".into())).await.unwrap(), 2);
    assert_eq!(state(stores, "a").await, EndpointState::default());
    assert!(list(stores, Selection::of("a", 9)).await.is_empty());
    let other = state(stores, "b").await;
    assert_eq!((other.secrets.len(), other.pending, other.health.failures), (1, 1, 1));
}

pub async fn what_was_done_long_ago_goes_and_what_is_pending_stays(stores: &Stores) {
    enqueue(stores, (0..4).map(|n| new("a", &format!("e{n}"), 0)).collect()).await;
    let all = list(stores, Selection::of("a", 9)).await;
    for (delivery, state, done) in [
        (&all[0], DeliveryState::Delivered, 10),
        (&all[1], DeliveryState::Failed, 20),
        (&all[2], DeliveryState::Cancelled, 10),
    ] {
        let settled = settled(delivery.id, state, (1, 500), done);
        stores.deliveries.settle(settled).await.unwrap();
    }
    assert_eq!(stores.deliveries.remove(Removal::DoneBefore(after(20))).await.unwrap(), 2);
    assert_eq!(events(&list(stores, Selection::of("a", 9)).await), "e2 e0");
}

pub async fn pruning_deliveries_goes_through_more_than_one_chunk(stores: &Stores) {
    enqueue(stores, (0..2_500).map(|n| new("a", &n.to_string(), 0)).collect()).await;
    let everything = Selection::of("a", u32::MAX);
    let cancelled = stores.deliveries.shift(everything, DeliveryState::Cancelled, after(1)).await.unwrap();
    assert_eq!(cancelled, 2_500);
    assert_eq!(stores.deliveries.remove(Removal::DoneBefore(after(2))).await.unwrap(), 2_500);
    assert!(list(stores, Selection::of("a", 9)).await.is_empty());
}

pub async fn strays_go_unless_they_are_young(stores: &Stores) {
    for endpoint in ["kept", "stray"] {
        enqueue(stores, vec![new(endpoint, "old", 0), new(endpoint, "young", 50)]).await;
        stores.deliveries.add_secret(endpoint, secret(1, 0), after(0)).await.unwrap();
    }
    stores.deliveries.add_secret("making", secret(2, 50), after(50)).await.unwrap();
    let strays = Removal::Strays { keep: vec!["kept".into()], before: after(50) };
    assert_eq!(stores.deliveries.remove(strays).await.unwrap(), 1);
    assert_eq!(events(&list(stores, Selection::of("kept", 9)).await), "young old");
    assert_eq!(events(&list(stores, Selection::of("stray", 9)).await), "young");
    let secrets = ["kept", "stray", "making"];
    let mut left = Vec::new();
    for endpoint in secrets {
        left.push(state(stores, endpoint).await.secrets.len());
    }
    assert_eq!(left, [1, 0, 1]);
}
