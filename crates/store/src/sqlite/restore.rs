//! Puts a backup in the database's place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flagbase_core::clock::Clock;
use rusqlite::ErrorCode;

use super::{
    SqliteConfig,
    backup::{self, Progress},
    connect::{self, beside},
    error::StoreError,
    lock::Lock,
    migrations::{self, Found, MIGRATIONS},
};

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the replaced database is kept; `None` when there was none.
    pub replaced: Option<PathBuf>,
    /// Schema version of what was restored; the next start migrates it when it is old.
    pub schema: u32,
}

/// Replaces the database of `config` by the backup at `source`. The backup is verified first, a running
/// server refuses it, and the replaced database is kept in `config.backup_dir`. Blocks.
pub fn restore(
    source: &Path,
    config: &SqliteConfig,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored, StoreError> {
    let dest = config.path.as_path();
    let connection = connect::plain(source).map_err(StoreError::failed("open", source))?;
    let found = migrations::inspect(&connection, source)?;
    migrations::refuse_newer(found, MIGRATIONS.len(), source)?;
    let Found::Schema(schema) = found else {
        return Err(StoreError::NotOurs { path: source.to_owned() });
    };
    backup::check(&connection, source)?;
    let _alone = Lock::take(dest)?;
    let partial = backup::copy(&connection, source, dest, progress)?;
    let replaced = if dest.exists() {
        let kept = config.backup_path("before-restore", clock.now())?;
        keep(dest, &kept)?;
        Some(kept)
    } else {
        None
    };
    partial.publish(dest)?;
    Ok(Restored { replaced, schema })
}

/// Keeps a copy of the database that is about to be replaced, and leaves no log that would be replayed into
/// the new one.
fn keep(dest: &Path, kept: &Path) -> Result<(), StoreError> {
    let whole = fold_log(dest)?;
    fs::copy(dest, kept)
        .and_then(|_| fs::File::open(kept)?.sync_all())
        .and_then(|()| backup::sync_directory(kept))
        .map_err(StoreError::failed("write", kept))?;
    if !whole {
        // Too damaged to be folded: keep the log as well, then take it away.
        for suffix in ["-wal", "-shm"] {
            let log = beside(dest, suffix);
            if log.exists() {
                fs::copy(&log, beside(kept, suffix))
                    .and_then(|_| fs::remove_file(&log))
                    .map_err(StoreError::failed("move away", &log))?;
            }
        }
    }
    Ok(())
}

/// Moves the log into the database file; `false` when the file cannot be read as a database.
fn fold_log(dest: &Path) -> Result<bool, StoreError> {
    let fold = || -> rusqlite::Result<()> {
        let connection = connect::plain(dest)?;
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode == "delete" {
            return Ok(());
        }
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
    };
    match fold() {
        Ok(()) => Ok(true),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Err(StoreError::InUse { path: dest.to_owned() })
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Ok(false),
            _ => Err(StoreError::failed("read", dest)(error)),
        },
    }
}

#[cfg(test)]
mod tests;
