//! The contract, on a file.

use flagbase_core::{
    catalog::{Catalog as _, CatalogError, DocumentId, Kind},
    ledger::{Ledger as _, LedgerError},
};
use flagbase_testkit::{FixedClock, Stores, store_contract};
use serde_json::{Value, json};
use tempfile::tempdir;

use super::*;

async fn fresh() -> Stores {
    let directory = tempdir().unwrap();
    let config = SqliteConfig::new(directory.path().join("flagbase.db"));
    let store = Sqlite::open(&config, &FixedClock::default()).unwrap();
    std::future::ready(Stores::of(store, directory)).await
}

store_contract!(super::fresh);

fn open(directory: &tempfile::TempDir) -> Sqlite {
    let config = SqliteConfig::new(directory.path().join("deep").join("flagbase.db"));
    Sqlite::open(&config, &FixedClock::default()).unwrap()
}

async fn write(store: &Sqlite, name: &str) -> Result<Option<Value>, LedgerError> {
    store.note(name, Some(json!(name))).await
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let directory = tempdir().unwrap();
    let store = open(&directory);
    write(&store, "a").await.unwrap();
    let clone = store.clone();
    drop(store);
    write(&clone, "b").await.unwrap();
    drop(clone);
    let store = open(&directory);
    assert_eq!(store.note("a", None).await.unwrap(), Some(json!("a")));
    assert_eq!(store.note("b", None).await.unwrap(), Some(json!("b")));
}

#[tokio::test]
async fn one_server_uses_a_database_and_commands_run_beside_it() {
    let directory = tempdir().unwrap();
    let server = open(&directory);
    let config = SqliteConfig::new(server.path());
    let second = Sqlite::open(&config, &FixedClock::default()).unwrap_err();
    assert!(matches!(second, StoreError::InUse { .. }), "{second:?}");

    let command = Sqlite::open(&config.beside(), &FixedClock::default()).unwrap();
    write(&command, "from the command").await.unwrap();
    let seen = server.note("from the command", None).await.unwrap();
    assert_eq!(seen, Some(json!("from the command")));
    write(&server, "from the server").await.unwrap();
}

#[tokio::test]
async fn a_closed_store_refuses_reads_and_writes() {
    let directory = tempdir().unwrap();
    let store = open(&directory);
    store.close().await;
    assert!(matches!(write(&store, "a").await, Err(LedgerError::Unavailable(_))));
    assert!(matches!(store.note("a", None).await, Err(LedgerError::Unavailable(_))));
    store.close().await;
}

#[tokio::test]
async fn readers_cannot_write_and_survive_a_panic() {
    let directory = tempdir().unwrap();
    let store = open(&directory);
    let readers = &store.inner.readers;
    let written = readers.read(|connection| Ok(connection.execute("DELETE FROM meta", [])?)).await;
    assert!(written.is_err());
    for _ in 0..8 {
        let panicked = readers
            .read(|connection| if connection.is_autocommit() { panic!("on purpose") } else { Ok(()) })
            .await;
        assert_eq!(panicked, Err(fault::Fault::Abandoned));
    }
    assert_eq!(store.head().await.unwrap(), 0);
}

#[tokio::test]
async fn commits_are_synced_and_kept_in_a_log() {
    let directory = tempdir().unwrap();
    let store = open(&directory);
    let pragma = |name: &'static str| {
        let writer = &store.inner.writer;
        async move {
            let work = move |connection: &rusqlite::Connection| {
                let value = connection
                    .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?;
                Ok::<_, writer::Stop<LedgerError>>(format!("{value:?}"))
            };
            writer.write(work).await.unwrap()
        }
    };
    assert_eq!(pragma("journal_mode").await, "Text(\"wal\")");
    assert_eq!(pragma("synchronous").await, "Integer(2)");
    assert_eq!(pragma("foreign_keys").await, "Integer(1)");
}

#[tokio::test]
async fn a_scan_that_nobody_receives_ends_and_gives_its_connection_back() {
    let directory = tempdir().unwrap();
    let config = SqliteConfig { readers: 1, ..SqliteConfig::new(directory.path().join("flagbase.db")) };
    let store = Sqlite::open(&config, &FixedClock::default()).unwrap();
    let work = |connection: &rusqlite::Connection| {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
             INSERT INTO documents SELECT 'flag', 'default', i, i, '{}', i, 0, 0 FROM n";
        connection.execute(sql, [])?;
        Ok::<_, writer::Stop<LedgerError>>(())
    };
    store.inner.writer.write(work).await.unwrap();
    {
        let mut each = |_| {};
        let mut scan = std::pin::pin!(store.scan(&mut each));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(scan.as_mut().poll(&mut context).is_pending());
    }
    let mut count = 0;
    store.scan(&mut |_| count += 1).await.unwrap();
    assert_eq!(count, 5000);
}

#[tokio::test]
async fn what_is_stored_wrongly_is_reported_as_corrupt() {
    let directory = tempdir().unwrap();
    let store = open(&directory);
    let work = |connection: &rusqlite::Connection| {
        let sql = "INSERT INTO documents VALUES ('flag', 'default', 'bad', 1, '{', 'bad', 0, 0), \
             ('gadget', 'default', 'odd', 2, '{}', 'odd', 0, 0)";
        connection.execute(sql, [])?;
        Ok::<_, writer::Stop<LedgerError>>(())
    };
    store.inner.writer.write(work).await.unwrap();
    let id = DocumentId::new(Kind::Flag, "default", "bad");
    assert!(matches!(store.get(&id).await, Err(CatalogError::Corrupt(_))));
    assert!(matches!(store.scan(&mut |_| {}).await, Err(CatalogError::Corrupt(_))));
    let good = DocumentId::new(Kind::Flag, "default", "good");
    assert_eq!(store.get(&good).await.unwrap(), None);
}
