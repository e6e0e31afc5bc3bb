//! What every `KeyValue` does.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::{
    catalog::{DocumentId, Expect, Kind},
    keyvalue::{KeyValueError, MOST_KEY, MOST_VALUE, StoreId},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Stores,
    catalog::{commit, delete, put},
};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! keyvalue_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            keyvalue,
            [
                what_was_set_is_read_and_what_was_deleted_is_not,
                stores_and_environments_are_apart,
                any_text_is_a_key_and_any_bytes_are_a_value,
                keys_and_values_have_limits,
                keys_come_in_the_order_of_their_bytes_by_prefix_and_in_pages,
                a_number_is_added_to_and_nothing_else_is,
                only_one_who_knows_the_value_swaps_it,
                nothing_is_lost_when_many_add_at_once,
                exactly_one_of_many_swaps_succeeds,
                what_is_used_is_counted_to_the_byte,
                what_an_environment_kept_goes_with_it,
            ]
        );
    };
}

fn store() -> StoreId {
    StoreId::new("default", "default")
}

async fn set(stores: &Stores, store: &StoreId, key: &str, value: &str) {
    stores.keyvalue.set(store, key, Bytes::copy_from_slice(value.as_bytes())).await.unwrap();
}

async fn get(stores: &Stores, store: &StoreId, key: &str) -> Option<String> {
    let value = stores.keyvalue.get(store, key).await.unwrap()?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

pub async fn what_was_set_is_read_and_what_was_deleted_is_not(stores: &Stores) {
    assert_eq!(get(stores, &store(), "a").await, None);
    for value in ["one", "", "a longer one"] {
        set(stores, &store(), "a", value).await;
        assert_eq!(get(stores, &store(), "a").await.as_deref(), Some(value));
    }
    assert!(stores.keyvalue.delete(&store(), "a").await.unwrap());
    assert!(!stores.keyvalue.delete(&store(), "a").await.unwrap());
    assert_eq!(get(stores, &store(), "a").await, None);
}

pub async fn stores_and_environments_are_apart(stores: &Stores) {
    let all = [("default", "a"), ("default", "b"), ("staging", "a")];
    let all = all.map(|(environment, store)| StoreId::new(environment, store));
    for store in &all {
        set(stores, store, "k", &store.to_string()).await;
    }
    assert!(stores.keyvalue.delete(&all[0], "k").await.unwrap());
    assert_eq!(get(stores, &all[0], "k").await, None);
    for store in &all[1..] {
        assert_eq!(get(stores, store, "k").await, Some(store.to_string()));
        assert_eq!(stores.keyvalue.keys(store, "", "", 9).await.unwrap(), ["k"]);
    }
}

pub async fn any_text_is_a_key_and_any_bytes_are_a_value(stores: &Stores) {
    let value = Bytes::from_static(b"\0\xff'; DROP TABLE keyvalue; --");
    for key in [" ", "a'b", "größe", "a/b\nc", "\u{10ffff}", "%", "_", "\0"] {
        stores.keyvalue.set(&store(), key, value.clone()).await.unwrap();
        assert_eq!(stores.keyvalue.get(&store(), key).await.unwrap(), Some(value.clone()), "{key:?}");
        assert_eq!(stores.keyvalue.keys(&store(), key, "", 9).await.unwrap(), [key]);
        assert!(stores.keyvalue.delete(&store(), key).await.unwrap());
    }
}

pub async fn keys_and_values_have_limits(stores: &Stores) {
    let keyvalue = &stores.keyvalue;
    let (long, large) = ("k".repeat(MOST_KEY), Bytes::from(vec![7; MOST_VALUE]));
    keyvalue.set(&store(), &long, large.clone()).await.unwrap();
    assert_eq!(keyvalue.get(&store(), &long).await.unwrap(), Some(large));
    let (longer, larger) = ("k".repeat(MOST_KEY + 1), Bytes::from(vec![7; MOST_VALUE + 1]));
    let refused = |error| matches!(error, Some(KeyValueError::TooLarge(_)));
    for key in [longer.as_str(), ""] {
        assert!(refused(keyvalue.set(&store(), key, Bytes::new()).await.err()));
        assert!(refused(keyvalue.get(&store(), key).await.err()));
        assert!(refused(keyvalue.delete(&store(), key).await.err()));
        assert!(refused(keyvalue.increment(&store(), key, 1).await.err()));
        assert!(refused(keyvalue.swap(&store(), key, None, Bytes::new()).await.err()));
    }
    assert!(refused(keyvalue.set(&store(), "k", larger.clone()).await.err()));
    assert!(refused(keyvalue.swap(&store(), "k", None, larger).await.err()));
    assert_eq!(keyvalue.keys(&store(), "", "", 9).await.unwrap(), [long]);
}

pub async fn keys_come_in_the_order_of_their_bytes_by_prefix_and_in_pages(stores: &Stores) {
    for key in ["b", "a/2", "a/10", "a", "B", "ä", "a0", "a/2/x"] {
        set(stores, &store(), key, "v").await;
    }
    let keys = |prefix: &'static str, after: &'static str, limit| async move {
        stores.keyvalue.keys(&store(), prefix, after, limit).await.unwrap().join(" ")
    };
    assert_eq!(keys("", "", 99).await, "B a a/10 a/2 a/2/x a0 b ä");
    assert_eq!(keys("a/", "", 99).await, "a/10 a/2 a/2/x");
    assert_eq!(keys("a/", "a/10", 1).await, "a/2");
    assert_eq!(keys("a/", "zzz", 9).await, "");
    assert_eq!(keys("", "a/2", 2).await, "a/2/x a0");
    assert_eq!(keys("", "", 0).await, "");
}

pub async fn a_number_is_added_to_and_nothing_else_is(stores: &Stores) {
    let add = |key: &'static str, delta| async move { stores.keyvalue.increment(&store(), key, delta).await };
    assert_eq!(add("n", 5).await.unwrap(), 5);
    assert_eq!(add("n", -7).await.unwrap(), -2);
    assert_eq!(get(stores, &store(), "n").await.as_deref(), Some("-2"));
    set(stores, &store(), "n", "40").await;
    assert_eq!(add("n", 2).await.unwrap(), 42);
    set(stores, &store(), "text", "forty").await;
    assert!(matches!(add("text", 1).await, Err(KeyValueError::NoNumber(key)) if key == "text"));
    assert_eq!(get(stores, &store(), "text").await.as_deref(), Some("forty"));
    set(stores, &store(), "n", &i64::MAX.to_string()).await;
    assert!(matches!(add("n", 1).await, Err(KeyValueError::NoNumber(_))), "no number is larger");
    assert_eq!(add("n", i64::MIN).await.unwrap(), -1);
}

pub async fn only_one_who_knows_the_value_swaps_it(stores: &Stores) {
    let swap = |old: Option<&'static str>, new: &'static str| async move {
        let [old, new] = [old, Some(new)].map(|text| text.map(|text| Bytes::from_static(text.as_bytes())));
        stores.keyvalue.swap(&store(), "k", old, new.unwrap()).await.unwrap()
    };
    assert!(!swap(Some(""), "a").await, "nothing is not the same as an empty value");
    assert!(swap(None, "a").await);
    assert!(!swap(None, "b").await);
    assert!(!swap(Some("x"), "b").await);
    assert!(swap(Some("a"), "b").await);
    assert_eq!(get(stores, &store(), "k").await.as_deref(), Some("b"));
}

pub async fn nothing_is_lost_when_many_add_at_once(stores: &Stores) {
    let mut adders = JoinSet::new();
    for _ in 0..16 {
        let keyvalue = Arc::clone(&stores.keyvalue);
        adders.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..10 {
                seen.push(keyvalue.increment(&store(), "n", 1).await.unwrap());
            }
            seen
        });
    }
    let mut seen: Vec<_> = adders.join_all().await.into_iter().flatten().collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=160).collect::<Vec<_>>(), "everybody sees another sum");
}

pub async fn exactly_one_of_many_swaps_succeeds(stores: &Stores) {
    for old in [None, Some(Bytes::from_static(b"won"))] {
        let mut swappers = JoinSet::new();
        for _ in 0..16 {
            let (keyvalue, old) = (Arc::clone(&stores.keyvalue), old.clone());
            let new = if old.is_none() { Bytes::from_static(b"won") } else { Bytes::from_static(b"again") };
            swappers.spawn(async move { keyvalue.swap(&store(), "k", old, new).await.unwrap() });
        }
        assert_eq!(swappers.join_all().await.into_iter().filter(|won| *won).count(), 1);
    }
}

pub async fn what_is_used_is_counted_to_the_byte(stores: &Stores) {
    let used = || async { stores.keyvalue.used(&store()).await.unwrap() };
    assert_eq!(used().await, 0);
    set(stores, &store(), "key", "12345").await;
    assert_eq!(used().await, 8);
    set(stores, &store(), "key", "1").await;
    assert_eq!(used().await, 4);
    stores.keyvalue.increment(&store(), "n", 100).await.unwrap();
    assert_eq!(used().await, 8);
    stores.keyvalue.swap(&store(), "key", Some(Bytes::from_static(b"1")), Bytes::new()).await.unwrap();
    stores.keyvalue.swap(&store(), "key", None, Bytes::from_static(b"not taken")).await.unwrap();
    assert_eq!(used().await, 7);
    for key in ["key", "n", "n"] {
        stores.keyvalue.delete(&store(), key).await.unwrap();
    }
    assert_eq!(used().await, 0);
}

pub async fn what_an_environment_kept_goes_with_it(stores: &Stores) {
    let environment = DocumentId::new(Kind::Environment, "", "staging");
    let create = put(&environment, Expect::Absent, json!({ "key": "staging" }));
    stores.catalog.commit(commit(vec![create])).await.unwrap();
    let staging = StoreId::new("staging", "default");
    set(stores, &staging, "k", "v").await;
    set(stores, &store(), "k", "v").await;
    stores.catalog.commit(commit(vec![delete(&environment, Expect::Any)])).await.unwrap();
    assert_eq!(get(stores, &staging, "k").await, None);
    assert_eq!(stores.keyvalue.used(&staging).await.unwrap(), 0);
    assert_eq!(get(stores, &store(), "k").await.as_deref(), Some("v"));
}
