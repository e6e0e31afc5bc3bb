//! Uploads in parts, and uploads that are appended to.

use bytes::Bytes;
use flagbase_core::{
    buckets::{
        Algorithm, Begin, Bucket, Complete, Digests, PartOf, Pick, UploadForm, UploadPart, crc64, opaque_etag,
    },
    functions::Body,
};
use flagbase_testkit::blobs::{broken_off, parts};
use serde_json::json;

use super::*;

const MD5: &dyn Fn() -> Digests = &|| Digests { md5: true, ..Digests::default() };

fn body(text: &str) -> Body {
    Body::Whole(Bytes::copy_from_slice(text.as_bytes()))
}

impl Product {
    async fn begin(&self, bucket: &Bucket, form: UploadForm) -> String {
        let begin = Begin { key: "k", form, ..Begin::default() };
        self.buckets.objects().begin(bucket, begin).await.unwrap().id
    }

    async fn part(&self, bucket: &Bucket, place: (&str, u32), text: &str) -> UploadPart {
        self.buckets.objects().part(bucket, place, (body(text), MD5())).await.unwrap()
    }
}

#[tokio::test]
async fn parts_in_any_order_become_an_object_and_no_byte_is_moved() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let id = product.begin(&b, UploadForm::default()).await;
    let second = product.part(&b, (&id, 2), "world").await;
    product.part(&b, (&id, 7), "never").await;
    product.part(&b, (&id, 1), "replaced").await;
    let first = product.part(&b, (&id, 1), "hello ").await;
    assert_eq!(product.blobs().await, 3);
    let named = |parts: &[&UploadPart]| {
        let parts = parts.iter().map(|part| (part.number, part.etag.clone(), None)).collect();
        Complete { parts: Some(parts), ..Complete::default() }
    };
    for (complete, code) in [
        (named(&[]), "malformed_parts"),
        (named(&[&second, &first]), "invalid_part_order"),
        (named(&[&first, &UploadPart { number: 3, ..second.clone() }]), "invalid_part"),
        (named(&[&first, &UploadPart { etag: "other".into(), ..second.clone() }]), "invalid_part"),
        (Complete { least: 7, ..named(&[&first, &second]) }, "entity_too_small"),
        (Complete { size: Some(12), ..named(&[&first, &second]) }, "incomplete_body"),
    ] {
        let refused = objects.complete(actor.clone(), &b, &id, complete).await.unwrap_err();
        assert_eq!(refused.code, code);
    }
    let whole = objects.complete(actor.clone(), &b, &id, named(&[&first, &second])).await.unwrap();
    assert_eq!((whole.size, whole.crc64), (11, crc64(b"hello world")));
    // MD5 of the two MD5s, as published clients compute it.
    assert!(whole.etag.len() == 34 && whole.etag.ends_with("-2"), "{}", whole.etag);
    assert_eq!(product.read("k", Pick::Range(4, 8)).await.as_deref(), Some("o wo"));
    assert_eq!(product.blobs().await, 2, "what was not chosen is gone");
    let again = objects.complete(actor, &b, &id, Complete::default()).await.unwrap_err();
    assert_eq!(again.code, "upload_not_found");
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let objects = product.buckets.objects();
    let id = product.begin(&b, UploadForm::default()).await;
    product.part(&b, (&id, 1), "x").await;
    let refused = objects.part(&b, ("none", 1), (body("x"), MD5())).await.unwrap_err();
    assert_eq!(refused.code, "upload_not_found");
    for number in [0, 10_001] {
        let refused = objects.part(&b, (&id, number), (body("x"), MD5())).await.unwrap_err();
        assert_eq!(refused.code, "invalid_part_number");
    }
    assert!(objects.abort(&b, &id).await.unwrap() && !objects.abort(&b, &id).await.unwrap());
    assert_eq!(product.blobs().await, 0);
}

#[tokio::test]
async fn a_part_can_be_copied_whole_or_as_a_range() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let put = flagbase_core::buckets::Put {
        key: "source",
        body: body("0123456789"),
        digests: MD5(),
        ..Default::default()
    };
    let source = objects.put(actor.clone(), &b, put).await.unwrap();
    let id = product.begin(&b, UploadForm::default()).await;
    let copy = |number, range| {
        let of = PartOf { from: "source", version: None, range };
        let (b, id) = (&b, id.as_str());
        async move { objects.part_of((b, b), (id, number), of, (MD5(), &|_| Ok(()))).await }
    };
    assert_eq!(copy(1, None).await.unwrap().unwrap().etag, source.etag);
    copy(2, Some((2, 5))).await.unwrap().unwrap();
    assert_eq!(copy(3, Some((2, 11))).await.unwrap_err().code, "invalid_range");
    let whole = objects.complete(actor, &b, &id, Complete::default()).await.unwrap();
    assert_eq!((whole.size, whole.crc64), (13, crc64(b"0123456789234")));
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("0123456789234"));
}

#[tokio::test]
async fn checksums_of_the_whole_follow_from_those_of_its_parts() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    for (algorithm, composite) in
        [(Algorithm::Crc32, false), (Algorithm::Sha256, true), (Algorithm::Crc64Nvme, false)]
    {
        let form = UploadForm { checksum: Some((algorithm, composite)), ..UploadForm::default() };
        let id = product.begin(&b, form).await;
        for (number, text) in [(1, "1234"), (2, "56789")] {
            let digests = Digests { keep: Some(algorithm), ..Digests::default() };
            objects.part(&b, (&id, number), (body(text), digests)).await.unwrap();
        }
        let whole = objects.complete(actor.clone(), &b, &id, Complete::default()).await.unwrap();
        let checksum = whole.checksum.unwrap();
        assert_eq!((checksum.algorithm, checksum.composite), (algorithm, composite));
        match algorithm {
            Algorithm::Crc32 => assert_eq!(checksum.value, "y/Q5Jg=="),
            Algorithm::Sha256 => assert!(checksum.value.ends_with("-2")),
            _ => assert_eq!(checksum.raw().unwrap(), crc64(b"123456789").to_be_bytes()),
        }
        assert_eq!(whole.etag, opaque_etag(crc64(b"123456789"), 9));
    }
}

#[tokio::test]
async fn what_is_appended_goes_on_where_it_broke_off() {
    let product = product().await;
    let b = product.make("box", json!({})).await;
    let (objects, actor) = (product.buckets.objects(), person("admin").actor());
    let id = product.begin(&b, UploadForm { length: Some(11), ..UploadForm::default() }).await;
    let append = |offset, body| {
        let (b, id) = (&b, id.as_str());
        async move { objects.append(b, (id, offset), (body, Digests::default())).await }
    };
    let half = append(0, Body::Stream(broken_off("hello"), None)).await.unwrap();
    assert_eq!((half.offset, half.broken.unwrap().code), (5, "bad_body"), "what came is kept");
    assert_eq!(append(0, body("hello")).await.unwrap_err().code, "upload_offset");
    assert_eq!(append(5, body(" world and more")).await.unwrap_err().code, "body_too_large");
    assert_eq!(append(5, Body::Empty).await.unwrap().offset, 5);
    let never = Body::Stream(Box::pin(futures_util::stream::pending()), None);
    let mut waiting = Box::pin(append(5, never));
    assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
    assert_eq!(append(5, body("x")).await.unwrap_err().code, "upload_busy");
    drop(waiting);
    let early = Complete { size: Some(11), ..Complete::default() };
    assert_eq!(objects.complete(actor.clone(), &b, &id, early).await.unwrap_err().code, "incomplete_body");
    assert_eq!(append(5, Body::Stream(parts(&[" wor", "ld"]), None)).await.unwrap().offset, 11);
    assert_eq!(objects.offset(&b, &id).await.unwrap(), 11);
    let done = Complete { size: Some(11), ..Complete::default() };
    objects.complete(actor, &b, &id, done).await.unwrap();
    assert_eq!(product.read("k", Pick::Whole).await.as_deref(), Some("hello world"));
    assert_eq!(product.blobs().await, 2);
}
