//! Versions, copies, tags, conditions and quotas.

use std::collections::BTreeMap;

use bytes::Bytes;
use flagbase_core::{
    buckets::{
        Algorithm, Amendment, Checksum, Condition, Copying, Digests, Listing, ObjectHead, Pick, Put, Usage,
    },
    functions::Body,
    refusal::{Class, Precondition},
};
use serde_json::json;

use super::*;

fn body(text: &str) -> Body {
    Body::Whole(Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn a_deleted_object_is_hidden_while_versions_are_kept_and_comes_back_without_its_marker() {
    let product = product().await;
    let b = product.make("box", json!({"versioning": "enabled"})).await;
    let one = product.put("k", "one").await;
    let two = product.put("k", "two").await;
    assert!(one.version != two.version && one.version.len() == 32);
    let which = |object: &flagbase_core::buckets::Object| object.version.clone();
    assert_eq!(product.read_version(("k", Some(&which(&one))), Pick::Whole).await.as_deref(), Some("one"));

    let marker = product.remove("k", None).await.unwrap();
    assert!(marker.marker);
    assert_eq!(product.read("k", Pick::Whole).await, None);
    let objects = product.buckets.objects();
    assert!(objects.newest(&b, "k").await.unwrap().unwrap().marker);
    assert_eq!(product.blobs().await, 2);
    let refused =
        product.buckets.delete(asked(&person("admin")), "box", Precondition::None).await.unwrap_err();
    assert_eq!(refused.code, "bucket_not_empty", "versions are something, too");

    product.remove("k", Some(&marker.version)).await.unwrap();
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("two"));
    product.remove("k", Some(&two.version)).await.unwrap();
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("one"));
    product.remove("k", Some(&one.version)).await.unwrap();
    assert_eq!(product.blobs().await, 0);
    assert_eq!(product.remove("k", Some("none")).await, None);
    product.buckets.delete(asked(&person("admin")), "box", Precondition::None).await.unwrap();
}

#[tokio::test]
async fn versions_that_were_kept_stay_when_no_more_are_kept() {
    let product = product().await;
    product.make("box", json!({"versioning": "enabled"})).await;
    let kept = product.put("k", "kept").await;
    let admin = person("admin");
    let suspended = json!({"versioning": "suspended"});
    product.buckets.patch(asked(&admin), "box", &suspended, Precondition::None).await.unwrap();
    product.put("k", "one").await;
    product.put("k", "two").await;
    assert_eq!(product.blobs().await, 2, "null versions take each other's place");
    assert_eq!(product.read_version(("k", Some(&kept.version)), Pick::Whole).await.as_deref(), Some("kept"));
    for away in [json!("off"), Value::Null] {
        let patch = json!({"versioning": away});
        let refused =
            product.buckets.patch(asked(&admin), "box", &patch, Precondition::None).await.unwrap_err();
        assert_eq!(refused.faults[0].pointer, "/versioning", "taken away is off, too");
    }
}

#[tokio::test]
async fn a_copy_shares_no_fate_with_what_was_copied() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let c = product.make("copies", json!({})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let source = product.put("k", "bytes").await;
    let copying = Copying { from: "k", to: "copy", ..Copying::default() };
    let copy = objects.copy(actor.clone(), (&b, &c), copying, &|_| Ok(())).await.unwrap().unwrap();
    assert_eq!((&copy.etag, &copy.head, copy.size), (&source.etag, &source.head, 5));
    assert_ne!(copy.pieces, source.pieces);
    product.remove("k", None).await;
    let part = objects.get(&c, ("copy", None), &|_| Pick::Whole).await.unwrap().unwrap();
    assert_eq!(Body::Stream(part.bytes, None).collect(9).await.unwrap(), "bytes");

    let head = Some(ObjectHead::of_type("image/png"));
    let onto_itself = Copying { from: "copy", to: "copy", head, ..Copying::default() };
    let changed = objects.copy(actor.clone(), (&c, &c), onto_itself, &|_| Ok(())).await.unwrap().unwrap();
    assert_eq!(changed.head.content_type, "image/png");
    assert_eq!(product.blobs().await, 1);
    let none = Copying { from: "none", to: "x", ..Copying::default() };
    assert_eq!(objects.copy(actor.clone(), (&b, &c), none, &|_| Ok(())).await.unwrap(), None);
    let refusing = |_: &flagbase_core::buckets::Object| {
        Err(flagbase_core::refusal::Refusal::new(Class::Stale, "precondition_failed", "no"))
    };
    let copying = Copying { from: "copy", to: "x", ..Copying::default() };
    assert_eq!(objects.copy(actor, (&c, &b), copying, &refusing).await.unwrap_err().class, Class::Stale);
}

#[tokio::test]
async fn what_is_not_as_announced_is_not_kept() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let wrong = Digests { expect: vec![Checksum::of(Algorithm::Md5, &[0; 16])], ..Digests::default() };
    let put = Put { key: "k", body: body("x"), digests: wrong, ..Put::default() };
    assert_eq!(objects.put(actor.clone(), &b, put).await.unwrap_err().code, "bad_digest");
    let digests = Digests { md5: true, keep: Some(Algorithm::Sha256), ..Digests::default() };
    let put = Put { key: "k", body: body("abc"), digests, ..Put::default() };
    let kept = objects.put(actor, &b, put).await.unwrap();
    assert_eq!(kept.etag, "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(kept.checksum.unwrap().value, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    assert_eq!(product.blobs().await, 1);
}

#[tokio::test]
async fn conditions_and_quotas_refuse_and_leave_nothing_behind() {
    let product = product().await;
    let b = product.make("box", json!({"quota": {"bytes": 5, "objects": 1}})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let put = |key: &'static str, text: &str, condition| {
        let put = Put {
            key,
            body: Body::Stream(flagbase_testkit::blobs::parts(&[text]), None),
            condition,
            ..Put::default()
        };
        let (b, actor) = (&b, actor.clone());
        async move { objects.put(actor, b, put).await }
    };
    assert_eq!(put("k", "x", Condition::Present).await.unwrap_err().code, "precondition_failed");
    let kept = put("k", "12345", Condition::Absent).await.unwrap();
    assert_eq!(put("k", "x", Condition::Absent).await.unwrap_err().class, Class::Stale);
    assert_eq!(put("k", "123456", Condition::Any).await.unwrap_err().code, "quota_bytes");
    assert_eq!(put("l", "", Condition::Any).await.unwrap_err().code, "quota_objects");
    put("k", "1234", Condition::Etag(vec![kept.etag])).await.unwrap();
    assert_eq!(product.blobs().await, 1);
    assert_eq!(objects.usage(&b.id).await.unwrap(), Usage { objects: 1, bytes: 4, ..Usage::default() });
}

#[tokio::test]
async fn tags_and_heads_are_changed_without_the_bytes() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let before = product.put("k", "bytes").await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let tags = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let amendment = Amendment { tags: Some(tags.clone()), ..Amendment::default() };
    objects.amend(actor.clone(), &b, ("k", None), amendment).await.unwrap().unwrap();
    let now = objects.head(&b, "k", None).await.unwrap().unwrap();
    assert_eq!((&now.tags, &now.etag, &now.pieces), (&tags, &before.etag, &before.pieces));
    let many = (0..11).map(|at| (at.to_string(), String::new())).collect();
    let amendment = Amendment { tags: Some(many), ..Amendment::default() };
    let refused = objects.amend(actor.clone(), &b, ("k", None), amendment).await.unwrap_err();
    assert_eq!(refused.faults[0].pointer, "/tags");
    assert_eq!(objects.amend(actor, &b, ("none", None), Amendment::default()).await.unwrap(), None);
}

#[tokio::test]
async fn many_are_removed_at_once_each_with_its_own_answer() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    for number in 0..100 {
        product.put(&format!("k{number}"), "x").await;
    }
    let which: Vec<_> = (0..101).map(|number| (format!("k{number}"), None)).collect();
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let answers = objects.delete_many(&actor, &b, &which).await;
    let gone: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().is_some()).collect();
    assert!(gone[..100].iter().all(|gone| *gone) && !gone[100]);
    assert!(objects.list(&b, &Listing { limit: 9, ..Listing::default() }).await.unwrap().objects.is_empty());
    assert_eq!(product.blobs().await, 0);
}
