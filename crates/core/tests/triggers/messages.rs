//! What programs say, and the tasks that run until shutdown.

use std::time::Duration;

use flagbase_core::{functions::triggers::Occasions as _, tasks::Tasks};

use super::*;

fn heard(subject: &str, id: Option<&str>) -> Heard {
    Heard {
        subject: subject.into(),
        id: id.map(str::to_owned),
        content_type: "text/plain".into(),
        payload: Bytes::from_static(b"hello"),
    }
}

impl Product {
    fn patterns(&self) -> Vec<String> {
        let mut patterns: Vec<_> = self.line.ears.lock().iter().map(|(pattern, _)| pattern.clone()).collect();
        patterns.sort();
        patterns
    }

    /// Says something to whoever listens by this pattern; returns whether it was taken.
    fn say(&self, pattern: &str, message: Heard) -> bool {
        let ear = self.line.ears.lock().iter().find(|(known, _)| known == pattern).unwrap().1.clone();
        ear(message)
    }
}

/// Waits for what a task does in its own time.
async fn until(mut done: impl FnMut() -> bool) {
    let happened = tokio::time::timeout(Duration::from_mins(1), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(happened.await.is_ok(), "it happens in the end");
}

#[tokio::test]
async fn messages_reach_the_functions_that_listen_by_that_pattern() {
    let product = product().await;
    product.function("one", json!([{"name": "t", "subject": "orders.>"}])).await;
    product
        .function("two", json!([{"name": "t", "subject": "orders.>"}, {"name": "u", "subject": "jobs.*"}]))
        .await;
    product.function("events", json!([{"name": "t", "subject": "flagbase.flag.>"}])).await;
    product.script.received.lock().clear();
    let tasks = Tasks::new();
    product.triggers.start(&tasks);
    until(|| product.patterns() == ["jobs.*", "orders.>"]).await;
    assert!(product.say("orders.>", heard("orders.created", None)));
    until(|| product.script.received.lock().len() == 2).await;
    let received = product.script.received.lock().clone();
    assert!(received.iter().all(|(_, occasion)| matches!(occasion, Occasion::Event(event)
        if event.subject == "orders.created" && event.kind.is_empty() && event.data == "hello"
            && event.content_type == "text/plain")));

    product.function("two", json!([])).await;
    until(|| product.patterns() == ["orders.>"]).await;
    assert!(tasks.shutdown(Duration::from_secs(30)).await);
    assert!(product.patterns().is_empty());
}

#[tokio::test]
async fn a_message_with_a_name_waits_once() {
    let product = product().await;
    product.function("one", json!([{"name": "t", "subject": "orders.>"}])).await;
    product.script.waits.store(true, SeqCst);
    let tasks = Tasks::new();
    product.triggers.start(&tasks);
    until(|| !product.patterns().is_empty()).await;
    for id in ["a", "a", "b"] {
        assert!(product.say("orders.>", heard("orders.created", Some(id))));
    }
    until(|| product.script.received.lock().len() == 2).await;
    assert_eq!(product.memory.waiting(vec![(function("one"), 9)]).await.unwrap().len(), 2);
    product.script.waits.store(false, SeqCst);
    product.script.go_on.notify_waiters();
    assert!(tasks.shutdown(Duration::from_secs(30)).await);
    assert!(
        product.memory.waiting(vec![(function("one"), 9)]).await.unwrap().is_empty(),
        "the end was waited for"
    );
}

#[tokio::test]
async fn what_was_heard_before_the_stop_is_stored_and_delivered_after_the_next_start() {
    let product = product().await;
    product.function("one", json!([{"name": "t", "subject": "orders.>"}])).await;
    let tasks = Tasks::new();
    product.triggers.start(&tasks);
    until(|| !product.patterns().is_empty()).await;
    product.script.waits.store(true, SeqCst);
    for number in 0..50 {
        assert!(product.say("orders.>", heard(&format!("orders.{number}"), None)));
    }
    // What is under way does not end: it is given up, and offered again.
    tasks.shutdown(Duration::from_secs(30)).await;
    assert_eq!(product.memory.waiting(vec![(function("one"), 99)]).await.unwrap().len(), 50);
    let product = product_on(product.memory, product.clock).await;
    let mut delivered = 0;
    while delivered < 50 {
        let round = product.round().await;
        assert!(round > 0);
        delivered += round;
    }
    assert_eq!(product.received().len(), 50);
}

#[tokio::test]
async fn more_than_can_be_held_is_not_taken() {
    let product = product().await;
    product.function("one", json!([{"name": "t", "subject": "orders.>"}])).await;
    let tasks = Tasks::new();
    product.triggers.start(&tasks);
    until(|| !product.patterns().is_empty()).await;
    // Nothing else runs meanwhile: this test has one thread, and does not wait.
    let large = || Heard { payload: Bytes::from(vec![0; 1 << 20]), ..heard("orders.created", None) };
    let taken = (0..100).filter(|_| product.say("orders.>", large())).count();
    assert_eq!(taken, 64, "of 64 MiB");
    until(|| product.script.received.lock().len() == taken).await;
    assert!(product.say("orders.>", large()), "then there is room again");
    assert!(tasks.shutdown(Duration::from_secs(30)).await);
}
