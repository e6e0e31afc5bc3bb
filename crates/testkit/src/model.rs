//! Random writes, done to a store and to [`Memory`] alike.

use std::collections::BTreeMap;

use flagbase_core::{
    catalog::{Catalog, CatalogError, Document, Draft, Expect, Kind, Page},
    ledger::{Ledger, RecordedEvent, Resolution, RollupQuery},
};
use jiff::SignedDuration;
use serde_json::json;

use crate::{
    Memory, SeededRandom, Stores,
    catalog::{NOW, commit_as, delete, flag, notice, put},
};

/// Runs [`agree`] with a few seeds.
#[doc(hidden)]
#[macro_export]
macro_rules! model_cases {
    ($fresh:path) => {
        mod model {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn random_writes_have_the_same_outcome_as_in_the_model() {
                for seed in 0..4 {
                    $crate::model::agree(&$fresh().await, seed).await;
                }
            }
        }
    };
}

/// Does a hundred random commits and recordings and compares every answer and the final state.
pub async fn agree(stores: &Stores, seed: u64) {
    let random = SeededRandom::new(seed);
    let model = Memory::new();
    for step in 0_u32..100 {
        let drafts: Vec<_> = (0..=random.below(3)).map(|_| draft(&random)).collect();
        let written = commit_as(drafts, u128::from(step) * 10);
        let expected = outcome(&model.commit(written.clone()).await);
        let answer = outcome(&stores.catalog.commit(written).await);
        assert_eq!(answer, expected, "seed {seed}, step {step}");

        let events: Vec<_> = (0..random.below(4)).map(|_| event(&random)).collect();
        let expected = model.record(events.clone()).await.unwrap();
        assert_eq!(stores.ledger.record(events).await.unwrap(), expected, "seed {seed}");
    }
    compare_catalogs(stores, &model).await;
    compare_ledgers(stores, &model).await;
}

fn outcome<T: std::fmt::Debug>(answer: &Result<T, CatalogError>) -> String {
    format!("{answer:?}")
}

fn draft(random: &SeededRandom) -> Draft {
    let id = flag(&format!("f{}", random.below(5)));
    let expect = match random.below(4) {
        0 => Expect::Absent,
        1 => Expect::At(random.below(60)),
        _ => Expect::Any,
    };
    match random.below(4) {
        0 => delete(&id, expect),
        1 => Draft { expect, ..notice(&id, "noticed") },
        _ => put(&id, expect, json!({ "name": format!("N{}", random.below(3)) })),
    }
}

fn event(random: &SeededRandom) -> RecordedEvent {
    let pick = |[one, other]: [&str; 2]| if random.below(2) == 0 { one } else { other }.into();
    RecordedEvent {
        environment: pick(["default", "staging"]),
        event_id: format!("e{}", random.below(80)),
        flag: pick(["a", "b"]),
        variant: pick(["on", "off"]),
        event_type: pick(["error", "conversion"]),
        // Halves add up to the same sum in any order.
        value: (random.below(3) > 0).then(|| f64::from(random.small(64)) / 2.0 - 8.0),
        unit: (random.below(2) > 0).then(|| format!("u{}", random.below(6))),
        at: NOW + SignedDuration::from_secs(random.small(7200).into()),
        received_at: NOW,
        recorded_by: "u1".into(),
    }
}

async fn compare_catalogs(stores: &Stores, model: &Memory) {
    async fn all(catalog: &dyn Catalog) -> (u64, BTreeMap<String, Document>) {
        let mut documents = BTreeMap::new();
        let mut each = |document: Document| {
            documents.insert(document.id.to_string(), document);
        };
        let head = catalog.scan(&mut each).await.unwrap();
        (head, documents)
    }
    let catalog = &*stores.catalog;
    assert_eq!(all(catalog).await, all(model).await);
    assert_eq!(catalog.changes(0, 1000).await.unwrap(), model.changes(0, 1000).await.unwrap());
    for search in ["n1", "F2", "x"] {
        let page = Page { after: Some("f0".into()), search: Some(search.into()), limit: 3 };
        let expected = model.list(Kind::Flag, "default", page.clone()).await.unwrap();
        assert_eq!(catalog.list(Kind::Flag, "default", page).await.unwrap(), expected);
    }
    let expected = model.history(&flag("f1"), Some(40), 5).await.unwrap();
    assert_eq!(catalog.history(&flag("f1"), Some(40), 5).await.unwrap(), expected);
}

async fn compare_ledgers(stores: &Stores, model: &Memory) {
    let ledger = &*stores.ledger;
    for resolution in Resolution::ALL {
        let query = RollupQuery {
            environment: "default".into(),
            flag: None,
            route: None,
            resolution,
            from: 0,
            until: i64::MAX,
        };
        let expected = model.rollups(query.clone()).await.unwrap();
        assert_eq!(ledger.rollups(query).await.unwrap(), expected);
    }
    let since = NOW + SignedDuration::from_secs(1800);
    let expected = model.count_events("default", "error", since, None).await.unwrap();
    assert_eq!(ledger.count_events("default", "error", since, None).await.unwrap(), expected);
    let expected = model.events("default", "a", 7).await.unwrap();
    assert_eq!(ledger.events("default", "a", 7).await.unwrap(), expected);
    assert_eq!(ledger.prune(since).await.unwrap(), model.prune(since).await.unwrap());
    let expected = model.events("default", "a", 1000).await.unwrap();
    assert_eq!(ledger.events("default", "a", 1000).await.unwrap(), expected);
}
