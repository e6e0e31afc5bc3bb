//! What no attempt succeeded in.

use flagbase_core::functions::triggers::{Which, view};

use super::*;

impl Product {
    /// A function that never takes anything of flags, and one event that it did not take.
    async fn dead(&self) -> u64 {
        let triggers = json!([{"name": "t", "subject": "flagbase.flag.created", "attempts": 2}]);
        self.function("hello", triggers).await;
        self.flag("checkout").await;
        self.fails(2);
        assert_eq!(self.round().await, 1);
        self.later(60);
        assert_eq!(self.round().await, 1);
        self.letters("hello").await[0].id
    }
}

#[tokio::test]
async fn after_the_last_attempt_it_is_laid_aside_and_said_on_the_bus() {
    let product = product().await;
    product.dead().await;
    product.later(7_200);
    assert_eq!(product.round().await, 0, "nobody tries again");
    let letters = product.letters("hello").await;
    assert_eq!((letters.len(), letters[0].tries), (1, 2));
    let shown = view(&letters[0]);
    assert_eq!(shown["fault"], "the function failed: on purpose");
    assert_eq!((&shown["trigger"], &shown["attempts"]), (&"t".into(), &2.into()));
    assert_eq!(shown["event"]["subject"], "flagbase.flag.created");
    assert!(shown["event"]["data"].as_str().unwrap().contains("checkout"));
    let announced = product.announced("hello").await;
    assert_eq!(announced.len(), 1);
    let detail = &announced[0].detail;
    assert_eq!((&detail["trigger"], &detail["code"]), (&"t".into(), &"function_failed".into()));
    assert_eq!(detail["event"], shown["event"]["id"]);
    let snapshot = product.feed.snapshots().get();
    assert!(snapshot.environment("default").unwrap().functions.contains_key("hello"), "it is only told of");
}

#[tokio::test]
async fn a_dead_letter_is_offered_again_from_the_first_attempt_on() {
    let product = product().await;
    let id = product.dead().await;
    product.received();
    assert_eq!(product.triggers.replay(asked(&admin()), "hello", Which::One(id)).await.unwrap(), 1);
    product.fails(1);
    assert_eq!(product.round().await, 1);
    product.later(60);
    assert_eq!(product.round().await, 1);
    assert_eq!(product.received(), ["v2 flagbase.flag.created #1", "v2 flagbase.flag.created #2"]);
    assert!(product.letters("hello").await.is_empty());
    let gone = product.triggers.replay(asked(&admin()), "hello", Which::One(id)).await.unwrap_err();
    assert_eq!(gone.code, "dead_letter_not_found");
    assert_eq!(product.triggers.replay(asked(&admin()), "hello", Which::All).await.unwrap(), 0);
}

#[tokio::test]
async fn a_dead_letter_is_forgotten() {
    let product = product().await;
    let id = product.dead().await;
    assert_eq!(product.triggers.forget(asked(&admin()), "hello", Which::One(id)).await.unwrap(), 1);
    assert!(product.letters("hello").await.is_empty());
    let gone = product.triggers.forget(asked(&admin()), "hello", Which::One(id)).await.unwrap_err();
    assert_eq!(gone.code, "dead_letter_not_found");
}

#[tokio::test]
async fn who_listens_to_dead_letters_and_fails_does_not_go_round_in_circles() {
    let product = product().await;
    let triggers = json!([{"name": "dead", "subject": "flagbase.function.dead_lettered", "attempts": 1}]);
    for name in ["one", "two"] {
        product.function(name, triggers.clone()).await;
    }
    product.dead().await;
    product.fails(99);
    for _ in 0..5 {
        product.relay.drain().await.unwrap();
        product.round().await;
    }
    assert_eq!((product.letters("one").await.len(), product.letters("two").await.len()), (1, 1));
    assert_eq!(product.announced("one").await.len() + product.announced("two").await.len(), 0);
}

#[tokio::test]
async fn who_may_not_sees_and_replays_nothing() {
    let product = product().await;
    let id = product.dead().await;
    let guest = Caller { role: "guest".into(), ..admin() };
    assert!(product.triggers.dead_letters(&guest, "default", "hello", (None, 9)).await.is_err());
    assert!(product.triggers.replay(asked(&guest), "hello", Which::One(id)).await.is_err());
    assert!(product.triggers.forget(asked(&guest), "hello", Which::All).await.is_err());
    let missing = product.triggers.dead_letters(&admin(), "default", "none", (None, 9)).await.unwrap_err();
    assert_eq!(missing.code, "function_not_found");
    assert_eq!(product.letters("hello").await.len(), 1);
}
