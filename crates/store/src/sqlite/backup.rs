//! Online backup: a copy of one point in time, taken beside running writers.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

use super::{
    connect::{self, beside},
    error::StoreError,
    migrations::{self, Found},
};

/// Pages copied between two calls of the progress function (4 MiB).
const STEP: i32 = 1024;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Pages copied so far.
    pub done: u64,
    /// Pages in all.
    pub total: u64,
}

/// Copies the database at `source`, which may be in use, to `dest`; replaces what is there. The copy is
/// complete, checked and on disk before it gets its name. Blocks.
pub fn backup(source: &Path, dest: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), StoreError> {
    if same_file(source, dest) {
        let error = "it is the database itself: choose another path";
        return Err(StoreError::failed("back up to", dest)(error));
    }
    let connection = connect::plain(source).map_err(StoreError::failed("open", source))?;
    let found = migrations::inspect(&connection, source)?;
    if found == Found::Empty {
        return Err(StoreError::NotOurs { path: source.to_owned() });
    }
    let partial = copy(&connection, source, dest, progress)?;
    partial.publish(dest)
}

/// A finished, checked copy that has no name yet; removed when dropped.
pub(crate) struct Partial {
    path: PathBuf,
}

/// Copies `connection` into a temporary file beside `dest` and checks it.
pub(crate) fn copy(
    connection: &Connection,
    source: &Path,
    dest: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Partial, StoreError> {
    let path = beside(dest, &format!(".{}.partial", std::process::id()));
    drop(fs::remove_file(&path));
    connect::create(&path).map_err(StoreError::failed("write", &path))?;
    let partial = Partial { path };
    let mut target = connect::plain(&partial.path).map_err(StoreError::failed("open", &partial.path))?;
    copy_pages(connection, &mut target, progress).map_err(StoreError::failed("copy", source))?;
    // A copy is one file: no log beside it that could be left behind.
    target
        .pragma_update(None, "journal_mode", "DELETE")
        .map_err(StoreError::failed("write", &partial.path))?;
    check(&target, source)?;
    Ok(partial)
}

fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    // Held open, so that the copy is of one point in time and writers do not make it start over.
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT revision FROM meta", [], |row| row.get::<_, i64>(0))?;
    let copy = Backup::new(source, target)?;
    loop {
        let step = copy.step(STEP)?;
        let now = copy.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or(0);
        let total = pages(now.pagecount);
        progress(Progress { done: total.saturating_sub(pages(now.remaining)), total });
        if step == StepResult::Done {
            return Ok(());
        }
    }
}

/// Lets SQLite verify every page and index.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let finding: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(StoreError::failed("check", path))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), finding })
}

impl Partial {
    /// Puts the copy on disk and gives it its name, in one step that cannot be seen half done.
    pub(crate) fn publish(self, dest: &Path) -> Result<(), StoreError> {
        let publish = || {
            File::open(&self.path)?.sync_all()?;
            fs::rename(&self.path, dest)?;
            sync_directory(dest)
        };
        publish().map_err(StoreError::failed("write", dest))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already when it was published.
        drop(fs::remove_file(&self.path));
    }
}

/// Makes a rename in `path`'s directory durable.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests;
