//! Putting backups back.

use flagbase_core::ledger::Ledger as _;
use flagbase_testkit::FixedClock;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use super::*;
use crate::Sqlite;

/// A database in which `state` was `old` when the backup was made and is `new` now.
async fn backed_up() -> (TempDir, SqliteConfig, PathBuf) {
    let directory = tempdir().unwrap();
    let config = SqliteConfig::new(directory.path().join("flagbase.db"));
    let saved = directory.path().join("saved.db");
    let store = open(&config);
    store.note("state", Some(json!("old"))).await.unwrap();
    store.backup(saved.clone(), |_| {}).await.unwrap();
    store.note("state", Some(json!("new"))).await.unwrap();
    store.close().await;
    (directory, config, saved)
}

fn open(config: &SqliteConfig) -> Sqlite {
    Sqlite::open(config, &FixedClock::default()).unwrap()
}

async fn state(config: &SqliteConfig) -> Option<Value> {
    open(config).note("state", None).await.unwrap()
}

fn put_back(source: &Path, config: &SqliteConfig) -> Result<Restored, StoreError> {
    restore(source, config, &FixedClock::default(), &mut |_| {})
}

#[tokio::test]
async fn a_restore_brings_the_backup_back_and_keeps_what_it_replaced() {
    let (_keep, config, saved) = backed_up().await;
    assert_eq!(state(&config).await, Some(json!("new")));

    let restored = put_back(&saved, &config).unwrap();

    let kept = config.backup_dir.join("flagbase-before-restore-20260101T000000Z.db");
    assert_eq!(restored.replaced.as_ref(), Some(&kept));
    assert_eq!(restored.schema as usize, MIGRATIONS.len());
    assert_eq!(state(&config).await, Some(json!("old")));
    let replaced = SqliteConfig { path: kept, ..config };
    assert_eq!(state(&replaced).await, Some(json!("new")));
}

#[tokio::test]
async fn a_restore_to_where_nothing_was_just_puts_it_there() {
    let (keep, config, saved) = backed_up().await;
    let elsewhere = SqliteConfig { path: keep.path().join("fresh.db"), ..config };
    assert_eq!(put_back(&saved, &elsewhere).unwrap().replaced, None);
    assert_eq!(state(&elsewhere).await, Some(json!("old")));
}

#[tokio::test]
async fn a_running_server_refuses_a_restore() {
    let (_keep, config, saved) = backed_up().await;
    let server = open(&config);
    let refused = put_back(&saved, &config).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains("stop that one first"), "{refused}");
    assert_eq!(server.note("state", None).await.unwrap(), Some(json!("new")));
    drop(server);
    put_back(&saved, &config).unwrap();
}

#[tokio::test]
async fn a_command_that_has_the_database_open_refuses_a_restore() {
    let (_keep, config, saved) = backed_up().await;
    let command = open(&config.clone().beside());
    assert_eq!(command.note("state", None).await.unwrap(), Some(json!("new")));
    let refused = put_back(&saved, &config).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused:?}");
    assert_eq!(command.note("state", Some(json!("newer"))).await.unwrap(), Some(json!("newer")));
}

#[tokio::test]
async fn a_log_left_by_a_crash_is_not_replayed_into_the_restored_database() {
    let (keep, config, saved) = backed_up().await;
    // As a killed process leaves it: the last write is in the log only.
    let crashed = keep.path().join("crashed.db");
    let store = open(&config);
    store.note("state", Some(json!("in the log"))).await.unwrap();
    fs::copy(&config.path, &crashed).unwrap();
    fs::copy(beside(&config.path, "-wal"), beside(&crashed, "-wal")).unwrap();
    store.close().await;
    let config = SqliteConfig { path: crashed, ..config };

    let restored = put_back(&saved, &config).unwrap();

    assert_eq!(state(&config).await, Some(json!("old")));
    let replaced = SqliteConfig { path: restored.replaced.unwrap(), ..config };
    assert_eq!(state(&replaced).await, Some(json!("in the log")), "it is kept with its log");
}

#[tokio::test]
async fn a_damaged_database_can_be_replaced() {
    let (_keep, config, saved) = backed_up().await;
    fs::write(&config.path, "what a dying disk left of it".repeat(999)).unwrap();
    let restored = put_back(&saved, &config).unwrap();
    assert_eq!(state(&config).await, Some(json!("old")));
    let kept = fs::read_to_string(restored.replaced.unwrap()).unwrap();
    assert!(kept.starts_with("what a dying disk"));
}

#[tokio::test]
async fn bad_backups_are_refused_and_change_nothing() {
    let (keep, config, saved) = backed_up().await;
    let text = keep.path().join("text.db");
    fs::write(&text, "no database".repeat(999)).unwrap();
    let newer = keep.path().join("newer.db");
    fs::copy(&saved, &newer).unwrap();
    let connection = connect::plain(&newer).unwrap();
    connection.execute("UPDATE meta SET schema_version = 99", []).unwrap();
    drop(connection);
    let damaged = keep.path().join("damaged.db");
    let mut bytes = fs::read(&saved).unwrap();
    let tail = bytes.len() / 2;
    bytes[tail..].fill(0xA5);
    fs::write(&damaged, bytes).unwrap();
    let missing = keep.path().join("missing.db");

    let refused = |source: &Path| put_back(source, &config).unwrap_err();
    assert!(matches!(refused(&text), StoreError::NotOurs { .. }));
    assert!(matches!(refused(&newer), StoreError::Newer { found: 99, .. }));
    let damage = refused(&damaged);
    assert!(matches!(damage, StoreError::Damaged { .. } | StoreError::Failed { .. }), "{damage:?}");
    assert!(matches!(refused(&missing), StoreError::Failed { action: "open", .. }));
    assert!(!missing.exists());
    assert_eq!(state(&config).await, Some(json!("new")));
    assert!(!config.backup_dir.exists());
}
