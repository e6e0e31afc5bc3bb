//! What is in a database, beside what was acknowledged.

use std::{collections::BTreeSet, path::Path};

use flagbase_core::{
    accounts::Accounts as _,
    catalog::{Catalog as _, Change, Revision},
    ledger::{Ledger as _, Resolution, RollupQuery},
};
use flagbase_store::{Sqlite, SqliteConfig};
use flagbase_testkit::FixedClock;

/// A database, opened and read.
pub(super) struct Found {
    changes: Vec<Change>,
    events: BTreeSet<String>,
    pub(super) store: Sqlite,
}

pub(super) async fn read_back(path: &Path) -> Found {
    let store = Sqlite::open(&SqliteConfig::new(path), &FixedClock::default()).unwrap();
    let changes = store.changes(0, u32::MAX).await.unwrap();
    let events = store.events("default", "f", u32::MAX).await.unwrap();
    let events = events.into_iter().map(|event| event.event_id).collect();
    Found { changes, events, store }
}

impl Found {
    pub(super) async fn assert_holds(&self, acknowledged: &str) {
        let words: Vec<_> = acknowledged.split(' ').collect();
        match words[..] {
            ["flag", key, revision] => {
                let revision: Revision = revision.parse().unwrap();
                let place = usize::try_from(revision).unwrap() - 1;
                let change = &self.changes[place];
                assert_eq!((change.revision, &*change.id.key), (revision, key));
                let document = self.store.get(&change.id).await.unwrap().unwrap();
                assert!(document.revision >= revision, "{acknowledged}");
            }
            ["event", id] => assert!(self.events.contains(id), "{acknowledged}"),
            ["session", id] => {
                let (session, user) = self.store.session(id).await.unwrap().unwrap();
                assert_eq!((&*session.user_id, &*user.id), (id, id));
            }
            _ => unreachable!("`{acknowledged}` is cut short"),
        }
    }

    pub(super) async fn assert_consistent(&self) {
        let revisions: Vec<_> = self.changes.iter().map(|change| change.revision).collect();
        let head = self.store.head().await.unwrap();
        assert_eq!(revisions, (1..=head).collect::<Vec<_>>(), "no gap, nothing twice");
        let query = RollupQuery {
            environment: "default".into(),
            flag: None,
            route: None,
            resolution: Resolution::Hour,
            from: 0,
            until: i64::MAX,
        };
        let rolled_up = self.store.rollups(query).await.unwrap();
        let count: u64 = rolled_up.iter().map(|rollup| rollup.totals.count).sum();
        assert_eq!(count, self.events.len() as u64, "events and rollups go together");
        self.store.check().await.unwrap();
    }
}
