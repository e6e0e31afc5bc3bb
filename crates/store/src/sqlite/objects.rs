//! The index of objects on SQLite.

use async_trait::async_trait;
use flagbase_core::{
    buckets::{IndexError, Object, ObjectIndex, Replaced, Usage},
    catalog::{CatalogError, Change, Commit, DocumentId},
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Sqlite, changelog,
    columns::{beyond, count, nanos, signed, text, time},
    fault::Fault,
    writer::Stop,
};

const COLUMNS: &str = "key, size, content_type, etag, modified, blob";

#[async_trait]
impl ObjectIndex for Sqlite {
    async fn put(
        &self,
        bucket: &DocumentId,
        object: Object,
        commit: Commit,
    ) -> Result<Option<Replaced>, IndexError> {
        let bucket = bucket.clone();
        self.inner
            .writer
            .write(move |connection| {
                if !is_there(connection, &bucket)? {
                    return Ok(None);
                }
                let before = find(connection, &bucket, &object.key)?;
                put(connection, &bucket, &object)?;
                Ok(Some(Replaced { before, changes: log(connection, commit)? }))
            })
            .await
    }

    async fn get(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, IndexError> {
        let (bucket, key) = (bucket.clone(), key.to_owned());
        Ok(self.inner.readers.read(move |connection| find(connection, &bucket, &key)).await?)
    }

    async fn delete(&self, bucket: &DocumentId, key: &str, commit: Commit) -> Result<Replaced, IndexError> {
        let (bucket, key) = (bucket.clone(), key.to_owned());
        self.inner
            .writer
            .write(move |connection| {
                let before = find(connection, &bucket, &key)?;
                if before.is_none() {
                    return Ok(Replaced { before, changes: Vec::new() });
                }
                let sql = "DELETE FROM objects WHERE environment = ?1 AND bucket = ?2 AND key = ?3";
                connection.prepare_cached(sql)?.execute(params![bucket.environment, bucket.key, key])?;
                Ok(Replaced { before, changes: log(connection, commit)? })
            })
            .await
    }

    async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, IndexError> {
        let (bucket, prefix, after) = (bucket.clone(), prefix.to_owned(), after.to_owned());
        let query = move |connection: &Connection| list(connection, &bucket, (&prefix, &after), limit);
        Ok(self.inner.readers.read(query).await?)
    }

    async fn usage(&self, bucket: &DocumentId) -> Result<Usage, IndexError> {
        let bucket = bucket.clone();
        let query = move |connection: &Connection| {
            let sql = "SELECT count(*), coalesce(sum(size), 0) FROM objects \
                 WHERE environment = ?1 AND bucket = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(params![bucket.environment, bucket.key], |row| {
                Ok(count(row, 0).and_then(|objects| Ok(Usage { objects, bytes: count(row, 1)? })))
            })?
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn strays(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError> {
        let query = move |connection: &Connection| {
            let sql = "SELECT value FROM json_each(?1) \
                 WHERE NOT EXISTS (SELECT 1 FROM objects WHERE blob = value) ORDER BY value";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([text(&blobs)?], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        Ok(self.inner.readers.read(query).await?)
    }
}

fn is_there(connection: &Connection, bucket: &DocumentId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM documents WHERE kind = ?1 AND environment = ?2 AND key = ?3";
    let values = params![bucket.kind.as_str(), bucket.environment, bucket.key];
    Ok(connection.prepare_cached(sql)?.exists(values)?)
}

fn put(connection: &Connection, bucket: &DocumentId, object: &Object) -> Result<(), Fault> {
    let sql = "INSERT INTO objects \
         (environment, bucket, key, size, content_type, etag, modified, blob) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (environment, bucket, key) DO UPDATE SET \
         size = excluded.size, content_type = excluded.content_type, etag = excluded.etag, \
         modified = excluded.modified, blob = excluded.blob";
    let Object { key, size, content_type, etag, modified, blob } = object;
    let (size, modified) = (signed(*size), nanos(*modified));
    connection.prepare_cached(sql)?.execute(params![
        bucket.environment,
        bucket.key,
        key,
        size,
        content_type,
        etag,
        modified,
        blob
    ])?;
    Ok(())
}

fn find(connection: &Connection, bucket: &DocumentId, key: &str) -> Result<Option<Object>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE environment = ?1 AND bucket = ?2 AND key = ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row(params![bucket.environment, bucket.key, key], |row| Ok(object(row)));
    found.optional()?.transpose()
}

fn list(
    connection: &Connection,
    bucket: &DocumentId,
    (prefix, after): (&str, &str),
    limit: u32,
) -> Result<Vec<Object>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM objects WHERE environment = ?1 AND bucket = ?2 AND key >= ?3 AND key > ?4 \
         AND (?5 IS NULL OR key < ?5) ORDER BY key LIMIT ?6"
    );
    let values = params![bucket.environment, bucket.key, prefix, after, beyond(prefix), limit];
    connection.prepare_cached(&sql)?.query_and_then(values, object)?.collect()
}

fn object(row: &Row<'_>) -> Result<Object, Fault> {
    Ok(Object {
        key: row.get(0)?,
        size: count(row, 1)?,
        content_type: row.get(2)?,
        etag: row.get(3)?,
        modified: time(row, 4)?,
        blob: row.get(5)?,
    })
}

/// Appends what goes with a write.
fn log(connection: &Connection, commit: Commit) -> Result<Vec<Change>, Stop<IndexError>> {
    changelog::append(connection, commit).map_err(|stop| match stop {
        Stop::Refused(CatalogError::Corrupt(source)) => Stop::Refused(IndexError::Corrupt(source)),
        Stop::Refused(CatalogError::Unavailable(source)) => Stop::Refused(IndexError::Unavailable(source)),
        Stop::Refused(conflict @ CatalogError::Conflict { .. }) => {
            Stop::Refused(IndexError::Unavailable(conflict.into()))
        }
        Stop::Fault(fault) => Stop::Fault(fault),
    })
}
