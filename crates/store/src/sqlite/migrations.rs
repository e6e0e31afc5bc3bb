//! Brings a database to the schema this binary knows: forward only, one transaction per step.

use std::path::{Path, PathBuf};

use flagbase_core::clock::Clock;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use super::{Access, SqliteConfig, backup, connect, error::StoreError, lock::Lock};

/// Written into the header of every database of ours (`FLaG`).
const APPLICATION_ID: u32 = 0x464C_6147;

/// One step: its number is its place in the list, from 1.
type Migration = &'static str;

/// All steps, in order. A released step is never edited.
pub(crate) const MIGRATIONS: &[Migration] = &[
    include_str!("../../migrations/0001_begin.sql"),
    include_str!("../../migrations/0002_webhooks.sql"),
    include_str!("../../migrations/0003_streams.sql"),
    include_str!("../../migrations/0004_functions.sql"),
    include_str!("../../migrations/0005_buckets.sql"),
];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing is in it yet.
    Empty,
    /// A database of ours at this schema version.
    Schema(u32),
}

/// Looks at a database without changing it; refuses one that is not ours.
pub(crate) fn inspect(connection: &Connection, path: &Path) -> Result<Found, StoreError> {
    let look = || -> rusqlite::Result<Option<Found>> {
        // One moment for all of it: somebody else may be making the database right now.
        let connection = connection.unchecked_transaction()?;
        let id: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let count = "SELECT count(*) FROM sqlite_schema";
        let tables: u32 = connection.query_row(count, [], |row| row.get(0))?;
        match (id, tables) {
            (0, 0) => Ok(Some(Found::Empty)),
            (APPLICATION_ID, _) => {
                let sql = "SELECT schema_version FROM meta";
                let version = connection.query_row(sql, [], |row| row.get(0)).optional()?;
                Ok(version.map(Found::Schema))
            }
            _ => Ok(None),
        }
    };
    match look() {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(StoreError::NotOurs { path: path.to_owned() }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::NotOurs { path: path.to_owned() })
        }
        Err(error) => Err(StoreError::failed("read", path)(error)),
    }
}

/// Refuses a schema that is newer than `known`.
pub(crate) fn refuse_newer(found: Found, known: usize, path: &Path) -> Result<(), StoreError> {
    let known = u32::try_from(known).unwrap_or(u32::MAX);
    match found {
        Found::Schema(found) if found > known => {
            Err(StoreError::Newer { path: path.to_owned(), found, known })
        }
        _ => Ok(()),
    }
}

/// Applies the steps that are missing. An existing database is backed up first; the backup's path is returned.
pub(crate) fn migrate(
    config: &SqliteConfig,
    steps: &[Migration],
    clock: &dyn Clock,
) -> Result<Option<PathBuf>, StoreError> {
    let path = config.path.as_path();
    let mut connection = connect::plain(path).map_err(StoreError::failed("open", path))?;
    let found = inspect(&connection, path)?;
    refuse_newer(found, steps.len(), path)?;
    let version = match found {
        Found::Empty => 0,
        Found::Schema(version) => version,
    };
    if version as usize == steps.len() {
        return Ok(None);
    }
    // A command must not pull the schema away from under a server that is running.
    let _alone = match config.access {
        Access::Beside if version > 0 => Some(Lock::take(path)?),
        _ => None,
    };
    let saved = match found {
        Found::Empty => None,
        Found::Schema(_) => Some(save(config, steps.len(), clock.now())?),
    };
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| apply(&mut connection, steps))
        .map_err(StoreError::failed("migrate", path))?;
    let backup = saved.as_ref().map(|path| tracing::field::display(path.display()));
    tracing::info!(from = version, to = steps.len(), backup, "the database was migrated");
    Ok(saved)
}

fn save(config: &SqliteConfig, target: usize, now: Timestamp) -> Result<PathBuf, StoreError> {
    let saved = config.backup_path(&format!("before-v{target}"), now)?;
    backup::backup(&config.path, &saved, &mut |_| {})?;
    Ok(saved)
}

fn apply(connection: &mut Connection, steps: &[Migration]) -> rusqlite::Result<()> {
    // A new database gets all steps at once, so that nobody ever sees half a schema and takes it for an old one.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if version(&transaction)? == 0 {
        for (number, step) in (1_u32..).zip(steps) {
            take(&transaction, number, step)?;
        }
        return transaction.commit();
    }
    drop(transaction);
    for (number, step) in (1_u32..).zip(steps) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Looked up inside the transaction: another process may have migrated in the meantime.
        if version(&transaction)? < number {
            take(&transaction, number, step)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

fn take(connection: &Connection, number: u32, step: Migration) -> rusqlite::Result<()> {
    connection.execute_batch(step)?;
    connection.execute("UPDATE meta SET schema_version = ?1", [number])?;
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'";
    if connection.query_row(sql, [], |row| row.get::<_, u32>(0))? == 0 {
        return Ok(0);
    }
    connection.query_row("SELECT schema_version FROM meta", [], |row| row.get(0))
}

#[cfg(test)]
mod tests;
