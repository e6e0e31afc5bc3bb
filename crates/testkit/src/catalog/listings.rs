//! Reading many.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use std::collections::BTreeMap;

use flagbase_core::catalog::{DocumentId, Expect, Kind, Page};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{body, commit, create, first, flag, keys, put};
use crate::Stores;

pub async fn kinds_and_environments_are_apart(stores: &Stores) {
    let catalog = &stores.catalog;
    let ids = [
        DocumentId::new(Kind::Flag, "default", "a"),
        DocumentId::new(Kind::Flag, "production", "a"),
        DocumentId::new(Kind::Segment, "default", "a"),
        DocumentId::new(Kind::Role, "", "a"),
    ];
    for (number, id) in (1..).zip(&ids) {
        create(catalog, id, body(number)).await;
    }
    for (number, id) in (1..).zip(&ids) {
        assert_eq!(catalog.get(id).await.unwrap().unwrap().body, body(number));
        let listed = catalog.list(id.kind, &id.environment, first(10)).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed.first().map(|document| &document.id), Some(id));
    }
    assert!(catalog.list(Kind::Guard, "default", first(10)).await.unwrap().is_empty());
}

pub async fn listings_come_in_key_order_page_by_page(stores: &Stores) {
    let catalog = &stores.catalog;
    for key in ["e", "b", "d", "B", "a", "c", "é"] {
        create(catalog, &flag(key), body(1)).await;
    }
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = Page { after: after.clone(), search: None, limit: 3 };
        let documents = catalog.list(Kind::Flag, "default", page).await.unwrap();
        let Some(last) = documents.last() else { break };
        after = Some(last.id.key.to_string());
        pages.push(keys(&documents).join(" "));
    }
    assert_eq!(pages, ["B a b", "c d e", "é"]);
    assert!(catalog.list(Kind::Flag, "default", first(0)).await.unwrap().is_empty());
}

async fn search(stores: &Stores, term: &str) -> String {
    let page = Page { after: None, search: Some(term.to_owned()), limit: 10 };
    keys(&stores.catalog.list(Kind::Flag, "default", page).await.unwrap()).join(" ")
}

pub async fn a_search_ignores_case_and_looks_at_key_and_name(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("dark-mode"), json!({ "name": "Night colours" })).await;
    create(catalog, &flag("Checkout-V2"), json!({ "name": "Über dark patterns" })).await;
    create(catalog, &flag("nameless"), json!({ "title": "dark" })).await;

    assert_eq!(search(stores, "DARK").await, "Checkout-V2 dark-mode");
    assert_eq!(search(stores, "checkout").await, "Checkout-V2");
    assert_eq!(search(stores, "ÜBER").await, "Checkout-V2");
    assert_eq!(search(stores, "").await, "Checkout-V2 dark-mode nameless");
    assert_eq!(search(stores, "nothing like it").await, "");

    let renamed = commit(vec![put(&flag("nameless"), Expect::At(3), json!({ "name": "Night" }))]);
    catalog.commit(renamed).await.unwrap();
    assert_eq!(search(stores, "night").await, "dark-mode nameless");
}

pub async fn a_search_takes_wildcards_by_the_letter(stores: &Stores) {
    create(&stores.catalog, &flag("plain"), json!({ "name": "Plain" })).await;
    create(&stores.catalog, &flag("half"), json!({ "name": "50 % of all_users * ?" })).await;
    for term in ["%", "_", "*", "?", "50 %"] {
        assert_eq!(search(stores, term).await, "half", "{term}");
    }
    assert_eq!(search(stores, "'; DROP TABLE documents; --").await, "");
}

pub async fn a_scan_hands_over_every_document_once(stores: &Stores) {
    let catalog = &stores.catalog;
    let mut expected = BTreeMap::new();
    for chunk in 0..3 {
        let ids: Vec<_> = (0..300).map(|n| flag(&format!("{chunk}-{n}"))).collect();
        let drafts = (0..).zip(&ids).map(|(n, id)| put(id, Expect::Absent, body(n))).collect();
        catalog.commit(commit(drafts)).await.unwrap();
        expected.extend((0..).zip(ids).map(|(n, id)| (id, body(n))));
    }
    create(catalog, &DocumentId::new(Kind::Role, "", "viewer"), body(9)).await;
    expected.insert(DocumentId::new(Kind::Role, "", "viewer"), body(9));

    let mut seen = Vec::new();
    let head = catalog.scan(&mut |document| seen.push((document.id, document.body))).await.unwrap();

    assert_eq!(head, 901);
    assert_eq!(seen.len(), 901);
    assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

pub async fn a_scan_is_of_one_point_in_time(stores: &Stores) {
    let both = |expect, number| {
        commit(vec![put(&flag("a"), expect, body(number)), put(&flag("z"), expect, body(number))])
    };
    stores.catalog.commit(both(Expect::Absent, 0)).await.unwrap();
    let mut writer = JoinSet::new();
    let catalog = stores.catalog.clone();
    writer.spawn(async move {
        for number in 1..=50 {
            catalog.commit(both(Expect::Any, number)).await.unwrap();
        }
    });
    while writer.try_join_next().is_none() {
        let mut numbers = Vec::new();
        let mut each = |document: flagbase_core::catalog::Document| {
            numbers.push(document.body.get("number").and_then(Value::as_u64).unwrap());
        };
        let head = stores.catalog.scan(&mut each).await.unwrap();
        let number = head / 2 - 1;
        assert_eq!(numbers, [number, number], "at revision {head}");
    }
    assert_eq!(stores.catalog.head().await.unwrap(), 102);
}
