//! Reading the change log.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use flagbase_core::catalog::Expect;

use super::{body, commit, create, delete, flag, put, revisions};
use crate::Stores;

pub async fn changes_are_read_in_batches(stores: &Stores) {
    let catalog = &stores.catalog;
    for number in 1..=7 {
        create(catalog, &flag(&format!("f{number}")), body(number)).await;
    }
    let mut seen = Vec::new();
    loop {
        let after = seen.last().copied().unwrap_or(0);
        let batch = catalog.changes(after, 3).await.unwrap();
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() <= 3);
        seen.extend(revisions(&batch));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    assert!(catalog.changes(100, 3).await.unwrap().is_empty());
}

pub async fn history_is_newest_first_and_goes_on_after_deletion(stores: &Stores) {
    let catalog = &stores.catalog;
    create(catalog, &flag("a"), body(1)).await;
    create(catalog, &flag("b"), body(2)).await;
    catalog.commit(commit(vec![put(&flag("a"), Expect::At(1), body(3))])).await.unwrap();
    catalog.commit(commit(vec![delete(&flag("a"), Expect::At(3))])).await.unwrap();
    create(catalog, &flag("a"), body(4)).await;

    let history = |before, limit| {
        let id = flag("a");
        async move { revisions(&catalog.history(&id, before, limit).await.unwrap()) }
    };
    assert_eq!(history(None, 10).await, [5, 4, 3, 1]);
    assert_eq!(history(None, 2).await, [5, 4]);
    assert_eq!(history(Some(4), 2).await, [3, 1]);
    assert_eq!(history(Some(1), 2).await, [0_u64; 0]);
    assert!(catalog.history(&flag("never"), None, 10).await.unwrap().is_empty());
}
