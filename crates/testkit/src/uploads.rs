//! What every `Uploads` does.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeMap;

use flagbase_core::{
    buckets::{
        Algorithm, Checksum, Condition, IndexError, Listing, Object, ObjectHead, Piece, Position, Quota,
        Terms, Upload, UploadForm, UploadPart, Usage,
    },
    catalog::{DocumentId, Expect},
};
use jiff::Timestamp;

use crate::{
    Stores,
    catalog::{commit, delete},
    objects::{made, object, told},
};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! uploads_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            uploads,
            [
                an_upload_comes_back_as_it_was_begun,
                parts_take_each_others_place_and_come_in_pages,
                an_upload_becomes_an_object_with_the_parts_that_were_chosen,
                what_cannot_be_completed_stays_as_it_was,
                an_upload_that_is_given_up_frees_its_parts,
                parts_count_for_quotas,
                uploads_are_listed_by_key_and_id_in_pages_and_groups,
                old_uploads_are_found_in_all_buckets,
                uploads_go_with_their_bucket,
            ]
        );
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn upload(key: &str, id: &str) -> Upload {
    Upload {
        id: id.into(),
        key: key.into(),
        head: ObjectHead::of_type("text/plain"),
        tags: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        form: UploadForm::default(),
        begun: at(1_000),
    }
}

fn part(number: u32, blob: &str, size: u64) -> UploadPart {
    UploadPart {
        number,
        piece: Piece { blob: blob.into(), size, crc64: u64::MAX },
        etag: format!("etag-{blob}"),
        checksum: None,
        modified: at(2_000),
    }
}

async fn keep(stores: &Stores, bucket: &DocumentId, id: &str, part: UploadPart) -> Vec<String> {
    stores.uploads.part(bucket, id, part, Quota::default()).await.unwrap()
}

async fn strays(stores: &Stores, blobs: &[&str]) -> Vec<String> {
    stores.objects.strays(blobs.iter().map(|blob| (*blob).to_owned()).collect()).await.unwrap()
}

pub async fn an_upload_comes_back_as_it_was_begun(stores: &Stores) {
    let (bucket, other) = (made(stores, "b").await, made(stores, "other").await);
    let form = UploadForm {
        length: Some(7),
        checksum: Some((Algorithm::Crc32c, true)),
        owner: "user:u1".into(),
        notes: BTreeMap::from([("name".to_owned(), "ä".to_owned())]),
    };
    let begun = Upload { form, ..upload("k", "u1") };
    stores.uploads.begin(&bucket, begun.clone()).await.unwrap();
    assert_eq!(stores.uploads.get(&bucket, "u1").await.unwrap(), Some(begun));
    assert_eq!(stores.uploads.get(&other, "u1").await.unwrap(), None, "not in another bucket");
    assert_eq!(stores.uploads.get(&bucket, "u2").await.unwrap(), None);
    let usage = stores.objects.usage(&bucket).await.unwrap();
    assert_eq!(usage, Usage { uploads: 1, ..Usage::default() });
    let none = DocumentId::new(bucket.kind, "default", "none");
    let refused = stores.uploads.begin(&none, upload("k", "u3")).await;
    assert!(matches!(refused, Err(IndexError::NoBucket)), "{refused:?}");
}

pub async fn parts_take_each_others_place_and_come_in_pages(stores: &Stores) {
    let bucket = made(stores, "b").await;
    stores.uploads.begin(&bucket, upload("k", "u1")).await.unwrap();
    let checked = UploadPart { checksum: Some(Checksum::of(Algorithm::Crc32, &[1; 4])), ..part(3, "c", 3) };
    for part in [part(2, "b", 2), checked.clone(), part(1, "a", 1)] {
        assert!(keep(stores, &bucket, "u1", part).await.is_empty());
    }
    assert_eq!(keep(stores, &bucket, "u1", part(2, "b2", 20)).await, ["b"]);
    let page = stores.uploads.parts(&bucket, "u1", 0, 2).await.unwrap();
    assert_eq!(page, [part(1, "a", 1), part(2, "b2", 20)]);
    assert_eq!(stores.uploads.parts(&bucket, "u1", 2, 9).await.unwrap(), [checked]);
    assert_eq!(stores.uploads.parts(&bucket, "u2", 0, 9).await.unwrap(), []);
    let usage = stores.objects.usage(&bucket).await.unwrap();
    assert_eq!(usage, Usage { uploads: 1, uploaded_bytes: 24, ..Usage::default() });
    assert_eq!(strays(stores, &["a", "b", "b2", "c"]).await, ["b"]);
    let refused = stores.uploads.part(&bucket, "u2", part(1, "d", 1), Quota::default()).await;
    assert!(matches!(refused, Err(IndexError::NoUpload)), "{refused:?}");
}

pub async fn an_upload_becomes_an_object_with_the_parts_that_were_chosen(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let before = object("k", 1);
    stores.objects.put(&bucket, before, Terms::default(), told(&bucket, "object_created")).await.unwrap();
    stores.uploads.begin(&bucket, upload("k", "u1")).await.unwrap();
    for part in [part(1, "a", 1), part(2, "b", 2), part(3, "c", 3)] {
        keep(stores, &bucket, "u1", part).await;
    }
    let pieces = vec![part(1, "a", 1).piece, part(3, "c", 3).piece];
    let whole = Object { pieces, ..object("k", 4) };
    let placed = stores
        .uploads
        .complete(&bucket, "u1", (whole.clone(), Terms::default()), told(&bucket, "object_created"))
        .await
        .unwrap();
    let mut freed = placed.freed;
    freed.sort();
    assert_eq!((freed, placed.changes.len()), (vec!["b".to_owned(), "objects/k-1".to_owned()], 1));
    assert_eq!(stores.objects.get(&bucket, "k", None).await.unwrap(), Some(whole));
    assert_eq!(stores.uploads.get(&bucket, "u1").await.unwrap(), None);
    assert_eq!(stores.uploads.parts(&bucket, "u1", 0, 9).await.unwrap(), []);
    let usage = stores.objects.usage(&bucket).await.unwrap();
    assert_eq!(usage, Usage { objects: 1, bytes: 4, ..Usage::default() });
    assert_eq!(strays(stores, &["a", "b", "c"]).await, ["b"]);
}

pub async fn what_cannot_be_completed_stays_as_it_was(stores: &Stores) {
    let bucket = made(stores, "b").await;
    stores.uploads.begin(&bucket, upload("k", "u1")).await.unwrap();
    keep(stores, &bucket, "u1", part(1, "a", 1)).await;
    let whole = |blob: &str| Object { pieces: vec![part(1, blob, 1).piece], ..object("k", 1) };
    let complete = |id: &'static str, blob: &str, terms: Terms| {
        stores.uploads.complete(&bucket, id, (whole(blob), terms), told(&bucket, "object_created"))
    };
    let present = Terms { condition: Condition::Present, ..Terms::default() };
    let small = Terms { quota: Quota { bytes: Some(0), objects: None }, ..Terms::default() };
    assert!(matches!(complete("u2", "a", Terms::default()).await, Err(IndexError::NoUpload)));
    assert!(matches!(complete("u1", "b", Terms::default()).await, Err(IndexError::BadPart)));
    assert!(matches!(complete("u1", "a", present).await, Err(IndexError::Precondition)));
    assert!(matches!(complete("u1", "a", small).await, Err(IndexError::QuotaBytes(0))));
    assert_eq!(stores.uploads.parts(&bucket, "u1", 0, 9).await.unwrap(), [part(1, "a", 1)]);
    assert_eq!(stores.objects.get(&bucket, "k", None).await.unwrap(), None);
    assert_eq!(stores.catalog.head().await.unwrap(), 1, "nothing was told");
    complete("u1", "a", Terms::default()).await.unwrap();
}

pub async fn an_upload_that_is_given_up_frees_its_parts(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for id in ["u1", "u2"] {
        stores.uploads.begin(&bucket, upload("k", id)).await.unwrap();
        keep(stores, &bucket, id, part(1, &format!("{id}-a"), 1)).await;
    }
    assert_eq!(stores.uploads.abort(&bucket, "u1").await.unwrap(), Some(vec!["u1-a".to_owned()]));
    assert_eq!(stores.uploads.abort(&bucket, "u1").await.unwrap(), None);
    assert_eq!(stores.uploads.parts(&bucket, "u2", 0, 9).await.unwrap().len(), 1);
    let usage = stores.objects.usage(&bucket).await.unwrap();
    assert_eq!(usage, Usage { uploads: 1, uploaded_bytes: 1, ..Usage::default() });
}

pub async fn parts_count_for_quotas(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let quota = Quota { bytes: Some(5), objects: None };
    stores.uploads.begin(&bucket, upload("k", "u1")).await.unwrap();
    stores.uploads.part(&bucket, "u1", part(1, "a", 4), quota).await.unwrap();
    let refused = stores.uploads.part(&bucket, "u1", part(2, "b", 2), quota).await;
    assert!(matches!(refused, Err(IndexError::QuotaBytes(5))), "{refused:?}");
    assert_eq!(stores.uploads.parts(&bucket, "u1", 0, 9).await.unwrap().len(), 1);
    stores.uploads.part(&bucket, "u1", part(1, "c", 5), quota).await.unwrap();
}

pub async fn uploads_are_listed_by_key_and_id_in_pages_and_groups(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for (key, id) in [("b", "3"), ("a/1", "2"), ("b", "1"), ("a/2", "4"), ("c", "5")] {
        stores.uploads.begin(&bucket, upload(key, id)).await.unwrap();
    }
    for (delimiter, expected) in [(None, "a/1|2 a/2|4 b|1 b|3 c|5"), (Some("/"), "a/ b|1 b|3 c|5")] {
        for limit in 1..6 {
            let delimiter = delimiter.map(str::to_owned);
            let mut listing = Listing { delimiter, limit, ..Listing::default() };
            let mut told: Vec<String> = Vec::new();
            loop {
                let listed = stores.uploads.list(&bucket, &listing).await.unwrap();
                let uploads =
                    listed.uploads.iter().map(|(upload, _)| format!("{}|{}", upload.key, upload.id));
                let mut page: Vec<_> = listed.prefixes.iter().cloned().chain(uploads).collect();
                page.sort();
                told.extend(page);
                let Some(next) = listed.next else { break };
                listing.after = Some(next);
            }
            assert_eq!(told.join(" "), expected, "pages of {limit}");
        }
    }
    for part in [part(1, "a", 3), part(2, "b", 4)] {
        keep(stores, &bucket, "3", part).await;
    }
    let listing = Listing { prefix: "b".into(), limit: 9, ..Listing::default() };
    let listed = stores.uploads.list(&bucket, &listing).await.unwrap().uploads;
    let sizes: Vec<_> = listed.iter().map(|(upload, size)| (upload.id.as_str(), *size)).collect();
    assert_eq!(sizes, [("1", 0), ("3", 7)], "with the bytes that are there of each");
    let page = |prefix: &str, key: &str, id: &str| {
        let after = Some(Position { key: key.into(), version: id.into() });
        let listing = Listing { prefix: prefix.into(), after, limit: 9, ..Listing::default() };
        async move {
            let listed = stores.uploads.list(&bucket, &listing).await.unwrap();
            listed.uploads.into_iter().map(|(upload, _)| upload.id).collect::<String>()
        }
    };
    assert_eq!(page("b", "b", "").await, "", "all of the key are passed");
}

pub async fn old_uploads_are_found_in_all_buckets(stores: &Stores) {
    let (one, two) = (made(stores, "one").await, made(stores, "two").await);
    for (bucket, id, begun) in [(&one, "1", 30), (&two, "2", 10), (&one, "3", 20), (&two, "4", 40)] {
        let begun = Upload { begun: at(begun), ..upload("k", id) };
        stores.uploads.begin(bucket, begun).await.unwrap();
    }
    let stale = stores.uploads.stale(at(40), 2).await.unwrap();
    let ids: Vec<_> = stale.iter().map(|(bucket, upload)| (bucket.clone(), upload.id.as_str())).collect();
    assert_eq!(ids, [(two.clone(), "2"), (one, "3")]);
    assert_eq!(stores.uploads.stale(at(40), 9).await.unwrap().len(), 3);
    assert_eq!(stale[0].1, Upload { begun: at(10), ..upload("k", "2") });
}

pub async fn uploads_go_with_their_bucket(stores: &Stores) {
    let bucket = made(stores, "b").await;
    stores.uploads.begin(&bucket, upload("k", "u1")).await.unwrap();
    keep(stores, &bucket, "u1", part(1, "a", 1)).await;
    stores.catalog.commit(commit(vec![delete(&bucket, Expect::Any)])).await.unwrap();
    assert_eq!(stores.uploads.get(&bucket, "u1").await.unwrap(), None);
    assert!(stores.uploads.stale(at(9_000), 9).await.unwrap().is_empty());
    assert_eq!(strays(stores, &["a"]).await, ["a"]);
}
