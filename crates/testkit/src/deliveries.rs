//! What every `Deliveries` does.

use flagbase_core::webhooks::{
    Attempt, Delivery, DeliveryState, NewDelivery, Selection, Settled, SigningSecret, StoredSecret, Want,
};
use jiff::Timestamp;

use crate::{SeededRandom, Stores};

mod endpoints;
mod queue;

pub use self::{endpoints::*, queue::*};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! deliveries_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            deliveries,
            [
                an_event_makes_one_delivery_per_endpoint,
                what_is_due_first_comes_first_and_only_as_much_as_wanted,
                exactly_one_of_many_senders_makes_a_delivery,
                an_attempt_is_noted_and_says_when_the_next_one_is_due,
                an_attempt_of_a_delivery_that_is_gone_is_no_error,
                what_is_cancelled_under_way_is_not_sent_again,
                of_many_attempts_the_last_thirty_are_kept,
                deliveries_are_listed_newest_first_by_every_criterion,
                deliveries_are_shifted_by_the_same_criteria,
                an_endpoint_fails_since_its_first_failure_until_it_succeeds,
                a_new_secret_comes_first_and_the_ones_before_end,
                a_secret_that_ended_is_forgotten_with_the_next_one,
                ending_a_secret_never_makes_it_last_longer,
                an_endpoint_nobody_knows_has_nothing,
                pending_deliveries_are_counted,
                removing_an_endpoint_removes_all_about_it_and_nothing_else,
                what_was_done_long_ago_goes_and_what_is_pending_stays,
                pruning_deliveries_goes_through_more_than_one_chunk,
                strays_go_unless_they_are_young,
            ]
        );
    };
}

/// `seconds` after the start of an hour.
fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// A delivery of `event` to `endpoint`, made at `second`.
fn new(endpoint: &str, event: &str, second: i64) -> NewDelivery {
    NewDelivery {
        endpoint: endpoint.into(),
        event: event.into(),
        event_type: "flagbase.flag.disabled".into(),
        body: format!("{{\"id\":\"{event}\"}}"),
        at: after(second),
    }
}

async fn enqueue(stores: &Stores, deliveries: Vec<NewDelivery>) -> u64 {
    stores.deliveries.enqueue(deliveries).await.unwrap()
}

async fn list(stores: &Stores, selection: Selection) -> Vec<Delivery> {
    stores.deliveries.list(selection).await.unwrap()
}

async fn pending(stores: &Stores, endpoint: &str, limit: u32) -> Vec<Delivery> {
    let want = Want { endpoint: endpoint.into(), limit };
    stores.deliveries.pending(vec![want]).await.unwrap()
}

/// The events of deliveries, in their order.
fn events(deliveries: &[Delivery]) -> String {
    deliveries.iter().map(|delivery| delivery.event.as_str()).collect::<Vec<_>>().join(" ")
}

fn attempt(second: i64, status: u16) -> Attempt {
    let error = (status >= 300).then(|| format!("answered {status}"));
    Attempt { at: after(second), duration_ms: 12, status: Some(status), error, response: "hello".into() }
}

fn settled(id: u64, state: DeliveryState, (second, status): (i64, u16), due: i64) -> Settled {
    Settled { id, attempt: attempt(second, status), state, due_at: after(due) }
}

/// A secret made at `second`.
fn secret(seed: u64, second: i64) -> StoredSecret {
    StoredSecret::new(SigningSecret::generate(&SeededRandom::new(seed)), after(second))
}
