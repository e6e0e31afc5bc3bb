//! What Flagbase says: events, and objects in buckets.

use flagbase_core::buckets::{Condition, Put};
use flagbase_core::refusal::Precondition;

use super::*;

#[tokio::test]
async fn an_event_is_delivered_to_whom_it_is_meant_for_as_a_cloud_event() {
    let product = product().await;
    product.function("hello", json!([{"name": "t", "subject": "flagbase.flag.*"}])).await;
    product.function("other", json!([{"name": "t", "subject": "flagbase.route.>"}])).await;
    product.flag("checkout").await;
    assert_eq!(product.round().await, 1);
    let received = std::mem::take(&mut *product.script.received.lock());
    let [(2, Occasion::Event(event))] = &received[..] else { panic!("{received:?}") };
    assert_eq!(
        (event.subject.as_str(), event.kind.as_str()),
        ("flagbase.flag.created", "flagbase.flag.created")
    );
    assert_eq!((event.content_type.as_str(), event.attempt), ("application/cloudevents+json", 1));
    let data: Value = serde_json::from_slice(&event.data).unwrap();
    assert_eq!((&data["id"], &data["data"]["key"]), (&event.id.as_str().into(), &"checkout".into()));
    assert_eq!(product.round().await, 0, "it took it");
}

#[tokio::test]
async fn the_scoped_subject_is_as_good_and_one_event_comes_once() {
    let product = product().await;
    product
        .function(
            "hello",
            json!([
                {"name": "scoped", "subject": "flagbase.env.default.flag.checkout.>"},
                {"name": "all", "subject": "flagbase.>"},
            ]),
        )
        .await;
    product.round().await;
    product.received();
    product.flag("checkout").await;
    product.flag("other").await;
    product.relay.drain().await.unwrap();
    assert_eq!(product.round().await, 3);
    let mut received = product.received();
    received.sort();
    assert_eq!(
        received,
        [
            "v2 flagbase.env.default.flag.checkout.created #1",
            "v2 flagbase.flag.created #1",
            "v2 flagbase.flag.created #1",
        ]
    );
}

#[tokio::test]
async fn a_failure_is_tried_again_after_growing_pauses_until_it_succeeds() {
    let product = product().await;
    product.function("hello", json!([{"name": "t", "subject": "flagbase.flag.created"}])).await;
    product.flag("checkout").await;
    product.fails(2);
    assert_eq!(product.round().await, 1);
    assert_eq!(product.round().await, 0, "not at once");
    product.later(2);
    assert_eq!(product.round().await, 1);
    product.later(1);
    assert_eq!(product.round().await, 0, "the second pause is longer");
    product.later(3);
    assert_eq!(product.round().await, 1);
    product.later(3_600);
    assert_eq!(product.round().await, 0);
    let attempts: Vec<_> = product.received().iter().map(|line| line[line.len() - 2..].to_owned()).collect();
    assert_eq!(attempts, ["#1", "#2", "#3"]);
    assert!(product.letters("hello").await.is_empty());
}

#[tokio::test]
async fn what_a_crash_interrupts_is_offered_again_after_the_start() {
    let product = product().await;
    product.function("hello", json!([{"name": "t", "subject": "flagbase.flag.created"}])).await;
    product.flag("checkout").await;
    product.script.waits.store(true, SeqCst);
    {
        let mut round = Box::pin(product.round());
        let waker = std::task::Context::from_waker(std::task::Waker::noop());
        let mut context = waker;
        assert!(round.as_mut().poll(&mut context).is_pending(), "it is under way");
    }
    assert_eq!(product.received().len(), 1);
    let product = product_on(product.memory, product.clock).await;
    assert_eq!(product.round().await, 1);
    assert_eq!(product.received(), ["v2 flagbase.flag.created #1"]);
}

#[tokio::test]
async fn events_of_other_environments_and_what_it_did_itself_are_not_told() {
    let product = product().await;
    product.function("hello", json!([{"name": "t", "subject": "flagbase.>"}])).await;
    product.round().await;
    product.received();
    let notice = |environment: &str, actor: &str| {
        let id = DocumentId::new(Kind::Bucket, environment, "b");
        let actor = Actor { kind: "function".into(), id: actor.into(), name: actor.into() };
        let (expect, write, detail) = (Expect::Any, Write::Nothing, Value::Null);
        (actor, Draft { id, verb: "object_created", expect, write, detail })
    };
    for (environment, actor) in
        [("", "other"), ("staging", "other"), ("default", "hello"), ("default", "other")]
    {
        let (actor, draft) = notice(environment, actor);
        product.feed.edit().await.commit(actor, "", vec![draft]).await.unwrap();
    }
    product.relay.drain().await.unwrap();
    assert_eq!(product.round().await, 1);
    assert_eq!(product.received(), ["v2 flagbase.bucket.object_created #1"]);
}

#[tokio::test]
async fn objects_start_functions_by_bucket_prefix_and_kind_of_event() {
    let product = product().await;
    for bucket in ["uploads", "other"] {
        let body = json!({});
        product.buckets.put(asked(&admin()), bucket, &body, Precondition::None).await.unwrap();
    }
    let on = |name: &str, rest: Value| {
        let mut trigger = json!({"name": name, "bucket": "uploads"});
        trigger.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        trigger
    };
    product.function("all", json!([on("t", json!({}))])).await;
    product.function("images", json!([on("t", json!({"prefix": "img/", "events": ["created"]}))])).await;
    product.function("gone", json!([on("t", json!({"events": ["deleted"]}))])).await;
    let who = admin();
    let objects = product.buckets.objects();
    let put = |bucket: &'static str, key: &'static str| {
        let (bucket, actor) = (objects.bucket("default", bucket).unwrap(), who.actor());
        let body = Body::Whole(Bytes::from_static(b"x"));
        async move { objects.put(actor, &bucket, Put { key, body, ..Put::default() }).await }
    };
    put("uploads", "img/1").await.unwrap();
    put("uploads", "txt/1").await.unwrap();
    put("other", "img/1").await.unwrap();
    let uploads = objects.bucket("default", "uploads").unwrap();
    objects.delete(who.actor(), &uploads, ("img/1", None), Condition::Any).await.unwrap();
    product.relay.drain().await.unwrap();
    let counted = |name| {
        let memory = product.memory.clone();
        async move {
            use flagbase_core::functions::triggers::Occasions as _;
            memory.waiting(vec![(function(name), 9)]).await.unwrap().len()
        }
    };
    assert_eq!((counted("all").await, counted("images").await, counted("gone").await), (3, 1, 1));
    assert_eq!(product.round().await, 5);
    assert!(product.received().iter().all(|line| line.starts_with("v2 flagbase.bucket.object_")));
}

#[tokio::test]
async fn the_flag_of_a_function_decides_which_version_runs() {
    let product = product().await;
    let admin = admin();
    let flag = json!({
        "key": "which", "name": "which", "enabled": true, "type": "string",
        "default_variant": "old", "off_variant": "old",
        "variants": [{"name": "old", "value": "v1"}, {"name": "new", "value": "v2"}],
    });
    product.flags.create(asked(&admin), &flag).await.unwrap();
    let triggers = json!([{"name": "t", "subject": "flagbase.flag.updated"}]);
    product.function("hello", triggers).await;
    let stored = product.memory.get(&function("hello")).await.unwrap().unwrap();
    let mut body = Definition::from_stored(&stored.body).unwrap();
    body.flag_key = Some("which".into());
    product.write("hello", Write::Put(body.to_json())).await;
    product
        .flags
        .patch(asked(&admin), "which", &json!({"name": "changed"}), Precondition::None)
        .await
        .unwrap();
    product.relay.drain().await.unwrap();
    product.round().await;
    assert_eq!(product.received(), ["v1 flagbase.flag.updated #1"]);
}

#[tokio::test]
async fn a_function_without_room_is_left_alone_and_loses_no_attempt() {
    let product = product().await;
    let triggers = json!([{"name": "t", "subject": "flagbase.flag.created", "attempts": 1}]);
    product.function("hello", triggers).await;
    product.flag("checkout").await;
    product.script.answers.lock().push_back(Fault::Exhausted);
    product.script.answers.lock().push_back(Fault::Busy { running: 1, waiting: 1 });
    for _ in 0..2 {
        assert_eq!(product.round().await, 1);
        assert_eq!(product.round().await, 0, "not at once");
        product.later(1);
    }
    assert_eq!(product.round().await, 1);
    assert_eq!(product.received(), ["v2 flagbase.flag.created #1"; 3]);
    assert!(product.letters("hello").await.is_empty());
}

#[tokio::test]
async fn what_waited_for_a_function_that_is_gone_is_gone() {
    let product = product().await;
    product.function("hello", json!([{"name": "t", "subject": "flagbase.flag.created"}])).await;
    product.flag("checkout").await;
    product.write("hello", Write::Delete).await;
    assert_eq!(product.round().await, 0);
    product.function("hello", json!([{"name": "t", "subject": "flagbase.flag.created"}])).await;
    assert_eq!((product.round().await, product.received().len()), (0, 0));
}
