//! What goes by itself, and what is found damaged.

use flagbase_core::{
    blobs::Blobs as _,
    buckets::{Begin, Digests, Listing, Pick},
    functions::Body,
};
use flagbase_testkit::blobs::{Away, parts};
use jiff::SignedDuration;
use serde_json::json;

use super::*;

impl Product {
    fn later(&self, days: i64) {
        self.clock.advance(SignedDuration::from_hours(24 * days));
    }

    async fn keys(&self, versions: bool) -> Vec<String> {
        let listing = Listing { versions, limit: 99, ..Listing::default() };
        let listed = self.buckets.objects().list(&self.bucket("box"), &listing).await.unwrap();
        listed.objects.into_iter().map(|object| object.key).collect()
    }
}

#[tokio::test]
async fn what_rotted_or_is_gone_is_found_and_told() {
    let product = product().await;
    product.make("box", json!({})).await;
    let (altered, gone) = (product.put("altered", "bytes").await, product.put("gone", "bytes").await);
    let (short, fine) = (product.put("short", "bytes").await, product.put("fine", "bytes").await);
    product.blobs.put(&altered.pieces[0].blob, parts(&["bytez"])).await.unwrap();
    product.blobs.put(&short.pieces[0].blob, parts(&["byte"])).await.unwrap();
    product.blobs.delete(&gone.pieces[0].blob).await.unwrap();
    let found = product.buckets.objects().scrub(None).await.unwrap();
    assert_eq!((found.objects, found.bytes), (4, 20));
    let told: Vec<_> =
        found.damaged.iter().map(|damage| (damage.key.as_str(), damage.why.as_str())).collect();
    assert_eq!(
        told,
        [
            ("altered", "its bytes were altered"),
            ("gone", "its bytes are gone"),
            ("short", "4 of 5 bytes are there")
        ]
    );
    let changes = product.changes(&DocumentId::new(Kind::Bucket, "default", "box")).await;
    let damaged = changes.iter().filter(|change| change.verb == "object_damaged");
    assert_eq!(damaged.count(), 3);
    assert_eq!(product.read("fine", Pick::Whole).await.as_deref(), Some("bytes"));
    assert_eq!(fine.size, 5);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_damaged_and_what_cannot_be_read_is() {
    let product = product().await;
    product.make("box", json!({})).await;
    product.put("a", "bytes").await;
    product.blobs.fail(Away::Everything);
    let refused = product.buckets.objects().scrub(None).await.unwrap_err();
    assert_eq!(refused.code, "store_unavailable");
    product.blobs.fail(Away::Reads);
    let found = product.buckets.objects().scrub(None).await.unwrap();
    assert_eq!(
        found.damaged[0].why,
        "its bytes cannot be read: the store of blobs is unavailable: it is away"
    );
    product.blobs.fail(Away::Nothing);
    assert_eq!(product.buckets.objects().scrub(None).await.unwrap().damaged, []);
}

#[tokio::test]
async fn objects_expire_by_age_prefix_and_tags() {
    let product = product().await;
    product.make("box", json!({"lifecycle": [{"prefix": "log/", "expire_after_days": 7}, {"prefix": "", "disabled": true, "expire_after_days": 1}]})).await;
    product.put("log/old", "x").await;
    product.put("other", "x").await;
    product.later(5);
    product.put("log/new", "x").await;
    product.later(3);
    assert_eq!(product.buckets.objects().expire().await.unwrap(), 1);
    assert_eq!(product.keys(false).await, ["log/new", "other"]);
    assert_eq!(product.buckets.objects().expire().await.unwrap(), 0);
}

#[tokio::test]
async fn versions_go_so_long_after_something_took_their_place() {
    let product = product().await;
    let rules = json!([{"noncurrent_after_days": 3, "expire_after_days": 10, "expired_markers": true}]);
    product.make("box", json!({"versioning": "enabled", "lifecycle": rules})).await;
    product.put("k", "one").await;
    product.later(4);
    product.put("k", "two").await;
    let objects = product.buckets.objects();
    assert_eq!(objects.expire().await.unwrap(), 0, "it was the newest until now");
    product.later(4);
    assert_eq!(objects.expire().await.unwrap(), 1);
    assert_eq!(product.keys(true).await.len(), 1);
    product.later(7);
    assert_eq!(objects.expire().await.unwrap(), 1, "now the newest is hidden by a marker");
    assert_eq!((product.keys(false).await.len(), product.keys(true).await.len()), (0, 2));
    product.later(4);
    assert_eq!(objects.expire().await.unwrap(), 1, "and goes");
    assert_eq!(objects.expire().await.unwrap(), 1, "the marker that is left hides nothing");
    assert_eq!((product.keys(true).await.len(), product.blobs().await), (0, 0));
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_are_given_up() {
    let product = product().await;
    let rules = json!([{"prefix": "soon/", "abort_uploads_after_days": 1}]);
    let b = product.make("box", json!({"lifecycle": rules})).await;
    let objects = product.buckets.objects();
    for key in ["soon/k", "late/k"] {
        let upload = objects.begin(&b, Begin { key, ..Begin::default() }).await.unwrap();
        let body = Body::Stream(parts(&["x"]), None);
        objects.part(&b, (&upload.id, 1), (body, Digests::default())).await.unwrap();
    }
    product.later(2);
    assert_eq!((objects.abort_stale().await.unwrap(), objects.expire().await.unwrap()), (0, 1));
    assert_eq!(product.blobs().await, 1);
    product.later(6);
    assert_eq!(objects.abort_stale().await.unwrap(), 1);
    assert_eq!(product.blobs().await, 0);
}
