//! Pages of a bucket. Every group is passed by one seek.

use flagbase_core::buckets::{Listed, Listing, Object, Position};
use rusqlite::{Connection, Rows, params, types::Value};

use super::{
    super::{columns::beyond, fault::Fault},
    rows::{NEWEST, OLDER, Row, find},
};

/// Between a version and its place in a position.
const PLACE: char = '.';

/// Where to go on reading: this key on, and of that key what is older than this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Cursor {
    pub(in super::super) key: String,
    /// Versions of the key with a smaller `seq`, all of them for the greatest number.
    pub(in super::super) below: i64,
}

/// What a listing gives, in order.
pub(in super::super) enum Item<T> {
    /// One, and its place in the order of its key.
    One(T),
    /// Keys that are told as one.
    Group(String),
}

/// Hands over what comes from a cursor on, at most so many, until it is told a group that is to be passed.
pub(in super::super) type Seek<'a, T> =
    dyn FnMut(&Cursor, usize, &mut dyn FnMut(T) -> Option<String>) -> Result<Option<String>, Fault> + 'a;

/// Reads a bucket in the order of its keys, from a cursor on. `read` gives what comes next, or nothing at the end of what
/// begins with the prefix.
pub(in super::super) fn page<T>(
    (prefix, delimiter): (&str, Option<&str>),
    start: Cursor,
    limit: usize,
    seek: &mut Seek<'_, T>,
    key_of: &dyn Fn(&T) -> &str,
) -> Result<(Vec<Item<T>>, bool), Fault> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    let (mut items, mut cursor, mut more) = (Vec::new(), Some(start), false);
    while let Some(at) = cursor.take() {
        let left = limit.saturating_sub(items.len()).saturating_add(1);
        let passed = seek(&at, left, &mut |one: T| {
            let group =
                delimiter.and_then(|delimiter| group_of(key_of(&one), prefix, delimiter)).map(str::to_owned);
            if items.len() >= limit {
                more = true;
                return Some(String::new());
            }
            let Some(group) = group else {
                items.push(Item::One(one));
                return None;
            };
            items.push(Item::Group(group.clone()));
            Some(group)
        })?;
        // A group was met: go on behind all that is in it.
        cursor = passed
            .filter(|group| !group.is_empty())
            .and_then(|group| beyond(&group))
            .map(|key| Cursor { key, below: i64::MAX });
    }
    Ok((items, more))
}

/// What all keys that begin with `prefix` are less than, as a bound that an index is read up to: every text is less than
/// every blob.
pub(in super::super) fn end_of(prefix: &str) -> Value {
    beyond(prefix).map_or(Value::Blob(Vec::new()), Value::Text)
}

/// The group that `key` is in, if any: up to the first delimiter after the prefix, with it.
fn group_of<'a>(key: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    let rest = key.get(prefix.len()..)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// The first key that may come after `after`, when a group that begins with it has been told already.
pub(in super::super) fn start_key((prefix, delimiter): (&str, Option<&str>), after: &str) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    // What is in a group comes with it; one that begins before the place has been passed.
    let group = delimiter.filter(|_| after.starts_with(prefix)).and_then(|it| group_of(after, prefix, it));
    match group {
        Some(group) => beyond(group),
        None => Some(after.to_owned()),
    }
}

pub(super) fn list(connection: &Connection, bucket: i64, listing: &Listing) -> Result<Listed, Fault> {
    let Listing { prefix, delimiter, after, versions, limit } = listing;
    let scope = (prefix.as_str(), delimiter.as_deref());
    if *limit == 0 {
        return Ok(Listed::default());
    }
    let Some(start) = start(connection, bucket, scope, after.as_ref())? else { return Ok(Listed::default()) };
    let end = end_of(prefix);
    let mut last_key = after.as_ref().map(|after| after.key.clone()).filter(|_| start.below != i64::MAX);
    let mut seek = |cursor: &Cursor, left: usize, each: &mut dyn FnMut(Row) -> Option<String>| {
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        let sql = if *versions { all_versions() } else { newest_only() };
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = if *versions {
            statement.query(params![bucket, cursor.key, end, left, cursor.below])?
        } else {
            statement.query(params![bucket, cursor.key, end, left])?
        };
        read(&mut rows, each)
    };
    let (items, more) = page(scope, start, *limit as usize, &mut seek, &|row: &Row| &row.object.key)?;
    let mut listed = Listed::default();
    let mut position = None;
    for item in items {
        match item {
            Item::Group(group) => {
                position = Some(Position::after(group.clone()));
                last_key = None;
                listed.prefixes.push(group);
            }
            Item::One(row) => {
                let version = if *versions {
                    format!("{}{PLACE}{}", row.object.version, row.seq)
                } else {
                    String::new()
                };
                position = Some(Position { key: row.object.key.clone(), version });
                let latest = last_key.as_deref() != Some(&row.object.key);
                last_key = Some(row.object.key.clone());
                listed.objects.push(Object { latest, ..row.object });
            }
        }
    }
    listed.next = position.filter(|_| more);
    Ok(listed)
}

fn newest_only() -> String {
    format!(
        "SELECT {NEWEST} FROM objects WHERE bucket = ?1 AND key >= ?2 AND key < ?3 \
         ORDER BY key LIMIT ?4"
    )
}

/// Both tables, merged: each is read in its order, so nothing is sorted.
fn all_versions() -> String {
    format!(
        "SELECT {NEWEST} FROM objects \
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 AND (key > ?2 OR seq < ?5) UNION ALL \
         SELECT {OLDER} FROM objects_older \
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 AND (key > ?2 OR seq < ?5) \
         ORDER BY key, seq DESC LIMIT ?4"
    )
}

fn read(rows: &mut Rows<'_>, each: &mut dyn FnMut(Row) -> Option<String>) -> Result<Option<String>, Fault> {
    while let Some(row) = rows.next()? {
        if let Some(passed) = each(Row::read(row)?) {
            return Ok(Some(passed));
        }
    }
    Ok(None)
}

/// Where a listing starts; `None` when nothing can come any more.
fn start(
    connection: &Connection,
    bucket: i64,
    scope: (&str, Option<&str>),
    after: Option<&Position>,
) -> Result<Option<Cursor>, Fault> {
    let whole = |key: String| Cursor { key, below: i64::MAX };
    let Some(Position { key, version }) = after else { return Ok(Some(whole(scope.0.to_owned()))) };
    if key.as_str() < scope.0 {
        return Ok(Some(whole(scope.0.to_owned())));
    }
    let Some(from) = start_key(scope, key) else { return Ok(None) };
    if from != *key {
        return Ok(Some(whole(from)));
    }
    // Of the key itself: what is older than the version, or nothing.
    let below = match version.rsplit_once(PLACE) {
        _ if version.is_empty() => None,
        Some((_, place)) => place.parse().ok(),
        None => find(connection, bucket, key, Some(version))?.map(|row| row.seq),
    };
    Ok(Some(match below {
        Some(below) => Cursor { key: from, below },
        // The next possible key.
        None => whole(format!("{from}\0")),
    }))
}
