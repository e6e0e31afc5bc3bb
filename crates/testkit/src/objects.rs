//! What every `ObjectIndex` does.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

mod listings;
mod versions;

use std::{collections::BTreeMap, sync::Arc};

use flagbase_core::{
    buckets::{
        Algorithm, Amendment, Checksum, Condition, Deletion, IndexError, Listing, NULL_VERSION, Object,
        ObjectHead, Piece, Placed, Position, Quota, Terms, Usage,
    },
    catalog::{CatalogError, Commit, DocumentId, Draft, Expect, Kind, Write},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Stores,
    catalog::{commit, delete, notice, put},
};

pub use listings::*;
pub use versions::*;

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! objects_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            objects,
            [
                an_object_is_noted_with_its_change,
                all_that_is_said_of_an_object_comes_back,
                a_second_write_says_what_it_took_the_place_of,
                in_a_bucket_that_is_not_there_nothing_is_written,
                a_deleted_object_is_told_once,
                conditions_are_looked_at_with_the_write,
                quotas_are_kept_and_nothing_is_written_beyond_them,
                what_a_bucket_holds_is_counted,
                what_is_said_anew_leaves_the_rest,
                blobs_of_no_object_are_strays,
                objects_go_with_their_bucket_and_no_other,
                a_bucket_that_goes_only_when_empty_stays_while_it_holds_anything,
                of_a_write_and_the_end_of_its_bucket_one_comes_first,
                of_many_writers_each_takes_the_place_of_another,
                of_many_writers_of_what_is_not_there_one_wins,
                versions_are_kept_hidden_and_brought_back,
                null_versions_take_each_others_place_only,
                versions_are_counted,
                objects_come_in_the_order_of_their_keys_by_prefix_and_in_pages,
                versions_come_newest_first_and_in_pages,
                groups_are_told_once_and_passed,
                a_page_goes_on_where_a_version_was_removed,
                every_listing_is_that_of_the_naive_one,
            ]
        );
    };
}

fn bucket(name: &str) -> DocumentId {
    DocumentId::new(Kind::Bucket, "default", name)
}

pub(crate) async fn made(stores: &Stores, name: &str) -> DocumentId {
    let bucket = bucket(name);
    let draft = put(&bucket, Expect::Absent, json!({ "name": name }));
    stores.catalog.commit(commit(vec![draft])).await.unwrap();
    bucket
}

pub(crate) fn object(key: &str, size: u64) -> Object {
    let piece = Piece { blob: format!("objects/{key}-{size}"), size, crc64: u64::MAX - size };
    Object {
        key: key.into(),
        size,
        etag: format!("etag-{size}"),
        crc64: u64::MAX - size,
        head: ObjectHead::of_type("text/plain"),
        modified: Timestamp::from_second(1_700_000_000).unwrap(),
        pieces: vec![piece],
        ..Object::default()
    }
}

/// A version of an object, whose blob is its own.
fn version(key: &str, version: &str, size: u64) -> Object {
    let piece = Piece { blob: format!("objects/{key}-{version}-{size}"), size, crc64: u64::MAX - size };
    Object { version: version.into(), pieces: vec![piece], ..object(key, size) }
}

fn marker(key: &str, version: &str) -> Object {
    Object { pieces: Vec::new(), marker: true, ..self::version(key, version, 0) }
}

pub(crate) fn told(bucket: &DocumentId, verb: &'static str) -> Commit {
    commit(vec![notice(bucket, verb)])
}

async fn write(
    stores: &Stores,
    bucket: &DocumentId,
    object: Object,
    terms: Terms,
) -> Result<Placed, IndexError> {
    stores.objects.put(bucket, object, terms, told(bucket, "object_created")).await
}

async fn note(stores: &Stores, bucket: &DocumentId, object: Object) -> Placed {
    write(stores, bucket, object, Terms::default()).await.unwrap()
}

async fn remove(stores: &Stores, bucket: &DocumentId, key: &str, version: &str) -> Placed {
    let deletion = (Deletion::Version(version.into()), Condition::Any);
    stores.objects.delete(bucket, key, deletion, told(bucket, "object_deleted")).await.unwrap()
}

async fn hide(stores: &Stores, bucket: &DocumentId, marker: Object) -> Placed {
    let key = marker.key.clone();
    let deletion = (Deletion::Marker(Box::new(marker)), Condition::Any);
    stores.objects.delete(bucket, &key, deletion, told(bucket, "object_deleted")).await.unwrap()
}

async fn get(stores: &Stores, bucket: &DocumentId, key: &str, version: Option<&str>) -> Option<Object> {
    stores.objects.get(bucket, key, version).await.unwrap()
}

async fn usage(stores: &Stores, bucket: &DocumentId) -> Usage {
    stores.objects.usage(bucket).await.unwrap()
}

pub async fn an_object_is_noted_with_its_change(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let placed = note(stores, &bucket, object("a/b c", 7)).await;
    assert_eq!((placed.object, placed.freed.len()), (Some(object("a/b c", 7)), 0));
    let changes = stores.catalog.changes(0, 99).await.unwrap();
    assert_eq!(placed.changes, changes[1..]);
    assert_eq!(placed.changes[0].verb, "object_created");
    assert_eq!(get(stores, &bucket, "a/b c", None).await, Some(object("a/b c", 7)));
    assert_eq!(get(stores, &bucket, "a/b c", Some(NULL_VERSION)).await, Some(object("a/b c", 7)));
    assert_eq!(get(stores, &bucket, "a/b c", Some("other")).await, None);
    assert_eq!(get(stores, &bucket, "a/b", None).await, None);
    assert!(stores.catalog.get(&bucket).await.unwrap().is_some(), "a notice leaves the document");
}

pub async fn all_that_is_said_of_an_object_comes_back(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let pieces = (0..3).map(|at| Piece { blob: format!("objects/p-{at}"), size: at, crc64: at }).collect();
    let words = |word: &str| BTreeMap::from([(word.to_owned(), "ä b".to_owned())]);
    let said = Object {
        checksum: Some(Checksum::of(Algorithm::Sha256, &[7; 32])),
        tags: words("tag"),
        head: ObjectHead {
            content_type: "text/html".into(),
            cache_control: Some("no-store".into()),
            content_disposition: Some("inline".into()),
            content_encoding: Some("gzip".into()),
            content_language: Some("de".into()),
            expires: Some("0".into()),
            metadata: words("name"),
        },
        pieces,
        ..object("k", 3)
    };
    note(stores, &bucket, said.clone()).await;
    assert_eq!(get(stores, &bucket, "k", None).await, Some(said.clone()));
    let empty = Object { pieces: Vec::new(), ..object("empty", 0) };
    note(stores, &bucket, empty.clone()).await;
    assert_eq!(get(stores, &bucket, "empty", None).await, Some(empty));
    let listed = stores.objects.list(&bucket, &Listing { limit: 9, ..Listing::default() }).await.unwrap();
    assert_eq!(listed.objects[1], Object { pieces: Vec::new(), ..said }, "several pieces are left out");
}

pub async fn a_second_write_says_what_it_took_the_place_of(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, object("k", 1)).await;
    assert_eq!(note(stores, &bucket, object("k", 2)).await.freed, ["objects/k-1"]);
    assert_eq!(get(stores, &bucket, "k", None).await, Some(object("k", 2)));
    let pieces = [3, 4].map(|at| Piece { blob: format!("objects/{at}"), size: at, crc64: 0 }).to_vec();
    note(stores, &bucket, Object { pieces, ..object("k", 7) }).await;
    assert_eq!(note(stores, &bucket, object("k", 5)).await.freed, ["objects/3", "objects/4"]);
    assert_eq!(usage(stores, &bucket).await, Usage { objects: 1, bytes: 5, ..Usage::default() });
}

pub async fn in_a_bucket_that_is_not_there_nothing_is_written(stores: &Stores) {
    let bucket = bucket("none");
    let refused = write(stores, &bucket, object("k", 1), Terms::default()).await;
    assert!(matches!(refused, Err(IndexError::NoBucket)), "{refused:?}");
    assert_eq!(get(stores, &bucket, "k", None).await, None);
    assert_eq!(stores.objects.list(&bucket, &Listing::default()).await.unwrap().objects, []);
    assert_eq!(usage(stores, &bucket).await, Usage::default());
    assert_eq!(stores.catalog.head().await.unwrap(), 0);
}

pub async fn a_deleted_object_is_told_once(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, object("k", 1)).await;
    let gone = remove(stores, &bucket, "k", NULL_VERSION).await;
    assert_eq!((gone.object, gone.changes.len()), (Some(object("k", 1)), 1));
    assert_eq!(gone.freed, ["objects/k-1"]);
    assert_eq!(remove(stores, &bucket, "k", NULL_VERSION).await, Placed::default());
    assert_eq!(stores.catalog.head().await.unwrap(), 3);
    assert_eq!(get(stores, &bucket, "k", None).await, None);
}

pub async fn conditions_are_looked_at_with_the_write(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let etag = |etag: &str| Condition::Etag(vec!["other".into(), etag.into()]);
    let terms = |condition| Terms { condition, ..Terms::default() };
    for condition in [Condition::Present, etag("etag-1")] {
        let refused = write(stores, &bucket, object("k", 2), terms(condition)).await;
        assert!(matches!(refused, Err(IndexError::Precondition)), "{refused:?}");
    }
    write(stores, &bucket, object("k", 1), terms(Condition::Absent)).await.unwrap();
    for condition in [Condition::Absent, etag("etag-2")] {
        let refused = write(stores, &bucket, object("k", 2), terms(condition.clone())).await;
        assert!(matches!(refused, Err(IndexError::Precondition)), "{refused:?}");
        let deletion = (Deletion::Version(NULL_VERSION.into()), condition);
        let refused = stores.objects.delete(&bucket, "k", deletion, told(&bucket, "object_deleted")).await;
        assert!(matches!(refused, Err(IndexError::Precondition)), "{refused:?}");
    }
    assert_eq!(stores.catalog.head().await.unwrap(), 2, "what is refused is not told");
    write(stores, &bucket, object("k", 2), terms(etag("etag-1"))).await.unwrap();
    write(stores, &bucket, object("k", 3), terms(Condition::Present)).await.unwrap();
    hide(stores, &bucket, marker("k", "m")).await;
    write(stores, &bucket, object("k", 4), terms(Condition::Absent)).await.unwrap();
}

pub async fn quotas_are_kept_and_nothing_is_written_beyond_them(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let quota = |bytes, objects| Terms { quota: Quota { bytes, objects }, ..Terms::default() };
    write(stores, &bucket, object("a", 5), quota(Some(5), Some(1))).await.unwrap();
    let refused = write(stores, &bucket, object("b", 1), quota(Some(5), None)).await;
    assert!(matches!(refused, Err(IndexError::QuotaBytes(5))), "{refused:?}");
    let refused = write(stores, &bucket, object("b", 0), quota(None, Some(1))).await;
    assert!(matches!(refused, Err(IndexError::QuotaObjects(1))), "{refused:?}");
    assert_eq!(get(stores, &bucket, "b", None).await, None);
    assert_eq!(usage(stores, &bucket).await, Usage { objects: 1, bytes: 5, ..Usage::default() });
    assert_eq!(stores.catalog.head().await.unwrap(), 2, "what is refused is not told");
    write(stores, &bucket, object("a", 4), quota(Some(5), Some(1))).await.unwrap();
    let refused = write(stores, &bucket, version("a", "v", 2), quota(Some(5), None)).await;
    assert!(matches!(refused, Err(IndexError::QuotaBytes(5))), "older versions count: {refused:?}");
    assert_eq!(get(stores, &bucket, "a", None).await, Some(object("a", 4)));
}

pub async fn what_a_bucket_holds_is_counted(stores: &Stores) {
    let bucket = made(stores, "b").await;
    assert_eq!(usage(stores, &bucket).await, Usage::default());
    for (key, size) in [("a", 5), ("b", 7), ("a", 2)] {
        note(stores, &bucket, object(key, size)).await;
    }
    assert_eq!(usage(stores, &bucket).await, Usage { objects: 2, bytes: 9, ..Usage::default() });
    remove(stores, &bucket, "b", NULL_VERSION).await;
    assert_eq!(usage(stores, &bucket).await, Usage { objects: 1, bytes: 2, ..Usage::default() });
}

pub async fn what_is_said_anew_leaves_the_rest(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, version("k", "1", 1)).await;
    note(stores, &bucket, version("k", "2", 2)).await;
    let tags = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let amend = |version: Option<&'static str>, amendment: Amendment| {
        let told = told(&bucket, "object_updated");
        stores.objects.amend(&bucket, ("k", version), amendment, told)
    };
    let tagged =
        amend(None, Amendment { tags: Some(tags.clone()), ..Amendment::default() }).await.unwrap().unwrap();
    let expected = Object { tags: tags.clone(), ..version("k", "2", 2) };
    assert_eq!((tagged.object.as_ref(), tagged.changes.len()), (Some(&expected), 1));
    assert_eq!(get(stores, &bucket, "k", None).await, Some(expected));
    let head = ObjectHead::of_type("image/png");
    amend(Some("1"), Amendment { head: Some(head.clone()), ..Amendment::default() }).await.unwrap().unwrap();
    let expected = Object { head, latest: false, ..version("k", "1", 1) };
    assert_eq!(get(stores, &bucket, "k", Some("1")).await, Some(expected));
    assert_eq!(amend(Some("none"), Amendment::default()).await.unwrap(), None);
    let stale = Condition::Etag(vec!["etag-2".into()]);
    let refused = amend(Some("1"), Amendment { condition: stale.clone(), ..Amendment::default() }).await;
    assert!(matches!(refused, Err(IndexError::Precondition)), "{refused:?}");
    amend(None, Amendment { condition: stale, ..Amendment::default() }).await.unwrap().unwrap();
    hide(stores, &bucket, marker("k", "3")).await;
    assert_eq!(amend(None, Amendment::default()).await.unwrap(), None);
}

pub async fn blobs_of_no_object_are_strays(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for size in [1, 2] {
        note(stores, &bucket, object("k", size)).await;
    }
    note(stores, &bucket, version("k", "v", 3)).await;
    let pieces = [8, 9].map(|at| Piece { blob: format!("objects/{at}"), size: at, crc64: 0 }).to_vec();
    note(stores, &bucket, Object { pieces, ..object("parts", 17) }).await;
    let blobs = ["never", "k-1", "k-2", "k-v-3", "8", "9", "10"].map(|name| format!("objects/{name}"));
    let strays = stores.objects.strays(blobs.to_vec()).await.unwrap();
    assert_eq!(strays, ["objects/10", "objects/k-1", "objects/never"]);
    assert!(stores.objects.strays(Vec::new()).await.unwrap().is_empty());
}

async fn end_when_empty(stores: &Stores, bucket: &DocumentId) -> Result<(), CatalogError> {
    let draft = Draft { write: Write::DeleteEmpty, ..delete(bucket, Expect::Any) };
    stores.catalog.commit(commit(vec![draft])).await.map(drop)
}

pub async fn a_bucket_that_goes_only_when_empty_stays_while_it_holds_anything(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, version("k", "v1", 1)).await;
    hide(stores, &bucket, marker("k", "v2")).await;
    for gone in ["v1", "v2"] {
        let refused = end_when_empty(stores, &bucket).await;
        assert!(matches!(&refused, Err(CatalogError::NotEmpty(id)) if *id == bucket), "{refused:?}");
        assert!(stores.catalog.get(&bucket).await.unwrap().is_some());
        remove(stores, &bucket, "k", gone).await;
    }
    end_when_empty(stores, &bucket).await.unwrap();
    assert!(stores.catalog.get(&bucket).await.unwrap().is_none());
}

pub async fn of_a_write_and_the_end_of_its_bucket_one_comes_first(stores: &Stores) {
    for round in 1..20 {
        let bucket = made(stores, &format!("b{round}")).await;
        let (written, ended) = tokio::join!(
            write(stores, &bucket, object("k", round), Terms::default()),
            end_when_empty(stores, &bucket)
        );
        let there = get(stores, &bucket, "k", None).await.is_some();
        match (written, ended) {
            (Ok(_), Err(CatalogError::NotEmpty(_))) => assert!(there),
            (Err(IndexError::NoBucket), Ok(())) => assert!(!there),
            both => unreachable!("one of them has to be refused: {both:?}"),
        }
    }
}

pub async fn objects_go_with_their_bucket_and_no_other(stores: &Stores) {
    let (gone, kept) = (made(stores, "gone").await, made(stores, "kept").await);
    note(stores, &gone, object("k", 1)).await;
    let pieces = [8, 9].map(|at| Piece { blob: format!("objects/{at}"), size: at, crc64: 0 }).to_vec();
    note(stores, &gone, Object { pieces, ..object("parts", 17) }).await;
    hide(stores, &gone, marker("k", "m")).await;
    note(stores, &kept, object("k", 2)).await;
    stores.catalog.commit(commit(vec![delete(&gone, Expect::Any)])).await.unwrap();
    assert_eq!(get(stores, &gone, "k", Some(NULL_VERSION)).await, None);
    assert_eq!(get(stores, &kept, "k", None).await, Some(object("k", 2)));
    assert_eq!(stores.objects.strays(vec!["objects/8".into()]).await.unwrap(), ["objects/8"]);
    made(stores, "gone").await;
    assert_eq!(usage(stores, &gone).await, Usage::default());
    assert_eq!(get(stores, &gone, "parts", None).await, None);
}

pub async fn of_many_writers_each_takes_the_place_of_another(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let mut writers = JoinSet::new();
    for size in 0..12 {
        let (objects, bucket) = (Arc::clone(&stores.objects), bucket.clone());
        writers.spawn(async move {
            let change = told(&bucket, "object_created");
            objects.put(&bucket, object("k", size), Terms::default(), change).await.unwrap().freed
        });
    }
    let mut freed: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    freed.push(get(stores, &bucket, "k", None).await.unwrap().pieces[0].blob.clone());
    freed.sort();
    freed.dedup();
    assert_eq!(freed.len(), 12, "each blob is freed once, but for the last one");
}

pub async fn of_many_writers_of_what_is_not_there_one_wins(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let mut writers = JoinSet::new();
    for size in 0..12 {
        let (objects, bucket) = (Arc::clone(&stores.objects), bucket.clone());
        writers.spawn(async move {
            let change = told(&bucket, "object_created");
            let terms = Terms { condition: Condition::Absent, ..Terms::default() };
            objects.put(&bucket, object("k", size), terms, change).await.is_ok()
        });
    }
    let won = writers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!((won, usage(stores, &bucket).await.objects), (1, 1));
}
