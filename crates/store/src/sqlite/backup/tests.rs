//! Copies beside running writers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use flagbase_core::ledger::Ledger as _;
use flagbase_testkit::FixedClock;
use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::{Sqlite, SqliteConfig};

fn open() -> (TempDir, Sqlite) {
    let directory = tempdir().unwrap();
    let config = SqliteConfig::new(directory.path().join("flagbase.db"));
    let store = Sqlite::open(&config, &FixedClock::default()).unwrap();
    (directory, store)
}

fn files(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_writers_is_of_one_point_in_time_and_complete() {
    let (directory, store) = open();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    let (writing, stopped) = (store.clone(), Arc::clone(&stop));
    writers.spawn(async move {
        let mut n = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            n += 1;
            let body = json!({ "n": n, "text": "x".repeat(200_000) });
            writing.note("counter", Some(body)).await.unwrap();
        }
        n
    });
    store.note("before", Some(json!("there"))).await.unwrap();

    let dest = directory.path().join("copy.db");
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    store.backup(dest.clone(), move |progress| sender.send(progress).unwrap()).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(writers.join_next().await.unwrap().unwrap() > 0);

    let mut last = None;
    while let Some(progress) = received.recv().await {
        last = Some(progress);
    }
    let last = last.unwrap();
    assert!(last.done == last.total && last.total > 0, "{last:?}");
    let copy = Sqlite::open(&SqliteConfig::new(&dest), &FixedClock::default()).unwrap();
    assert_eq!(copy.note("before", None).await.unwrap(), Some(json!("there")));
    copy.check().await.unwrap();
}

#[tokio::test]
async fn a_backup_is_one_file_that_only_its_owner_reads() {
    let (directory, store) = open();
    let dest = directory.path().join("copy.db");
    store.backup(dest.clone(), |_| {}).await.unwrap();
    let copies: Vec<_> = files(&directory).into_iter().filter(|name| name.starts_with("copy")).collect();
    assert_eq!(copies, ["copy.db"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for path in [&dest, store.path()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[tokio::test]
async fn a_backup_replaces_the_one_before() {
    let (directory, store) = open();
    let dest = directory.path().join("copy.db");
    fs::write(&dest, "an older one").unwrap();
    store.backup(dest.clone(), |_| {}).await.unwrap();
    assert!(Sqlite::open(&SqliteConfig::new(&dest), &FixedClock::default()).is_ok());
}

#[tokio::test]
async fn a_backup_never_overwrites_its_own_source() {
    let (_directory, store) = open();
    store.note("kept", Some(json!(1))).await.unwrap();
    let refused = store.backup(store.path().to_owned(), |_| {}).await.unwrap_err();
    assert!(matches!(refused, StoreError::Failed { action: "back up to", .. }), "{refused:?}");
    assert_eq!(store.note("kept", None).await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_behind() {
    let (directory, store) = open();
    store.note("kept", Some(json!(1))).await.unwrap();
    let before = files(&directory);
    let dest = directory.path().join("missing").join("copy.db");
    assert!(store.backup(dest, |_| {}).await.is_err());

    let foreign = directory.path().join("text.db");
    fs::write(&foreign, "not a database at all, whatever it says".repeat(99)).unwrap();
    let dest = directory.path().join("copy.db");
    assert!(matches!(backup(&foreign, &dest, &mut |_| {}), Err(StoreError::NotOurs { .. })));
    fs::remove_file(&foreign).unwrap();
    assert_eq!(files(&directory), before);
}
