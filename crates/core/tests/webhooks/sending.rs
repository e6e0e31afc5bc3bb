//! Attempts: when, how often, and what ends them.

use flagbase_core::{
    events::{CloudEvent, EventBus as _},
    refusal::Class,
    webhooks::{ATTEMPTS, Range, TEST_EVENT},
};

use super::*;

/// Never gets an answer for `hooks.example.com`.
struct Dead(Arc<Script>);

#[async_trait]
impl Sender for Dead {
    async fn send(&self, message: Outgoing) -> Result<Answered, SendError> {
        if message.url.contains("hooks") {
            std::future::pending::<()>().await;
        }
        self.0.send(message).await
    }
}

#[tokio::test]
async fn a_failure_is_tried_again_for_a_day_and_then_given_up() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    let begun = product.clock.now();
    let mut waits = Vec::new();
    for attempt in 1..=ATTEMPTS {
        product.answers(500);
        assert_eq!(product.round().await, 1);
        if attempt < ATTEMPTS {
            assert_eq!(product.round().await, 0, "not before it is due");
            let wait = product.wait().await + 1;
            waits.push(wait);
            product.later(wait);
        }
    }
    for (wait, gap) in waits.iter().zip([5, 295, 1_500, 5_400, 10_800, 18_000, 14_400, 21_600, 14_400]) {
        assert!((gap * 9 / 10..=gap * 11 / 10 + 1).contains(wait), "{wait} for {gap}");
    }
    let hours = product.clock.now().duration_since(begun).as_hours();
    assert!((21..=27).contains(&hours), "{hours}");
    let delivery = &product.deliveries().await[0];
    assert_eq!((delivery.state, delivery.tries), (DeliveryState::Failed, ATTEMPTS));
    assert_eq!(delivery.attempts.last().unwrap().error.as_deref(), Some("answered 500"));
    let received = product.received();
    assert!(received.iter().all(|message| header(message, "webhook-id") == delivery.event));
    let stamps: std::collections::BTreeSet<_> =
        received.iter().map(|message| header(message, "webhook-timestamp")).collect();
    assert_eq!(stamps.len(), received.len(), "each attempt is signed anew");
}

#[tokio::test]
async fn an_endpoint_that_comes_back_gets_what_it_missed() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    let broken = Err(SendError("it does not accept the connection".into()));
    product.script.answers.lock().push_back(broken);
    product.round().await;
    product.later(10);
    assert_eq!(product.round().await, 1);
    let delivery = &product.deliveries().await[0];
    assert_eq!(delivery.state, DeliveryState::Delivered);
    let told: Vec<_> =
        delivery.attempts.iter().map(|attempt| (attempt.status, attempt.error.clone())).collect();
    assert_eq!(told, [(None, Some("it does not accept the connection".into())), (Some(200), None)]);
    product.later(100_000);
    assert_eq!(product.round().await, 0, "once is enough");
}

#[tokio::test]
async fn an_event_that_is_relayed_twice_is_sent_once() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    let event = CloudEvent::of(&product.feed.catalog().changes(0, 1000).await.unwrap().pop().unwrap());
    product.webhooks.sink().publish(&[event.clone(), event]).await.unwrap();
    assert_eq!(product.round().await, 1);
    assert_eq!(product.deliveries().await.len(), 1);
}

#[tokio::test]
async fn an_endpoint_says_how_long_to_leave_it_alone() {
    let product = product().await;
    product.usual().await;
    for (status, enabled) in [(429, false), (503, true)] {
        product.flip(enabled).await;
        let busy = Answered { status, retry_after: Some("600".into()), excerpt: "busy".into() };
        product.script.answers.lock().push_back(Ok(busy));
        assert_eq!(product.round().await, 1);
        product.later(599);
        assert_eq!(product.round().await, 0, "nothing at all is sent to it, {status}");
        product.later(1);
        assert_eq!(product.round().await, 1);
    }
    let attempts = &product.deliveries().await[0].attempts;
    assert_eq!((attempts[0].status, attempts[0].response.as_str()), (Some(503), "busy"));
}

#[tokio::test]
async fn only_too_many_and_unavailable_may_ask_for_time() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    let failing = Answered { status: 500, retry_after: Some("600".into()), excerpt: String::new() };
    product.script.answers.lock().push_back(Ok(failing));
    product.round().await;
    product.later(6);
    assert_eq!(product.round().await, 1);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_with_a_reason() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    product.flip(true).await;
    product.answers(410);
    product.answers(500);
    assert_eq!(product.round().await, 2);
    let stored = product.stored().await;
    assert_eq!(stored["enabled"], false);
    assert_eq!(stored["disabled_because"], "the endpoint answered 410 Gone");
    let change = &product.history().await[0];
    assert_eq!((change.verb.as_str(), &*change.actor.kind), ("disabled", "system"));
    assert_eq!(change.reason, "the endpoint answered 410 Gone");
    product.later(100);
    product.flip(false).await;
    assert_eq!(product.round().await, 0, "nothing more is sent");
    let mut states: Vec<_> = product.deliveries().await.iter().map(|delivery| delivery.state).collect();
    states.sort();
    assert_eq!(states, [DeliveryState::Failed, DeliveryState::Cancelled]);
    let refusal = product.webhooks.replay(asks(&developer()), "w", 1).await.unwrap_err();
    assert_eq!(refusal.code, "webhook_disabled");
    product.webhooks.patch(asks(&developer()), "w", &json!({"enabled": true}), ANY).await.unwrap();
    assert!(product.stored().await["disabled_because"].is_null());
    assert_eq!(product.history().await[0].verb, "enabled");
    product.relay.drain().await.unwrap();
    assert_eq!(product.round().await, 0, "what happened while it was disabled is not told");
    product.flip(true).await;
    assert_eq!(product.round().await, 1);
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_disabled() {
    let product = product().await;
    product.usual().await;
    for _ in 0..100 {
        product.answers(500);
    }
    for day in 0..6 {
        product.flip(day % 2 == 1).await;
        for _ in 0..2 {
            product.round().await;
            product.later(10);
        }
        assert_eq!(product.stored().await["enabled"], day < 5, "day {day}");
        product.later(86_400);
    }
    assert_eq!(product.stored().await["disabled_because"], "every attempt of 5 days failed");
    // Enabled again it has its days again, whatever was before.
    product.webhooks.patch(asks(&developer()), "w", &json!({"enabled": true}), ANY).await.unwrap();
    product.flip(false).await;
    assert_eq!(product.round().await, 1);
    assert_eq!(product.stored().await["enabled"], true);
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_says_what_to_do() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    product.answers(302);
    product.round().await;
    let error = product.deliveries().await[0].attempts[0].error.clone().unwrap();
    assert!(error.contains("302") && error.contains("final address"), "{error}");
}

#[tokio::test]
async fn a_delivery_is_replayed_alone_under_the_id_it_had() {
    let product = product().await;
    product.usual().await;
    product.flip(false).await;
    product.round().await;
    let id = product.deliveries().await[0].id;
    let replayed = product.webhooks.replay(asks(&developer()), "w", id).await.unwrap();
    assert_eq!((replayed.state, replayed.attempts.len()), (DeliveryState::Pending, 1));
    product.round().await;
    let received = product.received();
    assert_eq!(received.len(), 2);
    assert_eq!(header(&received[0], "webhook-id"), header(&received[1], "webhook-id"));
    let refusal = product.webhooks.replay(asks(&developer()), "w", id + 100).await.unwrap_err();
    assert_eq!(refusal.class, Class::NotFound);
    product.endpoint(json!({"key": "other", "url": "https://b.example.com"})).await;
    assert!(product.webhooks.replay(asks(&developer()), "other", id).await.is_err(), "not its own");
}

#[tokio::test]
async fn a_range_is_replayed_by_time_and_state() {
    let product = product().await;
    product.usual().await;
    for enabled in [false, true, false] {
        product.answers(410);
        product.flip(enabled).await;
        product.later(60);
    }
    product.script.answers.lock().clear();
    product.round().await;
    let replay =
        |range| async { product.webhooks.replay_range(asks(&developer()), "w", range).await.unwrap() };
    assert_eq!(replay(Range::default()).await, 0, "none failed");
    let start = product.deliveries().await.last().unwrap().created_at;
    let middle = Range {
        since: Some(start + SignedDuration::from_secs(60)),
        until: Some(start + SignedDuration::from_secs(120)),
        states: vec![DeliveryState::Delivered],
        ..Range::default()
    };
    assert_eq!(replay(middle).await, 1);
    assert_eq!(product.round().await, 1);
}

#[tokio::test]
async fn what_was_missed_while_disabled_is_sent_from_the_log() {
    let product = product().await;
    product.usual().await;
    let before = product.feed.snapshots().get().revision;
    let switch = |enabled| json!({ "enabled": enabled });
    product.webhooks.patch(asks(&developer()), "w", &switch(false), ANY).await.unwrap();
    product.flip(false).await;
    product.flip(true).await;
    product.webhooks.patch(asks(&developer()), "w", &switch(true), ANY).await.unwrap();
    product.relay.drain().await.unwrap();
    assert_eq!(product.round().await, 0);
    let missed = || Range { missed_after: Some(before), ..Range::default() };
    let replay =
        |range| async { product.webhooks.replay_range(asks(&developer()), "w", range).await.unwrap() };
    assert_eq!(replay(missed()).await, 4, "two flips, and that it was disabled and enabled");
    assert_eq!(replay(missed()).await, 0, "once is enough");
    assert_eq!(product.round().await, 4);
}

#[tokio::test]
async fn a_test_event_is_sent_once_and_to_this_endpoint_only() {
    let product = product().await;
    product.usual().await;
    product.endpoint(json!({"key": "other", "url": "https://b.example.com"})).await;
    product.answers(500);
    let made = product.webhooks.test(asks(&developer()), "w").await.unwrap();
    assert_eq!(product.round().await, 1);
    let delivery = product.webhooks.delivery(&developer(), ("default", "w"), made.id).await.unwrap();
    assert_eq!((delivery.state, delivery.event_type.as_str()), (DeliveryState::Failed, TEST_EVENT));
    let message = product.received().pop().unwrap();
    assert_eq!(message.url, "https://hooks.example.com/in");
    let shown = delivery.view(true);
    assert_eq!((&shown["payload"]["type"], &shown["status"]), (&json!(TEST_EVENT), &json!(500)));
    assert!(delivery.view(false).get("payload").is_none());
}

#[tokio::test]
async fn one_dead_endpoint_holds_up_no_other() {
    let product = product().await;
    product.usual().await;
    for n in 0..20 {
        product.create_flag(&format!("f{n}")).await;
    }
    product.relay.drain().await.unwrap();
    product.endpoint(json!({"key": "good", "url": "https://good.example.com"})).await;
    product.flip(false).await;
    let dead = Arc::new(Dead(Arc::clone(&product.script)));
    let worker = Arc::new(Worker::new(Arc::clone(&product.webhooks), dead, Arc::new(Meters::default())));
    let tasks = flagbase_core::tasks::Tasks::new();
    worker.start(&tasks);
    while product.script.received.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(product.received()[0].url.contains("good"));
    assert_eq!(product.deliveries().await.len(), 22, "what the dead one misses waits");
    tasks.stopping().cancel();
}
