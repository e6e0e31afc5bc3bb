//! Schedules. The clock begins at midnight of 2026-01-01 (UTC).

use super::*;

const HOUR: i64 = 3_600;

impl Product {
    async fn nightly(&self) {
        self.function("hello", json!([{"name": "nightly", "schedule": "0 3 * * *"}])).await;
    }
}

#[tokio::test]
async fn a_moment_that_comes_runs_once_and_no_moment_before_the_trigger_was_there() {
    let product = product().await;
    product.nightly().await;
    assert_eq!(product.round().await, 0);
    product.later(3 * HOUR - 1);
    assert_eq!(product.round().await, 0);
    product.later(1);
    assert_eq!((product.round().await, product.round().await), (1, 0));
    product.later(24 * HOUR + 7);
    assert_eq!(product.round().await, 1);
    assert_eq!(product.received(), ["v2 2026-01-01T03:00:00Z", "v2 2026-01-02T03:00:00Z"]);
}

#[tokio::test]
async fn a_moment_is_not_run_again_after_a_restart() {
    let product = product().await;
    product.nightly().await;
    product.round().await;
    product.later(3 * HOUR);
    product.script.waits.store(true, SeqCst);
    {
        let mut round = Box::pin(product.round());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(round.as_mut().poll(&mut context).is_pending(), "it is under way when the process ends");
    }
    let product = product_on(product.memory, product.clock).await;
    assert_eq!((product.round().await, product.received().len()), (0, 0));
    product.later(24 * HOUR);
    assert_eq!(product.round().await, 1);
}

#[tokio::test]
async fn of_what_was_missed_the_last_moment_is_made_up_for_and_no_other() {
    let product = product().await;
    product.nightly().await;
    product.round().await;
    product.later(5 * 24 * HOUR + 10 * HOUR);
    let product = product_on(product.memory, product.clock).await;
    assert_eq!((product.round().await, product.round().await), (1, 0));
    assert_eq!(product.received(), ["v2 2026-01-06T03:00:00Z"]);
    product.later(17 * HOUR);
    product.round().await;
    assert_eq!(product.received(), ["v2 2026-01-07T03:00:00Z"]);
}

#[tokio::test]
async fn a_schedule_that_is_changed_begins_anew() {
    let product = product().await;
    product.nightly().await;
    product.round().await;
    product.later(12 * HOUR);
    product.round().await;
    product.received();
    product.function("hello", json!([{"name": "nightly", "schedule": "0 11 * * *"}])).await;
    assert_eq!(product.round().await, 0, "eleven o'clock was before the change");
    product.later(23 * HOUR);
    product.round().await;
    assert_eq!(product.received(), ["v2 2026-01-02T11:00:00Z"]);
}

#[tokio::test]
async fn a_moment_that_failed_is_laid_aside_not_repeated_and_can_be_replayed() {
    use flagbase_core::functions::triggers::{Which, view};
    let product = product().await;
    product.nightly().await;
    product.round().await;
    product.later(3 * HOUR);
    product.fails(1);
    assert_eq!((product.round().await, product.round().await), (1, 0));
    let letters = product.letters("hello").await;
    let shown = view(&letters[0]);
    assert_eq!(shown["tick"], json!({"schedule": "0 3 * * *", "at": "2026-01-01T03:00:00Z"}));
    assert_eq!(product.announced("hello").await[0].detail["moment"], "2026-01-01T03:00:00Z");
    product.received();
    product.triggers.replay(asked(&admin()), "hello", Which::One(letters[0].id)).await.unwrap();
    assert_eq!(product.round().await, 1);
    assert_eq!(product.received(), ["v2 2026-01-01T03:00:00Z"]);
}

#[tokio::test]
async fn one_of_two_nodes_runs_a_moment() {
    let one = product().await;
    one.nightly().await;
    let two = product_on(one.memory.clone(), one.clock.clone()).await;
    assert_eq!((one.round().await, two.round().await), (0, 0));
    one.later(3 * HOUR);
    assert_eq!(one.round().await + two.round().await, 1);
}

#[tokio::test]
async fn schedules_keep_to_their_time_zone() {
    let product = product().await;
    let triggers = json!([{"name": "nightly", "schedule": "0 3 * * *", "timezone": "America/New_York"}]);
    product.function("hello", triggers).await;
    product.round().await;
    product.later(24 * HOUR);
    product.round().await;
    assert_eq!(product.received(), ["v2 2026-01-01T08:00:00Z"]);
}
