//! Appends to the change log, and to the documents it is about.

use flagbase_core::catalog::{
    Actor, CatalogError, Change, Commit, DocumentId, Draft, Expect, Revision, Write,
};
use rusqlite::{Connection, Row, named_params, params};
use serde_json::Value;
use uuid::Uuid;

use super::{
    columns::{folded, json, kind, maybe_json, nanos, revision, signed, text, time},
    fault::Fault,
    writer::Stop,
};

const COLUMNS: &str = "revision, event, at, actor_kind, actor_id, actor_name, reason, \
     kind, environment, key, verb, before, after, detail";

/// Writes a commit inside the transaction that is open on `connection`.
pub(crate) fn append(connection: &Connection, commit: Commit) -> Result<Vec<Change>, Stop<CatalogError>> {
    if commit.events.len() != commit.drafts.len() {
        let message = "a commit needs one event id per change".to_owned();
        return Err(Fault::Driver(message).into());
    }
    let Commit { drafts, actor, reason, at, events } = commit;
    let mut changes = Vec::with_capacity(drafts.len());
    for (draft, event) in drafts.into_iter().zip(events) {
        let stored = stored(connection, &draft.id)?;
        let current = stored.as_ref().map(|(revision, _)| *revision);
        if !is_expected(draft.expect, current) {
            return Err(Stop::Refused(CatalogError::Conflict { id: draft.id, current }));
        }
        if matches!(draft.write, Write::DeleteEmpty) && holds_objects(connection, &draft.id)? {
            return Err(Stop::Refused(CatalogError::NotEmpty(draft.id)));
        }
        // A notice did nothing to the document, so it tells nothing of it.
        let before = stored.map(|(_, body)| body).filter(|_| !matches!(draft.write, Write::Nothing));
        let revision = next_revision(connection)?;
        let change = Change {
            revision,
            event,
            at,
            actor: actor.clone(),
            reason: reason.clone(),
            verb: draft.verb.to_owned(),
            before,
            detail: draft.detail.clone(),
            after: write(connection, &draft, revision, nanos(at))?,
            id: draft.id,
        };
        insert(connection, &change)?;
        changes.push(change);
    }
    Ok(changes)
}

fn is_expected(expect: Expect, current: Option<Revision>) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => current.is_none(),
        Expect::At(seen) => current == Some(seen),
    }
}

/// Whether anything but uploads is kept in a bucket.
fn holds_objects(connection: &Connection, bucket: &DocumentId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM buckets WHERE environment = ?1 AND name = ?2 AND (objects > 0 OR older > 0)";
    Ok(connection.prepare_cached(sql)?.exists(params![bucket.environment, bucket.key])?)
}

fn stored(connection: &Connection, id: &DocumentId) -> Result<Option<(Revision, Value)>, Fault> {
    let sql = "SELECT revision, body FROM documents \
               WHERE kind = ?1 AND environment = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![id.kind.as_str(), id.environment, id.key])?;
    let row = rows.next()?;
    row.map(|row| Ok((revision(row, 0)?, json(row, 1)?))).transpose()
}

fn next_revision(connection: &Connection) -> Result<Revision, Fault> {
    let sql = "UPDATE meta SET revision = revision + 1 RETURNING revision";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([], |row| Ok(revision(row, 0)))?
}

/// Does to the document what the draft says; returns the body after.
fn write(
    connection: &Connection,
    draft: &Draft,
    revision: Revision,
    at: i64,
) -> Result<Option<Value>, Fault> {
    let DocumentId { kind, environment, key } = &draft.id;
    match &draft.write {
        Write::Nothing => Ok(None),
        Write::Delete | Write::DeleteEmpty => {
            let sql = "DELETE FROM documents WHERE kind = ?1 AND environment = ?2 AND key = ?3";
            connection.prepare_cached(sql)?.execute(params![kind.as_str(), environment, key])?;
            Ok(None)
        }
        Write::Put(body) => {
            let sql = "INSERT INTO documents \
                 (kind, environment, key, revision, body, search, created_at, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) \
                 ON CONFLICT (kind, environment, key) DO UPDATE SET revision = excluded.revision, \
                 body = excluded.body, search = excluded.search, updated_at = excluded.updated_at";
            connection.prepare_cached(sql)?.execute(params![
                kind.as_str(),
                environment,
                key,
                signed(revision),
                text(body)?,
                search_text(key, body),
                at
            ])?;
            Ok(Some(body.clone()))
        }
    }
}

/// What a listing searches in: the key and the name, on a line each.
fn search_text(key: &str, body: &Value) -> String {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    folded(&format!("{key}\n{name}"))
}

fn insert(connection: &Connection, change: &Change) -> Result<(), Fault> {
    let sql = "INSERT INTO changes (revision, event, at, actor_kind, actor_id, actor_name, reason, \
         kind, environment, key, verb, before, after, detail) \
         VALUES (:revision, :event, :at, :actor_kind, :actor_id, :actor_name, :reason, \
         :kind, :environment, :key, :verb, :before, :after, :detail)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":revision": signed(change.revision),
        ":event": change.event.as_bytes(),
        ":at": nanos(change.at),
        ":actor_kind": change.actor.kind,
        ":actor_id": change.actor.id,
        ":actor_name": change.actor.name,
        ":reason": change.reason,
        ":kind": change.id.kind.as_str(),
        ":environment": change.id.environment,
        ":key": change.id.key,
        ":verb": change.verb,
        ":before": change.before.as_ref().map(text).transpose()?,
        ":after": change.after.as_ref().map(text).transpose()?,
        ":detail": (!change.detail.is_null()).then(|| text(&change.detail)).transpose()?,
    })?;
    Ok(())
}

/// The last revision.
pub(crate) fn head(connection: &Connection) -> Result<Revision, Fault> {
    let mut statement = connection.prepare_cached("SELECT revision FROM meta")?;
    statement.query_row([], |row| Ok(revision(row, 0)))?
}

/// Changes after a revision, oldest first.
pub(crate) fn after(connection: &Connection, after: Revision, limit: u32) -> Result<Vec<Change>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM changes WHERE revision > ?1 ORDER BY revision LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_and_then(params![signed(after), limit], change)?.collect()
}

/// Changes of one document, newest first.
pub(crate) fn history(
    connection: &Connection,
    id: &DocumentId,
    before: Option<Revision>,
    limit: u32,
) -> Result<Vec<Change>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM changes WHERE kind = ?1 AND environment = ?2 AND key = ?3 \
         AND revision < ?4 ORDER BY revision DESC LIMIT ?5"
    );
    let before = before.map_or(i64::MAX, signed);
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![id.kind.as_str(), id.environment, id.key, before, limit];
    statement.query_and_then(values, change)?.collect()
}

fn change(row: &Row<'_>) -> Result<Change, Fault> {
    Ok(Change {
        revision: revision(row, "revision")?,
        event: Uuid::from_bytes(row.get("event")?),
        at: time(row, "at")?,
        actor: Actor { kind: row.get("actor_kind")?, id: row.get("actor_id")?, name: row.get("actor_name")? },
        reason: row.get("reason")?,
        id: DocumentId {
            kind: kind(row, "kind")?,
            environment: row.get("environment")?,
            key: row.get("key")?,
        },
        verb: row.get("verb")?,
        before: maybe_json(row, "before")?,
        after: maybe_json(row, "after")?,
        detail: maybe_json(row, "detail")?.unwrap_or(Value::Null),
    })
}
