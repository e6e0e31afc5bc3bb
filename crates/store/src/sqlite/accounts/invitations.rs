//! Invitations, the setup token among them.

use flagbase_core::accounts::{AccountsError, Invitation, User};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{Written, one};
use crate::sqlite::{
    columns::{folded, nanos, time},
    fault::Fault,
    writer::Stop,
};

pub(super) fn put(connection: &Connection, invitation: &Invitation) -> Result<(), Fault> {
    if invitation.setup {
        connection.prepare_cached("DELETE FROM invitations WHERE setup = 1")?.execute([])?;
    }
    let sql = "INSERT OR REPLACE INTO invitations (token_hash, role, email, setup, expires_at) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        invitation.token_hash,
        invitation.role,
        invitation.email,
        invitation.setup,
        nanos(invitation.expires_at)
    ])?;
    Ok(())
}

pub(super) fn find(connection: &Connection, hash: &str) -> Result<Option<Invitation>, Fault> {
    let sql = "SELECT token_hash, role, email, setup, expires_at FROM invitations \
               WHERE token_hash = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([hash])?;
    rows.next()?.map(invitation).transpose()
}

/// Those that end after `now`, but not the setup token.
pub(super) fn open(connection: &Connection, now: Timestamp) -> Result<Vec<Invitation>, Fault> {
    let sql = "SELECT token_hash, role, email, setup, expires_at FROM invitations \
               WHERE setup = 0 AND expires_at > ?1 ORDER BY expires_at, token_hash";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([nanos(now)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(invitation(row)?);
    }
    Ok(found)
}

/// Removes an invitation and returns it.
pub(super) fn remove(connection: &Connection, hash: &str) -> Result<Option<Invitation>, Fault> {
    let found = find(connection, hash)?;
    connection.prepare_cached("DELETE FROM invitations WHERE token_hash = ?1")?.execute([hash])?;
    Ok(found)
}

/// Uses an invitation up for `user`; refuses one that is gone, has ended or is somebody else's.
pub(super) fn consume(connection: &Connection, hash: &str, user: &User, now: Timestamp) -> Written<()> {
    let refused = || Stop::Refused(AccountsError::Conflict);
    let found = find(connection, hash)?.ok_or_else(refused)?;
    let meant = found.email.as_deref().is_none_or(|email| folded(email) == folded(&user.email));
    if found.expires_at <= now || !meant {
        return Err(refused());
    }
    let sql = "DELETE FROM invitations WHERE token_hash = ?1";
    one(connection.prepare_cached(sql)?.execute([hash])?)
}

fn invitation(row: &Row<'_>) -> Result<Invitation, Fault> {
    Ok(Invitation {
        token_hash: row.get("token_hash")?,
        role: row.get("role")?,
        email: row.get("email")?,
        setup: row.get("setup")?,
        expires_at: time(row, "expires_at")?,
    })
}
