//! Sessions.

use flagbase_core::accounts::{AccountsError, Session, User};
use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use super::{Written, constraint, users};
use crate::sqlite::{
    columns::{json, maybe_time, nanos, text, time},
    fault::Fault,
};

const COLUMNS: &str = "sessions.id AS session_id, sessions.user_id AS session_user, \
     sessions.created_at AS session_created_at, expires_at, revoked_at, client, overrides";

/// Stores a session. One that was ended stays ended, whatever the writer believed: it may have read the
/// session before somebody logged it out.
pub(super) fn put(connection: &Connection, session: &Session) -> Written<()> {
    let sql = "INSERT INTO sessions (id, user_id, created_at, expires_at, revoked_at, client, overrides) \
         VALUES (:id, :user_id, :created_at, :expires_at, :revoked_at, :client, :overrides) \
         ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at, \
         revoked_at = coalesce(sessions.revoked_at, excluded.revoked_at), \
         client = excluded.client, overrides = excluded.overrides";
    connection
        .prepare_cached(sql)?
        .execute(named_params! {
            ":id": session.id,
            ":user_id": session.user_id,
            ":created_at": nanos(session.created_at),
            ":expires_at": nanos(session.expires_at),
            ":revoked_at": session.revoked_at.map(nanos),
            ":client": session.client,
            ":overrides": text(&session.overrides)?,
        })
        // The user is gone.
        .map_err(|error| constraint(error, AccountsError::Conflict))?;
    forget_ended(connection, session)
}

/// Forgets the user's sessions that had ended by themselves when this one began, so that they do not pile up.
fn forget_ended(connection: &Connection, session: &Session) -> Written<()> {
    let sql = "DELETE FROM sessions WHERE user_id = ?1 AND expires_at <= ?2 AND id <> ?3";
    let values = params![session.user_id, nanos(session.created_at), session.id];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

pub(super) fn end_all(connection: &Connection, user_id: &str, at: Timestamp) -> Written<()> {
    let sql = "UPDATE sessions SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL";
    connection.prepare_cached(sql)?.execute(params![user_id, nanos(at)])?;
    Ok(())
}

pub(super) fn find(connection: &Connection, id: &str) -> Result<Option<(Session, User)>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS}, {} FROM sessions JOIN users ON users.id = sessions.user_id \
         WHERE sessions.id = ?1",
        users::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| Ok((session(row)?, users::user(row)?))).transpose()
}

pub(super) fn live(connection: &Connection, user_id: &str, now: Timestamp) -> Result<Vec<Session>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions WHERE user_id = ?1 AND revoked_at IS NULL \
         AND expires_at > ?2 ORDER BY created_at DESC, id DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_and_then(params![user_id, nanos(now)], session)?.collect()
}

fn session(row: &Row<'_>) -> Result<Session, Fault> {
    Ok(Session {
        id: row.get("session_id")?,
        user_id: row.get("session_user")?,
        created_at: time(row, "session_created_at")?,
        expires_at: time(row, "expires_at")?,
        revoked_at: maybe_time(row, "revoked_at")?,
        client: row.get("client")?,
        overrides: json(row, "overrides")?,
    })
}
