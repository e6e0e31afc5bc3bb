//! Buckets and objects.

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::{
    blobs::Blobs as _,
    buckets::{Act, Action, Bucket, Condition, Listing, Object, ObjectHead, Pick, Position, Put, Visitor},
    functions::{Body, GuestObjects, HostError},
    refusal::{Class, Precondition, Refusal},
};
use flagbase_testkit::blobs::{broken_off, parts};
use jiff::SignedDuration;
use serde_json::json;

use super::*;

fn bucket(name: &str) -> DocumentId {
    DocumentId::new(Kind::Bucket, "default", name)
}

impl Product {
    pub(super) async fn make(&self, name: &str, body: Value) -> Arc<Bucket> {
        let (_, new) =
            self.buckets.put(asked(&person("admin")), name, &body, Precondition::None).await.unwrap();
        assert!(new);
        self.bucket(name)
    }

    pub(super) fn bucket(&self, name: &str) -> Arc<Bucket> {
        self.buckets.objects().bucket("default", name).unwrap()
    }

    pub(super) async fn send(&self, bucket: &Bucket, key: &str, body: Body) -> Result<Object, Refusal> {
        let head = ObjectHead::of_type("text/plain");
        let put = Put { key, head, body, ..Put::default() };
        self.buckets.objects().put(person("admin").actor(), bucket, put).await
    }

    pub(super) async fn put(&self, key: &str, text: &str) -> Object {
        let body = Body::Whole(Bytes::copy_from_slice(text.as_bytes()));
        self.send(&self.bucket("box"), key, body).await.unwrap()
    }

    pub(super) async fn read(&self, key: &str, pick: Pick) -> Option<String> {
        self.read_version((key, None), pick).await
    }

    pub(super) async fn read_version(&self, which: (&str, Option<&str>), pick: Pick) -> Option<String> {
        let part = self.buckets.objects().get(&self.bucket("box"), which, &|_| pick).await.unwrap()?;
        let bytes = Body::Stream(part.bytes, None).collect(u64::MAX).await.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(super) async fn remove(&self, key: &str, version: Option<&str>) -> Option<Object> {
        let (objects, bucket) = (self.buckets.objects(), self.bucket("box"));
        objects.delete(person("admin").actor(), &bucket, (key, version), Condition::Any).await.unwrap()
    }

    pub(super) async fn blobs(&self) -> usize {
        self.blobs.list("", "", u32::MAX).await.unwrap().len()
    }
}

#[tokio::test]
async fn an_object_is_kept_read_told_and_removed() {
    let product = product().await;
    let b = product.make("box", json!({"description": "for tests"})).await;
    let body = Body::Stream(parts(&["hello ", "world"]), None);
    let kept = product.send(&b, "a/greeting", body).await.unwrap();
    assert_eq!((kept.size, kept.head.content_type.as_str()), (11, "text/plain"));
    assert_eq!(product.read("a/greeting", Pick::Whole).await.as_deref(), Some("hello world"));
    assert_eq!(product.read("a/greeting", Pick::Range(6, 99)).await.as_deref(), Some("world"));
    assert_eq!(product.read("a/greeting", Pick::Nothing).await.as_deref(), Some(""));
    let objects = product.buckets.objects();
    assert_eq!(*objects.head(&b, "a/greeting", None).await.unwrap().unwrap(), kept);

    assert_eq!(product.remove("a/greeting", None).await, Some(kept.clone()));
    assert_eq!(product.remove("a/greeting", None).await, None);
    assert_eq!((product.read("a/greeting", Pick::Whole).await, product.blobs().await), (None, 0));
    let changes = product.changes(&bucket("box")).await;
    let verbs: Vec<_> = changes.iter().map(|change| change.verb.as_str()).collect();
    assert_eq!(verbs, ["created", "object_created", "object_deleted"]);
    let told = json!({
        "bucket": "box", "key": "a/greeting", "size": 11, "content_type": "text/plain", "etag": kept.etag,
        "version": "null",
    });
    assert!(changes[1..].iter().all(|change| change.detail == told));
}

#[tokio::test]
async fn a_second_write_takes_the_place_and_frees_what_was_there() {
    let product = product().await;
    product.make("box", json!({})).await;
    let (one, two) = (product.put("k", "one").await, product.put("k", "two").await);
    assert_ne!((&one.pieces, &one.etag), (&two.pieces, &two.etag));
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("two"));
    assert_eq!(product.blobs().await, 1);
    assert_eq!(product.put("other", "two").await.etag, two.etag, "the same bytes have the same one");
}

#[tokio::test]
async fn what_breaks_off_and_what_has_no_bucket_leaves_nothing() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    product.put("k", "before").await;
    let refused = product.send(&b, "k", Body::Stream(broken_off("half"), None)).await.unwrap_err();
    assert_eq!((refused.class, refused.code), (Class::Malformed, "bad_body"));
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("before"));
    let gone = product.make("gone", json!({})).await;
    product.buckets.delete(asked(&person("admin")), "gone", Precondition::None).await.unwrap();
    let refused = product.send(&gone, "k", Body::Empty).await.unwrap_err();
    assert_eq!(refused.code, "bucket_not_found");
    assert_eq!(product.blobs().await, 1);
    for key in ["", "a\0b", &"k".repeat(1025)] {
        let refused = product.send(&b, key, Body::Empty).await;
        assert_eq!(refused.unwrap_err().faults[0].pointer, "/key");
    }
    let put = Put { key: "k", head: ObjectHead::of_type("a\nb"), ..Put::default() };
    let refused = product.buckets.objects().put(person("admin").actor(), &b, put).await;
    assert_eq!(refused.unwrap_err().faults[0].pointer, "/content_type");
}

#[tokio::test]
async fn objects_are_listed_by_prefix_in_pages() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    for key in ["img/1", "img/2", "txt/1"] {
        product.put(key, "x").await;
    }
    let list = |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(Position::after);
        let listing = Listing { prefix: prefix.into(), after, limit, ..Listing::default() };
        let (objects, b) = (product.buckets.objects(), &b);
        async move {
            let listed = objects.list(b, &listing).await.unwrap();
            listed.objects.into_iter().map(|object| object.key).collect::<Vec<_>>()
        }
    };
    assert_eq!(list("img/", None, 9).await, ["img/1", "img/2"]);
    assert_eq!(list("", Some("img/1"), 1).await, ["img/2"]);
    assert!(list("none", None, 9).await.is_empty());
}

#[tokio::test]
async fn only_an_empty_bucket_is_removed() {
    let product = product().await;
    product.make("box", json!({"description": "for tests"})).await;
    product.put("k", "x").await;
    let admin = person("admin");
    let (document, usage) = product.buckets.get(&admin, "default", "box").await.unwrap();
    assert_eq!((&document.body["description"], usage.objects, usage.bytes), (&"for tests".into(), 1, 1));
    let refused = product.buckets.delete(asked(&admin), "box", Precondition::None).await.unwrap_err();
    assert_eq!((refused.class, refused.code), (Class::Conflict, "bucket_not_empty"));
    product.remove("k", None).await;
    product.buckets.delete(asked(&admin), "box", Precondition::None).await.unwrap();
    let gone = product.buckets.get(&admin, "default", "box").await.unwrap_err();
    assert_eq!(gone.code, "bucket_not_found");
}

#[tokio::test]
async fn names_and_bodies_of_buckets_make_sense_or_are_refused() {
    let product = product().await;
    let admin = person("admin");
    for name in ["", "Upper", "-a", "a..b", &"a".repeat(64)] {
        let refused = product.buckets.put(asked(&admin), name, &json!({}), Precondition::None).await;
        assert_eq!(refused.unwrap_err().faults[0].pointer, "/name", "{name}");
    }
    for (body, pointer) in [
        (json!([]), ""),
        (json!({"colour": 1}), "/colour"),
        (json!({"name": "x"}), "/name"),
        (json!({"description": 1}), "/description"),
    ] {
        let refused = product.buckets.put(asked(&admin), "box", &body, Precondition::None).await;
        assert_eq!(refused.unwrap_err().faults[0].pointer, pointer);
    }
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let product = product().await;
    product.make("box", json!({"description": "for tests"})).await;
    product.put("k", "x").await;
    let guest = person("guest");
    for action in [Action::GetObject, Action::PutObject, Action::DeleteObject, Action::ListBucket] {
        let visitor = Visitor::from(asked(&guest));
        let refused = product.buckets.admit(&visitor, "box", Act::new(action, "k")).unwrap_err();
        assert_eq!(refused.class, Class::Forbidden, "{action:?}");
        assert_eq!(
            product.buckets.admit(&visitor, "none", Act::new(action, "k")).unwrap_err().class,
            Class::Forbidden
        );
    }
    assert!(product.buckets.put(asked(&guest), "c", &json!({}), Precondition::None).await.is_err());
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("x"));
}

#[tokio::test]
async fn what_is_no_object_is_swept_once_it_is_old() {
    let product = product().await;
    product.make("box", json!({"description": "for tests"})).await;
    let objects = product.buckets.objects();
    product.put("k", "x").await;
    let id = |seed| {
        let random: &dyn flagbase_core::random::Random = &SeededRandom::new(seed);
        random.uuid7(&product.clock).simple().to_string()
    };
    let stray = format!("objects/00/{}", id(7));
    product.blobs.put(&stray, parts(&["stray"])).await.unwrap();
    product.blobs.put("objects/00/no-name-of-ours", parts(&["strange"])).await.unwrap();
    product.blobs.put("functions/code", parts(&["code"])).await.unwrap();
    assert_eq!(objects.sweep().await.unwrap(), 0, "it may be on its way into the index");
    product.clock.advance(SignedDuration::from_hours(25));
    assert_eq!(objects.sweep().await.unwrap(), 1);
    assert_eq!(product.blobs().await, 3);
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("x"));
}

#[tokio::test]
async fn functions_see_objects_by_their_grants_alone() {
    let product = product().await;
    product.make("box", json!({"description": "for tests"})).await;
    let objects = product.buckets.objects();
    let (bucket, none) = (bucket("box"), bucket("none"));
    let actor = Actor { kind: "function".into(), id: "hello".into(), name: "hello".into() };
    let data = ("text/plain", Bytes::from_static(b"12345"));
    let guest: &dyn GuestObjects = objects.as_ref();
    guest.put(actor.clone(), &bucket, "k", data.clone()).await.unwrap();
    assert_eq!(guest.get(&bucket, "k", 5).await.unwrap().unwrap(), "12345");
    let refused = guest.get(&bucket, "k", 4).await.unwrap_err();
    assert!(matches!(&refused, HostError::TooLarge(why) if why.contains("5 bytes")), "{refused}");
    assert_eq!(guest.get(&bucket, "none", 5).await.unwrap(), None);
    let missing = guest.put(actor.clone(), &none, "k", data).await.unwrap_err();
    assert!(matches!(missing, HostError::NotFound(_)), "{missing}");
    assert_eq!(guest.list(&bucket, "", "", 9).await.unwrap().len(), 1);
    guest.delete(actor, &bucket, "k").await.unwrap();
    let changes = product.changes(&bucket).await;
    assert!(changes[1..].iter().all(|change| &*change.actor.kind == "function"));
}
