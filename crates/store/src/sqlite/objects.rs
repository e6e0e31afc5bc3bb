//! The index of objects on SQLite.
//!
//! The newest version of each object is a row of `objects`; what something newer took the place of, and delete markers,
//! are rows of `objects_older`. A row keeps its `seq`, the revision that wrote it, when it moves from one to the other.

pub(super) mod listing;
mod rows;

use async_trait::async_trait;
use flagbase_core::{
    buckets::{
        Amendment, Condition, Deletion, IndexError, Listed, Listing, Object, ObjectIndex, Placed, Quota,
        Terms, Usage,
    },
    catalog::{CatalogError, Change, Commit, DocumentId},
};
use rusqlite::{Connection, OptionalExtension as _, params};

use self::rows::Table;
use super::{
    Sqlite, changelog,
    columns::{signed, text},
    fault::Fault,
    writer::Stop,
};

pub(super) use self::rows::{bits, piece};

pub(super) type Refused = Stop<IndexError>;

#[async_trait]
impl ObjectIndex for Sqlite {
    async fn put(
        &self,
        bucket: &DocumentId,
        object: Object,
        terms: Terms,
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        let bucket = bucket.clone();
        let work = move |connection: &Connection| {
            let id = number(connection, &bucket)?;
            place(connection, id, (object, terms), commit)
        };
        self.inner.writer.write(work).await
    }

    async fn get(
        &self,
        bucket: &DocumentId,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Object>, IndexError> {
        let (bucket, key, version) = (bucket.clone(), key.to_owned(), version.map(str::to_owned));
        let query = move |connection: &Connection| {
            let Some(id) = known(connection, &bucket)? else { return Ok(None) };
            let Some(row) = rows::find(connection, id, &key, version.as_deref())? else { return Ok(None) };
            row.into_object(connection).map(Some)
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn delete(
        &self,
        bucket: &DocumentId,
        key: &str,
        (deletion, condition): (Deletion, Condition),
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        let (bucket, key) = (bucket.clone(), key.to_owned());
        let work = move |connection: &Connection| {
            let id = number(connection, &bucket)?;
            expect(connection, id, (&key, &condition))?;
            match deletion {
                Deletion::Version(version) => remove(connection, id, (&key, &version), commit),
                Deletion::Marker(marker) => {
                    let changes = log(connection, commit)?;
                    let freed = insert(connection, id, &marker, &changes)?;
                    Ok(Placed { object: Some(*marker), freed, changes })
                }
            }
        };
        self.inner.writer.write(work).await
    }

    async fn amend(
        &self,
        bucket: &DocumentId,
        (key, version): (&str, Option<&str>),
        amendment: Amendment,
        commit: Commit,
    ) -> Result<Option<Placed>, IndexError> {
        let (bucket, key, version) = (bucket.clone(), key.to_owned(), version.map(str::to_owned));
        let work = move |connection: &Connection| {
            let id = number(connection, &bucket)?;
            let found = rows::find(connection, id, &key, version.as_deref())?;
            let Some(row) = found.filter(|row| !row.object.marker) else { return Ok(None) };
            if !amendment.condition.holds(Some(&row.object)) {
                return Err(Stop::Refused(IndexError::Precondition));
            }
            let (seq, table) = (row.seq, row.table);
            let mut object = row.into_object(connection)?;
            object.tags = amendment.tags.unwrap_or(object.tags);
            object.head = amendment.head.unwrap_or(object.head);
            rows::describe(connection, id, (table, seq), &object)?;
            Ok(Some(Placed { object: Some(object), freed: Vec::new(), changes: log(connection, commit)? }))
        };
        self.inner.writer.write(work).await
    }

    async fn list(&self, bucket: &DocumentId, listing: &Listing) -> Result<Listed, IndexError> {
        let (bucket, listing) = (bucket.clone(), listing.clone());
        let query = move |connection: &Connection| match known(connection, &bucket)? {
            Some(id) => listing::list(connection, id, &listing),
            None => Ok(Listed::default()),
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn usage(&self, bucket: &DocumentId) -> Result<Usage, IndexError> {
        let bucket = bucket.clone();
        let query = move |connection: &Connection| match known(connection, &bucket)? {
            Some(id) => used(connection, id),
            None => Ok(Usage::default()),
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn strays(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError> {
        let query = move |connection: &Connection| {
            let sql = "SELECT value FROM json_each(?1) \
                 WHERE NOT EXISTS (SELECT 1 FROM objects WHERE blob = value) \
                 AND NOT EXISTS (SELECT 1 FROM objects_older WHERE blob = value) \
                 AND NOT EXISTS (SELECT 1 FROM object_pieces WHERE blob = value) \
                 AND NOT EXISTS (SELECT 1 FROM upload_parts WHERE blob = value) ORDER BY value";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([text(&blobs)?], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        Ok(self.inner.readers.read(query).await?)
    }
}

/// The number of a bucket that something was kept in.
pub(super) fn known(connection: &Connection, bucket: &DocumentId) -> Result<Option<i64>, Fault> {
    let sql = "SELECT id FROM buckets WHERE environment = ?1 AND name = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row(params![bucket.environment, bucket.key], |row| row.get(0));
    Ok(row.optional()?)
}

/// The number of a bucket that is there, which gets one when it has none yet.
pub(super) fn number(connection: &Connection, bucket: &DocumentId) -> Result<i64, Refused> {
    let sql = "SELECT 1 FROM documents WHERE kind = ?1 AND environment = ?2 AND key = ?3";
    let values = params![bucket.kind.as_str(), bucket.environment, bucket.key];
    if !connection.prepare_cached(sql)?.exists(values)? {
        return Err(Stop::Refused(IndexError::NoBucket));
    }
    if let Some(id) = known(connection, bucket)? {
        return Ok(id);
    }
    let sql = "INSERT INTO buckets (environment, name) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![bucket.environment, bucket.key])?;
    Ok(connection.last_insert_rowid())
}

/// Writes an object in the transaction that is open.
pub(super) fn place(
    connection: &Connection,
    bucket: i64,
    (object, terms): (Object, Terms),
    commit: Commit,
) -> Result<Placed, Refused> {
    expect(connection, bucket, (&object.key, &terms.condition))?;
    let changes = log(connection, commit)?;
    let freed = insert(connection, bucket, &object, &changes)?;
    within(connection, bucket, terms.quota)?;
    Ok(Placed { object: Some(object), freed, changes })
}

fn expect(connection: &Connection, bucket: i64, (key, condition): (&str, &Condition)) -> Result<(), Refused> {
    if *condition == Condition::Any {
        return Ok(());
    }
    let now = rows::newest(connection, bucket, key)?;
    if condition.holds(now.as_ref().map(|row| &row.object)) {
        return Ok(());
    }
    Err(Stop::Refused(IndexError::Precondition))
}

/// Makes `object` the newest of its key; what has its version goes. Returns the blobs that are freed.
fn insert(
    connection: &Connection,
    bucket: i64,
    object: &Object,
    changes: &[Change],
) -> Result<Vec<String>, Refused> {
    let seq = changes.last().map(|change| change.revision);
    let seq = signed(seq.ok_or_else(|| Fault::Driver("an object needs a change".to_owned()))?);
    let mut freed = Vec::new();
    if let Some(same) = rows::find(connection, bucket, &object.key, Some(&object.version))? {
        let place = (same.table, same.seq);
        freed = rows::remove(connection, bucket, place, &same.into_object(connection)?)?;
    }
    if let Some(current) = rows::newest(connection, bucket, &object.key)?
        && current.table == Table::Newest
    {
        rows::shelve(connection, bucket, &current)?;
    }
    rows::insert(connection, bucket, seq, object)?;
    Ok(freed)
}

/// Removes a version for good; the one before it becomes the newest.
fn remove(
    connection: &Connection,
    bucket: i64,
    (key, version): (&str, &str),
    commit: Commit,
) -> Result<Placed, Refused> {
    let Some(row) = rows::find(connection, bucket, key, Some(version))? else {
        return Ok(Placed::default());
    };
    let place = (row.table, row.seq);
    let object = row.into_object(connection)?;
    let freed = rows::remove(connection, bucket, place, &object)?;
    if let Some(next) = rows::newest(connection, bucket, key)?
        && next.table == Table::Older
        && !next.object.marker
    {
        rows::unshelve(connection, bucket, &next)?;
    }
    Ok(Placed { object: Some(object), freed, changes: log(connection, commit)? })
}

/// Counts what comes and goes.
pub(super) fn count_in(
    connection: &Connection,
    bucket: i64,
    column: (&str, &str),
    by: (i64, i64),
) -> Result<(), Fault> {
    let (count, bytes) = column;
    let sql = format!("UPDATE buckets SET {count} = {count} + ?2, {bytes} = {bytes} + ?3 WHERE id = ?1");
    connection.prepare_cached(&sql)?.execute(params![bucket, by.0, by.1])?;
    Ok(())
}

pub(super) fn used(connection: &Connection, bucket: i64) -> Result<Usage, Fault> {
    use super::columns::count;
    let sql = "SELECT objects, bytes, older, older_bytes, uploads, uploaded_bytes FROM buckets WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([bucket], |row| {
        let read = || {
            Ok(Usage {
                objects: count(row, 0)?,
                bytes: count(row, 1)?,
                older: count(row, 2)?,
                older_bytes: count(row, 3)?,
                uploads: count(row, 4)?,
                uploaded_bytes: count(row, 5)?,
            })
        };
        Ok(read())
    })?
}

/// Refuses, so that all is undone, when the bucket holds more than it may.
pub(super) fn within(connection: &Connection, bucket: i64, quota: Quota) -> Result<(), Refused> {
    if quota == Quota::default() {
        return Ok(());
    }
    let used = used(connection, bucket)?;
    match quota {
        Quota { objects: Some(most), .. } if used.objects + used.older > most => {
            Err(Stop::Refused(IndexError::QuotaObjects(most)))
        }
        Quota { bytes: Some(most), .. } if used.all_bytes() > most => {
            Err(Stop::Refused(IndexError::QuotaBytes(most)))
        }
        _ => Ok(()),
    }
}

/// Appends what goes with a write.
pub(super) fn log(connection: &Connection, commit: Commit) -> Result<Vec<Change>, Refused> {
    changelog::append(connection, commit).map_err(|stop| match stop {
        Stop::Refused(CatalogError::Corrupt(source)) => Stop::Refused(IndexError::Corrupt(source)),
        Stop::Refused(CatalogError::Unavailable(source)) => Stop::Refused(IndexError::Unavailable(source)),
        Stop::Refused(conflict @ (CatalogError::Conflict { .. } | CatalogError::NotEmpty(_))) => {
            Stop::Refused(IndexError::Unavailable(conflict.into()))
        }
        Stop::Fault(fault) => Stop::Fault(fault),
    })
}
