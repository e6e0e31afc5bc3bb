//! Key-value stores on SQLite.

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::keyvalue::{
    KeyValue, KeyValueError, MOST_KEYS, QUOTA, StoreId, check_key, check_value, sum,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Sqlite,
    columns::{beyond, count, signed},
    fault::Fault,
    writer::Stop,
};

type Written<T> = Result<T, Stop<KeyValueError>>;

#[async_trait]
impl KeyValue for Sqlite {
    async fn get(&self, store: &StoreId, key: &str) -> Result<Option<Bytes>, KeyValueError> {
        check_key(key)?;
        let (store, key) = (store.clone(), key.to_owned());
        Ok(self.inner.readers.read(move |connection| Ok(value(connection, &store, &key)?)).await?)
    }

    async fn set(&self, store: &StoreId, key: &str, value: Bytes) -> Result<(), KeyValueError> {
        check_key(key)?;
        check_value(&value)?;
        self.keep(store, key, move |_| Ok((Some(value), ()))).await
    }

    async fn delete(&self, store: &StoreId, key: &str) -> Result<bool, KeyValueError> {
        check_key(key)?;
        let (store, key) = (store.clone(), key.to_owned());
        self.inner.writer.write(move |connection| remove(connection, &store, &key)).await
    }

    async fn keys(
        &self,
        store: &StoreId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>, KeyValueError> {
        let (store, prefix, after) = (store.clone(), prefix.to_owned(), after.to_owned());
        let query = move |connection: &Connection| {
            Ok(keys(connection, &store, (&prefix, &after), limit.min(MOST_KEYS))?)
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn increment(&self, store: &StoreId, key: &str, delta: i64) -> Result<i64, KeyValueError> {
        check_key(key)?;
        let name = key.to_owned();
        self.keep(store, key, move |before| {
            let sum = sum(&name, before, delta)?;
            Ok((Some(sum.to_string().into()), sum))
        })
        .await
    }

    async fn swap(
        &self,
        store: &StoreId,
        key: &str,
        old: Option<Bytes>,
        new: Bytes,
    ) -> Result<bool, KeyValueError> {
        check_key(key)?;
        check_value(&new)?;
        self.keep(store, key, move |before| {
            let same = before == old.as_deref();
            Ok((same.then_some(new), same))
        })
        .await
    }

    async fn used(&self, store: &StoreId) -> Result<u64, KeyValueError> {
        let store = store.clone();
        Ok(self.inner.readers.read(move |connection| used(connection, &store)).await?)
    }
}

impl Sqlite {
    /// Looks at the value of `key` and keeps what `decide` says in its place, if anything, in one transaction.
    async fn keep<T, F>(&self, store: &StoreId, key: &str, decide: F) -> Result<T, KeyValueError>
    where
        F: FnOnce(Option<&[u8]>) -> Result<(Option<Bytes>, T), KeyValueError> + Send + 'static,
        T: Send + 'static,
    {
        let (store, key) = (store.clone(), key.to_owned());
        let work = move |connection: &Connection| {
            let before = value(connection, &store, &key)?;
            let (next, answer) = decide(before.as_deref()).map_err(Stop::Refused)?;
            if let Some(next) = next {
                put(connection, (&store, &key), before.map(|before| before.len()), &next)?;
            }
            Ok(answer)
        };
        self.inner.writer.write(work).await
    }
}

fn value(connection: &Connection, store: &StoreId, key: &str) -> rusqlite::Result<Option<Bytes>> {
    let sql = "SELECT value FROM keyvalue WHERE environment = ?1 AND store = ?2 AND key = ?3";
    let found = connection
        .prepare_cached(sql)?
        .query_row(params![store.environment, store.store, key], |row| row.get::<_, Vec<u8>>(0));
    Ok(found.optional()?.map(Bytes::from))
}

/// Keeps `value`; before, there were `before` bytes.
fn put(
    connection: &Connection,
    (store, key): (&StoreId, &str),
    before: Option<usize>,
    value: &[u8],
) -> Written<()> {
    let sql = "INSERT INTO keyvalue (environment, store, key, value) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (environment, store, key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(params![store.environment, store.store, key, value])?;
    let more = difference(before.map(|bytes| bytes + key.len()), value.len() + key.len());
    let bytes = account(connection, store, more)?;
    // What does not make it fuller is always taken.
    if more > 0 && bytes > signed(QUOTA) {
        return Err(Stop::Refused(KeyValueError::Full(QUOTA)));
    }
    Ok(())
}

fn remove(connection: &Connection, store: &StoreId, key: &str) -> Written<bool> {
    let sql =
        "DELETE FROM keyvalue WHERE environment = ?1 AND store = ?2 AND key = ?3 RETURNING length(value)";
    let values = params![store.environment, store.store, key];
    let gone: Option<i64> = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    if let Some(bytes) = gone {
        account(connection, store, -(bytes + difference(None, key.len())))?;
    }
    Ok(gone.is_some())
}

fn difference(before: Option<usize>, after: usize) -> i64 {
    signed(after as u64) - signed(before.unwrap_or_default() as u64)
}

/// Notes that a store holds so many bytes more. Returns how many it holds.
fn account(connection: &Connection, store: &StoreId, more: i64) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO keyvalue_used (environment, store, bytes) VALUES (?1, ?2, ?3) \
         ON CONFLICT (environment, store) DO UPDATE SET bytes = bytes + ?3 RETURNING bytes";
    let values = params![store.environment, store.store, more];
    connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

fn used(connection: &Connection, store: &StoreId) -> Result<u64, Fault> {
    let sql = "SELECT bytes FROM keyvalue_used WHERE environment = ?1 AND store = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![store.environment, store.store])?;
    rows.next()?.map_or(Ok(0), |row| count(row, 0))
}

fn keys(
    connection: &Connection,
    store: &StoreId,
    (prefix, after): (&str, &str),
    limit: u32,
) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT key FROM keyvalue WHERE environment = ?1 AND store = ?2 AND key >= ?3 AND key > ?4 \
         AND (?5 IS NULL OR key < ?5) ORDER BY key LIMIT ?6";
    let values = params![store.environment, store.store, prefix, after, beyond(prefix), limit];
    connection.prepare_cached(sql)?.query_map(values, |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use flagbase_testkit::FixedClock;
    use tempfile::tempdir;

    use super::*;
    use crate::SqliteConfig;

    #[tokio::test]
    async fn a_full_store_takes_nothing_more_and_gives_room_back() {
        let directory = tempdir().unwrap();
        let config = SqliteConfig::new(directory.path().join("flagbase.db"));
        let sqlite = Sqlite::open(&config, &FixedClock::default()).unwrap();
        let (full, other) = (StoreId::new("default", "full"), StoreId::new("default", "other"));
        sqlite.set(&full, "k", Bytes::from_static(b"12345")).await.unwrap();
        // As if a quarter of a gigabyte were in it.
        let almost = signed(QUOTA) - 10;
        let work = move |connection: &Connection| {
            connection.execute("UPDATE keyvalue_used SET bytes = ?1", [almost])?;
            Ok::<_, Stop<KeyValueError>>(())
        };
        sqlite.inner.writer.write(work).await.unwrap();

        let refused = sqlite.set(&full, "long", Bytes::from_static(b"1234567")).await;
        assert!(matches!(refused, Err(KeyValueError::Full(QUOTA))), "{refused:?}");
        assert_eq!(sqlite.get(&full, "long").await.unwrap(), None, "nothing of it is kept");
        assert_eq!(sqlite.used(&full).await.unwrap(), QUOTA - 10);
        sqlite.set(&full, "k", Bytes::from_static(b"1")).await.unwrap();
        sqlite.set(&full, "long", Bytes::from_static(b"1234567")).await.unwrap();
        sqlite.set(&other, "k", Bytes::from_static(b"1234567")).await.unwrap();
        assert!(sqlite.delete(&full, "long").await.unwrap());
        assert_eq!(sqlite.used(&full).await.unwrap(), QUOTA - 14);
    }
}
