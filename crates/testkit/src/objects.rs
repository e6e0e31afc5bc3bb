//! What every `ObjectIndex` does.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use flagbase_core::{
    buckets::{Object, Usage},
    catalog::{Commit, DocumentId, Expect, Kind},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Stores,
    catalog::{commit, delete, notice, put},
};

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
                a_second_write_says_what_it_took_the_place_of,
                in_a_bucket_that_is_not_there_nothing_is_written,
                a_deleted_object_is_told_once,
                objects_come_in_the_order_of_their_keys_by_prefix_and_in_pages,
                what_a_bucket_holds_is_counted,
                blobs_of_no_object_are_strays,
                objects_go_with_their_bucket_and_no_other,
                of_many_writers_each_takes_the_place_of_another,
            ]
        );
    };
}

fn bucket(name: &str) -> DocumentId {
    DocumentId::new(Kind::Bucket, "default", name)
}

async fn made(stores: &Stores, name: &str) -> DocumentId {
    let bucket = bucket(name);
    let draft = put(&bucket, Expect::Absent, json!({ "name": name }));
    stores.catalog.commit(commit(vec![draft])).await.unwrap();
    bucket
}

fn object(key: &str, size: u64) -> Object {
    Object {
        key: key.into(),
        size,
        content_type: "text/plain".into(),
        etag: format!("etag-{size}"),
        modified: Timestamp::from_second(1_767_225_600).unwrap(),
        blob: format!("objects/{key}-{size}"),
    }
}

fn told(bucket: &DocumentId, verb: &'static str) -> Commit {
    commit(vec![notice(bucket, verb)])
}

async fn note(stores: &Stores, bucket: &DocumentId, object: Object) {
    let noted = stores.objects.put(bucket, object, told(bucket, "object_created")).await.unwrap();
    assert!(noted.is_some());
}

async fn keys(stores: &Stores, bucket: &DocumentId, (prefix, after): (&str, &str), limit: u32) -> String {
    let objects = stores.objects.list(bucket, prefix, after, limit).await.unwrap();
    objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>().join(" ")
}

pub async fn an_object_is_noted_with_its_change(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let change = told(&bucket, "object_created");
    let noted = stores.objects.put(&bucket, object("a/b c", 7), change).await.unwrap().unwrap();
    assert_eq!((noted.before, noted.changes.len()), (None, 1));
    let change = &noted.changes[0];
    assert_eq!((change.verb.as_str(), &change.before, &change.after), ("object_created", &None, &None));
    assert_eq!(stores.objects.get(&bucket, "a/b c").await.unwrap(), Some(object("a/b c", 7)));
    assert_eq!(stores.objects.get(&bucket, "a/b").await.unwrap(), None);
    assert_eq!(stores.catalog.changes(1, 9).await.unwrap(), noted.changes);
    assert!(stores.catalog.get(&bucket).await.unwrap().is_some(), "a notice leaves the document");
}

pub async fn a_second_write_says_what_it_took_the_place_of(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, object("k", 1)).await;
    let change = told(&bucket, "object_created");
    let noted = stores.objects.put(&bucket, object("k", 2), change).await.unwrap().unwrap();
    assert_eq!(noted.before, Some(object("k", 1)));
    assert_eq!(stores.objects.get(&bucket, "k").await.unwrap(), Some(object("k", 2)));
}

pub async fn in_a_bucket_that_is_not_there_nothing_is_written(stores: &Stores) {
    let bucket = bucket("none");
    let change = told(&bucket, "object_created");
    assert_eq!(stores.objects.put(&bucket, object("k", 1), change).await.unwrap(), None);
    assert_eq!(stores.objects.get(&bucket, "k").await.unwrap(), None);
    assert_eq!(stores.catalog.head().await.unwrap(), 0);
}

pub async fn a_deleted_object_is_told_once(stores: &Stores) {
    let bucket = made(stores, "b").await;
    note(stores, &bucket, object("k", 1)).await;
    let remove = || stores.objects.delete(&bucket, "k", told(&bucket, "object_deleted"));
    let gone = remove().await.unwrap();
    assert_eq!((gone.before, gone.changes.len()), (Some(object("k", 1)), 1));
    let again = remove().await.unwrap();
    assert_eq!((again.before, again.changes.len()), (None, 0));
    assert_eq!(stores.catalog.head().await.unwrap(), 3);
    assert_eq!(stores.objects.get(&bucket, "k").await.unwrap(), None);
}

pub async fn objects_come_in_the_order_of_their_keys_by_prefix_and_in_pages(stores: &Stores) {
    let (bucket, other) = (made(stores, "b").await, made(stores, "other").await);
    for key in ["b", "img/2", "img/10", "img", "ä", "img0"] {
        note(stores, &bucket, object(key, 1)).await;
    }
    note(stores, &other, object("img/elsewhere", 1)).await;
    assert_eq!(keys(stores, &bucket, ("", ""), 99).await, "b img img/10 img/2 img0 ä");
    assert_eq!(keys(stores, &bucket, ("img/", ""), 99).await, "img/10 img/2");
    assert_eq!(keys(stores, &bucket, ("img/", "img/10"), 99).await, "img/2");
    assert_eq!(keys(stores, &bucket, ("", "img"), 2).await, "img/10 img/2");
}

pub async fn what_a_bucket_holds_is_counted(stores: &Stores) {
    let bucket = made(stores, "b").await;
    assert_eq!(stores.objects.usage(&bucket).await.unwrap(), Usage::default());
    for (key, size) in [("a", 5), ("b", 7), ("a", 2)] {
        note(stores, &bucket, object(key, size)).await;
    }
    assert_eq!(stores.objects.usage(&bucket).await.unwrap(), Usage { objects: 2, bytes: 9 });
}

pub async fn blobs_of_no_object_are_strays(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for size in [1, 2] {
        note(stores, &bucket, object("k", size)).await;
    }
    let blobs = ["objects/never", "objects/k-1", "objects/k-2"].map(str::to_owned).to_vec();
    assert_eq!(stores.objects.strays(blobs).await.unwrap(), ["objects/k-1", "objects/never"]);
    assert!(stores.objects.strays(Vec::new()).await.unwrap().is_empty());
}

pub async fn objects_go_with_their_bucket_and_no_other(stores: &Stores) {
    let (gone, kept) = (made(stores, "gone").await, made(stores, "kept").await);
    note(stores, &gone, object("k", 1)).await;
    note(stores, &kept, object("k", 2)).await;
    stores.catalog.commit(commit(vec![delete(&gone, Expect::Any)])).await.unwrap();
    assert_eq!(keys(stores, &gone, ("", ""), 9).await, "");
    assert_eq!(keys(stores, &kept, ("", ""), 9).await, "k");
}

pub async fn of_many_writers_each_takes_the_place_of_another(stores: &Stores) {
    let bucket = made(stores, "b").await;
    let mut writers = JoinSet::new();
    for size in 0..12 {
        let (objects, bucket) = (Arc::clone(&stores.objects), bucket.clone());
        writers.spawn(async move {
            let change = told(&bucket, "object_created");
            let noted = objects.put(&bucket, object("k", size), change).await.unwrap().unwrap();
            noted.before.map(|before| before.blob)
        });
    }
    let mut freed: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    freed.push(stores.objects.get(&bucket, "k").await.unwrap().unwrap().blob);
    freed.sort();
    freed.dedup();
    assert_eq!(freed.len(), 12, "each blob is freed once, but for the last one");
}
