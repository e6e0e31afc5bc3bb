//! Many at once.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

use std::sync::Arc;

use flagbase_core::catalog::{CatalogError, Expect, Revision};
use tokio::task::JoinSet;

use super::{body, commit, conflict, create, delete, flag, put, revisions};
use crate::Stores;

const WRITERS: u64 = 16;
const EACH: u64 = 12;

/// Starts writers that make flags of their own, some of which also meet conflicts.
fn writers(stores: &Stores) -> JoinSet<Vec<Revision>> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let catalog = Arc::clone(&stores.catalog);
        writers.spawn(async move {
            let mut written = Vec::new();
            for number in 0..EACH {
                let id = flag(&format!("{writer}-{number}"));
                written.push(create(&catalog, &id, body(number)).await);
                let twice = commit(vec![
                    delete(&flag("nothing"), Expect::Any),
                    put(&id, Expect::Absent, body(number)),
                ]);
                conflict(catalog.commit(twice).await);
            }
            written
        });
    }
    writers
}

pub async fn sixteen_writers_leave_no_gap(stores: &Stores) {
    let mut written = writers(stores).join_all().await.concat();
    written.sort_unstable();
    let all: Vec<Revision> = (1..=WRITERS * EACH).collect();
    assert_eq!(written, all);
    assert_eq!(revisions(&stores.catalog.changes(0, 10_000).await.unwrap()), all);
    assert_eq!(stores.catalog.head().await.unwrap(), WRITERS * EACH);
}

pub async fn a_racing_follower_sees_every_revision_in_order(stores: &Stores) {
    let mut writers = writers(stores);
    let mut seen: Vec<Revision> = Vec::new();
    let mut running = true;
    while running || (seen.len() as u64) < WRITERS * EACH {
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
        running = !writers.is_empty();
        let last = seen.last().copied().unwrap_or(0);
        let head = stores.catalog.head().await.unwrap();
        let batch = revisions(&stores.catalog.changes(last, 50).await.unwrap());
        assert!(batch.last().copied().unwrap_or(last) >= head.min(last + 50), "the head is visible");
        seen.extend(batch);
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, (1..=WRITERS * EACH).collect::<Vec<_>>());
}

/// Runs the same commit sixteen times at once; how many succeeded.
async fn winners(stores: &Stores, expect: Expect) -> usize {
    let mut racers = JoinSet::new();
    for racer in 0..WRITERS {
        let catalog = Arc::clone(&stores.catalog);
        racers.spawn(async move {
            match catalog.commit(commit(vec![put(&flag("a"), expect, body(racer))])).await {
                Ok(_) => true,
                Err(CatalogError::Conflict { .. }) => false,
                Err(error) => unreachable!("{error}"),
            }
        });
    }
    racers.join_all().await.into_iter().filter(|won| *won).count()
}

pub async fn exactly_one_of_many_editors_wins(stores: &Stores) {
    let mut revision = create(&stores.catalog, &flag("a"), body(0)).await;
    for _ in 0..4 {
        assert_eq!(winners(stores, Expect::At(revision)).await, 1);
        revision += 1;
        assert_eq!(stores.catalog.head().await.unwrap(), revision);
    }
}

pub async fn exactly_one_of_many_creators_wins(stores: &Stores) {
    assert_eq!(winners(stores, Expect::Absent).await, 1);
    assert_eq!(stores.catalog.head().await.unwrap(), 1);
}
