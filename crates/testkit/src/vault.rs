//! What every `Vault` does.

#![expect(missing_docs, reason = "the name of a case says what it is about")]
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use flagbase_core::{
    catalog::{Commit, DocumentId, Expect, Kind, Write},
    functions::vault::Sealed,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    Stores,
    catalog::{commit, delete, notice, put},
};

/// One test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! vault_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            vault,
            [
                a_secret_is_kept_with_its_change,
                a_secret_set_again_takes_the_place,
                secrets_of_functions_are_apart,
                a_deleted_secret_is_gone_and_one_that_is_not_there_logs_nothing,
                secrets_go_with_their_function_and_no_other,
            ]
        );
    };
}

fn function(environment: &str, name: &str) -> DocumentId {
    DocumentId::new(Kind::Function, environment, name)
}

fn sealed(name: &str, byte: u8) -> Sealed {
    let set_at = Timestamp::from_second(1_767_225_600 + i64::from(byte)).unwrap();
    Sealed { name: name.into(), key_id: "k1".into(), bytes: vec![byte; 40], set_at }
}

fn told(function: &DocumentId, verb: &'static str) -> Commit {
    commit(vec![notice(function, verb)])
}

async fn set(stores: &Stores, function: &DocumentId, secret: Sealed) {
    stores.vault.put(function, secret, told(function, "secret_set")).await.unwrap();
}

async fn names(stores: &Stores, function: &DocumentId) -> String {
    let all = stores.vault.sealed(function).await.unwrap();
    all.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>().join(" ")
}

pub async fn a_secret_is_kept_with_its_change(stores: &Stores) {
    let hello = function("default", "hello");
    let changes = stores.vault.put(&hello, sealed("TOKEN", 1), told(&hello, "secret_set")).await.unwrap();
    assert_eq!((changes.len(), changes[0].verb.as_str(), &changes[0].id), (1, "secret_set", &hello));
    assert_eq!(stores.vault.sealed(&hello).await.unwrap(), [sealed("TOKEN", 1)]);
    assert_eq!(stores.catalog.changes(0, 9).await.unwrap(), changes);
}

pub async fn a_secret_set_again_takes_the_place(stores: &Stores) {
    let hello = function("default", "hello");
    for (name, byte) in [("b", 1), ("a", 2), ("b", 3)] {
        set(stores, &hello, sealed(name, byte)).await;
    }
    assert_eq!(stores.vault.sealed(&hello).await.unwrap(), [sealed("a", 2), sealed("b", 3)]);
    assert_eq!(stores.catalog.head().await.unwrap(), 3);
}

pub async fn secrets_of_functions_are_apart(stores: &Stores) {
    let all = [function("default", "a"), function("default", "b"), function("staging", "a")];
    for (function, byte) in all.iter().zip(1..) {
        set(stores, function, sealed("TOKEN", byte)).await;
    }
    for (function, byte) in all.iter().zip(1..) {
        assert_eq!(stores.vault.sealed(function).await.unwrap(), [sealed("TOKEN", byte)]);
    }
}

pub async fn a_deleted_secret_is_gone_and_one_that_is_not_there_logs_nothing(stores: &Stores) {
    let hello = function("default", "hello");
    set(stores, &hello, sealed("a", 1)).await;
    set(stores, &hello, sealed("b", 2)).await;
    let remove = |name: &'static str| async move {
        let hello = function("default", "hello");
        stores.vault.delete(&hello, name, told(&hello, "secret_deleted")).await.unwrap()
    };
    assert_eq!(remove("a").await.unwrap()[0].verb, "secret_deleted");
    assert_eq!(remove("a").await, None);
    assert_eq!(names(stores, &hello).await, "b");
    assert_eq!(stores.catalog.head().await.unwrap(), 3, "two were set, one was removed");
}

pub async fn secrets_go_with_their_function_and_no_other(stores: &Stores) {
    let [gone, kept] = ["gone", "kept"].map(|name| function("default", name));
    let draft = |function, expect| put(function, expect, json!({ "name": "x" }));
    let both = vec![draft(&gone, Expect::Absent), draft(&kept, Expect::Absent)];
    stores.catalog.commit(commit(both)).await.unwrap();
    for function in [&gone, &kept] {
        set(stores, function, sealed("a", 1)).await;
    }
    stores.catalog.commit(commit(vec![draft(&gone, Expect::Any)])).await.unwrap();
    assert_eq!(names(stores, &gone).await, "a", "an update keeps them");
    let removal = delete(&gone, Expect::Any);
    assert!(matches!(removal.write, Write::Delete));
    stores.catalog.commit(commit(vec![removal])).await.unwrap();
    assert_eq!((names(stores, &gone).await.as_str(), names(stores, &kept).await.as_str()), ("", "a"));
}
