//! Uploads under way on SQLite.

use async_trait::async_trait;
use flagbase_core::{
    buckets::{
        IndexError, Listing, Object, Placed, Position, Quota, Terms, Upload, UploadPart, Uploads,
        UploadsListed,
    },
    catalog::{Commit, DocumentId, Kind},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Sqlite,
    columns::{count, json, maybe_json, nanos, signed, text, time},
    fault::Fault,
    objects::{
        Refused, bits, count_in, known,
        listing::{Cursor, Item, end_of, page, start_key},
        number, piece, place, within,
    },
    writer::Stop,
};

const UPLOAD: &str = "id, key, head, tags, form, begun";
const PART: &str = "blob, size, crc64, number, etag, checksum, modified";
const COUNTED: (&str, &str) = ("uploads", "uploaded_bytes");

#[async_trait]
impl Uploads for Sqlite {
    async fn begin(&self, bucket: &DocumentId, upload: Upload) -> Result<(), IndexError> {
        let bucket = bucket.clone();
        let work = move |connection: &Connection| {
            let id = number(connection, &bucket)?;
            let sql = "INSERT INTO uploads (bucket, key, id, head, tags, form, begun) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let Upload { id: upload, key, head, tags, form, begun } = upload;
            let (head, tags, form) = (text(&head)?, text(&tags)?, text(&form)?);
            let values = params![id, key, upload, head, tags, form, nanos(begun)];
            connection.prepare_cached(sql)?.execute(values)?;
            count_in(connection, id, COUNTED, (1, 0))?;
            Ok(())
        };
        self.inner.writer.write(work).await
    }

    async fn get(&self, bucket: &DocumentId, id: &str) -> Result<Option<Upload>, IndexError> {
        let (bucket, id) = (bucket.clone(), id.to_owned());
        let query = move |connection: &Connection| match known(connection, &bucket)? {
            Some(bucket) => find(connection, bucket, &id),
            None => Ok(None),
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn part(
        &self,
        bucket: &DocumentId,
        id: &str,
        part: UploadPart,
        quota: Quota,
    ) -> Result<Vec<String>, IndexError> {
        let (bucket, id) = (bucket.clone(), id.to_owned());
        let work = move |connection: &Connection| {
            let bucket = number(connection, &bucket)?;
            require(connection, bucket, &id)?;
            let freed = forget_part(connection, bucket, (&id, part.number))?;
            insert_part(connection, bucket, &id, &part)?;
            within(connection, bucket, quota)?;
            Ok(freed.into_iter().collect())
        };
        self.inner.writer.write(work).await
    }

    async fn parts(
        &self,
        bucket: &DocumentId,
        id: &str,
        after: u32,
        limit: u32,
    ) -> Result<Vec<UploadPart>, IndexError> {
        let (bucket, id) = (bucket.clone(), id.to_owned());
        let query = move |connection: &Connection| match known(connection, &bucket)? {
            Some(bucket) => parts(connection, bucket, &id, (after, limit)),
            None => Ok(Vec::new()),
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn list(&self, bucket: &DocumentId, listing: &Listing) -> Result<UploadsListed, IndexError> {
        let (bucket, listing) = (bucket.clone(), listing.clone());
        let query = move |connection: &Connection| match known(connection, &bucket)? {
            Some(bucket) => list(connection, bucket, &listing),
            None => Ok(UploadsListed::default()),
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn complete(
        &self,
        bucket: &DocumentId,
        id: &str,
        (object, terms): (Object, Terms),
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        let (bucket, id) = (bucket.clone(), id.to_owned());
        let work = move |connection: &Connection| {
            let bucket = number(connection, &bucket)?;
            require(connection, bucket, &id)?;
            let mut unused = gone(connection, bucket, &id)?;
            for piece in &object.pieces {
                let at = unused.iter().position(|blob| *blob == piece.blob);
                unused.swap_remove(at.ok_or(Stop::Refused(IndexError::BadPart))?);
            }
            let mut placed = place(connection, bucket, (object, terms), commit)?;
            placed.freed.extend(unused);
            Ok(placed)
        };
        self.inner.writer.write(work).await
    }

    async fn abort(&self, bucket: &DocumentId, id: &str) -> Result<Option<Vec<String>>, IndexError> {
        let (bucket, id) = (bucket.clone(), id.to_owned());
        let work = move |connection: &Connection| {
            let bucket = number(connection, &bucket)?;
            match find(connection, bucket, &id)? {
                Some(_) => Ok(Some(gone(connection, bucket, &id)?)),
                None => Ok(None),
            }
        };
        self.inner.writer.write(work).await
    }

    async fn stale(&self, before: Timestamp, limit: u32) -> Result<Vec<(DocumentId, Upload)>, IndexError> {
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {UPLOAD}, environment, name FROM uploads JOIN buckets ON buckets.id = uploads.bucket \
                 WHERE begun < ?1 ORDER BY begun, uploads.id LIMIT ?2"
            );
            let sql = sql.replace("SELECT id,", "SELECT uploads.id,");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_and_then(params![nanos(before), limit], |row| {
                let (environment, name): (String, String) = (row.get(6)?, row.get(7)?);
                Ok((DocumentId::new(Kind::Bucket, &environment, &name), upload(row)?))
            })?;
            rows.collect::<Result<_, Fault>>()
        };
        Ok(self.inner.readers.read(query).await?)
    }
}

fn find(connection: &Connection, bucket: i64, id: &str) -> Result<Option<Upload>, Fault> {
    let sql = format!("SELECT {UPLOAD} FROM uploads WHERE id = ?1 AND bucket = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row(params![id, bucket], |row| Ok(upload(row))).optional()?.transpose()
}

fn require(connection: &Connection, bucket: i64, id: &str) -> Result<(), Refused> {
    let found = find(connection, bucket, id)?;
    found.map(drop).ok_or(Stop::Refused(IndexError::NoUpload))
}

fn upload(row: &Row<'_>) -> Result<Upload, Fault> {
    Ok(Upload {
        id: row.get(0)?,
        key: row.get(1)?,
        head: json(row, 2)?,
        tags: json(row, 3)?,
        form: json(row, 4)?,
        begun: time(row, 5)?,
    })
}

fn parts(
    connection: &Connection,
    bucket: i64,
    id: &str,
    (after, limit): (u32, u32),
) -> Result<Vec<UploadPart>, Fault> {
    let sql = format!(
        "SELECT {PART} FROM upload_parts WHERE bucket = ?1 AND upload = ?2 AND number > ?3 ORDER BY number LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_and_then(params![bucket, id, after, limit], |row| {
        Ok(UploadPart {
            piece: piece(row)?,
            number: row.get(3)?,
            etag: row.get(4)?,
            checksum: maybe_json(row, 5)?,
            modified: time(row, 6)?,
        })
    })?;
    rows.collect()
}

fn insert_part(connection: &Connection, bucket: i64, id: &str, part: &UploadPart) -> Result<(), Fault> {
    let sql = "INSERT INTO upload_parts \
         (bucket, upload, number, blob, size, crc64, etag, checksum, modified) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let UploadPart { number, piece, etag, checksum, modified } = part;
    let (size, checksum) = (signed(piece.size), checksum.as_ref().map(text).transpose()?);
    connection.prepare_cached(sql)?.execute(params![
        bucket,
        id,
        number,
        piece.blob,
        size,
        bits(piece.crc64),
        etag,
        checksum,
        nanos(*modified)
    ])?;
    count_in(connection, bucket, COUNTED, (0, size))
}

/// Removes a part that is replaced. Returns its blob.
fn forget_part(
    connection: &Connection,
    bucket: i64,
    (id, number): (&str, u32),
) -> Result<Option<String>, Fault> {
    let sql =
        "DELETE FROM upload_parts WHERE bucket = ?1 AND upload = ?2 AND number = ?3 RETURNING blob, size";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    let Some((blob, size)) = statement.query_row(params![bucket, id, number], read).optional()? else {
        return Ok(None);
    };
    count_in(connection, bucket, COUNTED, (0, -size))?;
    Ok(Some(blob))
}

/// Removes an upload and its parts. Returns their blobs.
fn gone(connection: &Connection, bucket: i64, id: &str) -> Result<Vec<String>, Fault> {
    let sql = "DELETE FROM upload_parts WHERE bucket = ?1 AND upload = ?2 RETURNING blob, size";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![bucket, id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let parts: Vec<(String, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached("DELETE FROM uploads WHERE bucket = ?1 AND id = ?2")?
        .execute(params![bucket, id])?;
    let bytes: i64 = parts.iter().map(|(_, size)| size).sum();
    count_in(connection, bucket, COUNTED, (-1, -bytes))?;
    Ok(parts.into_iter().map(|(blob, _)| blob).collect())
}

fn list(connection: &Connection, bucket: i64, listing: &Listing) -> Result<UploadsListed, Fault> {
    let Listing { prefix, delimiter, after, limit, .. } = listing;
    let scope = (prefix.as_str(), delimiter.as_deref());
    let (mut first, mut id_after) = (prefix.clone(), None);
    if let Some(Position { key, version }) = after.as_ref().filter(|after| after.key >= *prefix) {
        let Some(from) = start_key(scope, key) else { return Ok(UploadsListed::default()) };
        first = match (from == *key, version.is_empty()) {
            (true, true) => format!("{from}\0"),
            _ => from.clone(),
        };
        id_after = (from == *key && !version.is_empty()).then(|| version.clone());
    }
    if *limit == 0 {
        return Ok(UploadsListed::default());
    }
    let (end, start) = (end_of(prefix), Cursor { key: first, below: i64::MAX });
    let sql = format!(
        "SELECT {UPLOAD}, (SELECT COALESCE(SUM(size), 0) FROM upload_parts \
         WHERE upload_parts.bucket = ?1 AND upload_parts.upload = uploads.id) \
         FROM uploads WHERE bucket = ?1 AND key >= ?2 AND key < ?3 \
         AND (key > ?2 OR ?4 IS NULL OR id > ?4) ORDER BY key, id LIMIT ?5"
    );
    let mut seek = |cursor: &Cursor, left: usize, each: &mut dyn FnMut((Upload, u64)) -> Option<String>| {
        let mut statement = connection.prepare_cached(&sql)?;
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![bucket, cursor.key, end, id_after.take(), left])?;
        while let Some(row) = rows.next()? {
            if let Some(passed) = each((upload(row)?, count(row, 6)?)) {
                return Ok(Some(passed));
            }
        }
        Ok(None)
    };
    let (items, more) = page(scope, start, *limit as usize, &mut seek, &|(one, _): &(Upload, u64)| &one.key)?;
    let (mut listed, mut position) = (UploadsListed::default(), None);
    for item in items {
        match item {
            Item::Group(group) => {
                position = Some(Position::after(group.clone()));
                listed.prefixes.push(group);
            }
            Item::One(one) => {
                position = Some(Position { key: one.0.key.clone(), version: one.0.id.clone() });
                listed.uploads.push(one);
            }
        }
    }
    listed.next = position.filter(|_| more);
    Ok(listed)
}
