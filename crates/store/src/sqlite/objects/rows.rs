//! Rows of objects: read, written, moved between the newest and the older ones.

use std::collections::BTreeMap;

use flagbase_core::buckets::{Checksum, Object, ObjectHead, Piece};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        columns::{count, maybe_json, nanos, signed, text, time},
        fault::Fault,
    },
    count_in,
};

/// What every query of objects gives, in this order; `marker` and `older` are numbers.
pub(super) const NEWEST: &str =
    "key, seq, version, 0 AS marker, size, etag, crc64, modified, content_type, about, blob, 0 AS older";
pub(super) const OLDER: &str =
    "key, seq, version, marker, size, etag, crc64, modified, content_type, about, blob, 1 AS older";

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Newest,
    Older,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Newest => "objects",
            Self::Older => "objects_older",
        }
    }

    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Newest => ("objects", "bytes"),
            Self::Older => ("older", "older_bytes"),
        }
    }
}

/// A row as it was read. Its object has one piece, or none that was read yet.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) table: Table,
    pub(super) object: Object,
}

/// What is seldom said of an object.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct About {
    #[serde(flatten)]
    head: ObjectHead,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<Checksum>,
}

impl About {
    fn of(object: &Object) -> Result<Option<String>, Fault> {
        let head = ObjectHead { content_type: String::new(), ..object.head.clone() };
        let about = Self { head, tags: object.tags.clone(), checksum: object.checksum.clone() };
        if about == Self::default() { Ok(None) } else { text(&about).map(Some) }
    }
}

impl Row {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Self, Fault> {
        let table = if row.get::<_, bool>(11)? { Table::Older } else { Table::Newest };
        let About { mut head, tags, checksum } = maybe_json(row, 9)?.unwrap_or_default();
        head.content_type = row.get(8)?;
        let (size, crc64) = (count(row, 4)?, unsigned(row.get(6)?));
        let blob: Option<String> = row.get(10)?;
        let object = Object {
            key: row.get(0)?,
            version: row.get(2)?,
            marker: row.get(3)?,
            latest: table == Table::Newest,
            size,
            etag: row.get(5)?,
            crc64,
            checksum,
            modified: time(row, 7)?,
            head,
            tags,
            pieces: blob.into_iter().map(|blob| Piece { blob, size, crc64 }).collect(),
        };
        Ok(Self { seq: row.get(1)?, table, object })
    }

    /// The object with all of its pieces.
    pub(super) fn into_object(self, connection: &Connection) -> Result<Object, Fault> {
        let mut object = self.object;
        if object.pieces.is_empty() && !object.marker {
            let sql = "SELECT blob, size, crc64 FROM object_pieces WHERE object = ?1 ORDER BY number";
            let mut statement = connection.prepare_cached(sql)?;
            object.pieces = statement.query_and_then([self.seq], piece)?.collect::<Result<_, Fault>>()?;
        }
        Ok(object)
    }
}

pub(in super::super) fn piece(row: &rusqlite::Row<'_>) -> Result<Piece, Fault> {
    Ok(Piece { blob: row.get(0)?, size: count(row, 1)?, crc64: unsigned(row.get(2)?) })
}

/// The same 64 bits, as SQLite keeps them.
pub(in super::super) fn bits(crc64: u64) -> i64 {
    i64::from_ne_bytes(crc64.to_ne_bytes())
}

fn unsigned(bits: i64) -> u64 {
    u64::from_ne_bytes(bits.to_ne_bytes())
}

/// The newest version of a key, or this one.
pub(super) fn find(
    connection: &Connection,
    bucket: i64,
    key: &str,
    version: Option<&str>,
) -> Result<Option<Row>, Fault> {
    let Some(version) = version else { return newest(connection, bucket, key) };
    let sql = format!(
        "SELECT {NEWEST} FROM objects WHERE bucket = ?1 AND key = ?2 AND version = ?3 UNION ALL \
         SELECT {OLDER} FROM objects_older WHERE bucket = ?1 AND key = ?2 AND version = ?3 LIMIT 1"
    );
    let mut found = one(connection, &sql, (bucket, key, Some(version)))?;
    if let Some(row) = &mut found
        && row.table == Table::Older
        && row.object.marker
    {
        // A marker is the newest when nothing is newer.
        row.object.latest = newest(connection, bucket, key)?.is_some_and(|newest| newest.seq == row.seq);
    }
    Ok(found)
}

/// The newest version of a key, which may be a marker.
pub(super) fn newest(connection: &Connection, bucket: i64, key: &str) -> Result<Option<Row>, Fault> {
    let sql = format!("SELECT {NEWEST} FROM objects WHERE bucket = ?1 AND key = ?2");
    if let Some(row) = one(connection, &sql, (bucket, key, None))? {
        return Ok(Some(row));
    }
    let sql =
        format!("SELECT {OLDER} FROM objects_older WHERE bucket = ?1 AND key = ?2 ORDER BY seq DESC LIMIT 1");
    let mut found = one(connection, &sql, (bucket, key, None))?;
    if let Some(row) = &mut found {
        row.object.latest = true;
    }
    Ok(found)
}

fn one(
    connection: &Connection,
    sql: &str,
    (bucket, key, version): (i64, &str, Option<&str>),
) -> Result<Option<Row>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = match version {
        Some(version) => statement.query_row(params![bucket, key, version], |row| Ok(Row::read(row))),
        None => statement.query_row(params![bucket, key], |row| Ok(Row::read(row))),
    };
    found.optional()?.transpose()
}

/// Writes an object where it belongs, and counts it.
pub(super) fn insert(connection: &Connection, bucket: i64, seq: i64, object: &Object) -> Result<(), Fault> {
    let blob = match object.pieces.as_slice() {
        [only] => Some(only.blob.as_str()),
        _ => None,
    };
    let table = if object.marker { Table::Older } else { Table::Newest };
    let (size, crc64, modified) = (signed(object.size), bits(object.crc64), nanos(object.modified));
    let Object { key, version, etag, head, .. } = object;
    let about = About::of(object)?;
    if object.marker {
        let sql = "INSERT INTO objects_older \
             (bucket, key, seq, version, marker, size, etag, crc64, modified, content_type, about, blob) \
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        connection.prepare_cached(sql)?.execute(params![
            bucket,
            key,
            seq,
            version,
            size,
            etag,
            crc64,
            modified,
            head.content_type,
            about,
            blob
        ])?;
    } else {
        let sql = "INSERT INTO objects \
             (bucket, key, seq, version, size, etag, crc64, modified, content_type, about, blob) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        connection.prepare_cached(sql)?.execute(params![
            bucket,
            key,
            seq,
            version,
            size,
            etag,
            crc64,
            modified,
            head.content_type,
            about,
            blob
        ])?;
    }
    if blob.is_none() {
        let sql = "INSERT INTO object_pieces (object, number, blob, size, crc64) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut statement = connection.prepare_cached(sql)?;
        for (number, piece) in (1_i64..).zip(&object.pieces) {
            statement.execute(params![seq, number, piece.blob, signed(piece.size), bits(piece.crc64)])?;
        }
    }
    count_in(connection, bucket, table.columns(), (1, size))
}

/// Removes a row and its pieces, and counts it. Returns its blobs.
pub(super) fn remove(
    connection: &Connection,
    bucket: i64,
    (table, seq): (Table, i64),
    object: &Object,
) -> Result<Vec<String>, Fault> {
    let sql = format!("DELETE FROM {} WHERE bucket = ?1 AND key = ?2 AND seq = ?3", table.name());
    connection.prepare_cached(&sql)?.execute(params![bucket, object.key, seq])?;
    if object.pieces.len() != 1 {
        connection.prepare_cached("DELETE FROM object_pieces WHERE object = ?1")?.execute([seq])?;
    }
    count_in(connection, bucket, table.columns(), (-1, -signed(object.size)))?;
    Ok(object.pieces.iter().map(|piece| piece.blob.clone()).collect())
}

/// Puts the newest version among the older ones.
pub(super) fn shelve(connection: &Connection, bucket: i64, row: &Row) -> Result<(), Fault> {
    let columns = "bucket, key, seq, version, size, etag, crc64, modified, content_type, about, blob";
    let sql = format!(
        "INSERT INTO objects_older ({columns}, marker) SELECT {columns}, 0 FROM objects WHERE bucket = ?1 AND key = ?2"
    );
    moved(connection, bucket, row, (&sql, Table::Newest, Table::Older))
}

/// Makes an older version the newest.
pub(super) fn unshelve(connection: &Connection, bucket: i64, row: &Row) -> Result<(), Fault> {
    let columns = "bucket, key, seq, version, size, etag, crc64, modified, content_type, about, blob";
    let sql = format!(
        "INSERT INTO objects ({columns}) SELECT {columns} FROM objects_older \
         WHERE bucket = ?1 AND key = ?2 AND seq = ?3"
    );
    moved(connection, bucket, row, (&sql, Table::Older, Table::Newest))
}

fn moved(
    connection: &Connection,
    bucket: i64,
    row: &Row,
    (sql, from, to): (&str, Table, Table),
) -> Result<(), Fault> {
    let Row { seq, object, .. } = row;
    if to == Table::Older {
        connection.prepare_cached(sql)?.execute(params![bucket, object.key])?;
    } else {
        connection.prepare_cached(sql)?.execute(params![bucket, object.key, seq])?;
    }
    let sql = format!("DELETE FROM {} WHERE bucket = ?1 AND key = ?2 AND seq = ?3", from.name());
    connection.prepare_cached(&sql)?.execute(params![bucket, object.key, seq])?;
    count_in(connection, bucket, from.columns(), (-1, -signed(object.size)))?;
    count_in(connection, bucket, to.columns(), (1, signed(object.size)))
}

/// Says something else of a row.
pub(super) fn describe(
    connection: &Connection,
    bucket: i64,
    (table, seq): (Table, i64),
    object: &Object,
) -> Result<(), Fault> {
    let sql = format!(
        "UPDATE {} SET content_type = ?4, about = ?5 WHERE bucket = ?1 AND key = ?2 AND seq = ?3",
        table.name()
    );
    let about = About::of(object)?;
    connection.prepare_cached(&sql)?.execute(params![
        bucket,
        object.key,
        seq,
        object.head.content_type,
        about
    ])?;
    Ok(())
}
