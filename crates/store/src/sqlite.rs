//! State in one SQLite file: one thread that writes, a few connections that read.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use flagbase_core::clock::Clock;
use jiff::Timestamp;

use self::{
    backup::Progress, error::StoreError, lock::Lock, migrations::MIGRATIONS, readers::Readers, writer::Writer,
};

mod accounts;
pub(crate) mod backup;
mod catalog;
mod changelog;
mod columns;
mod connect;
mod deliveries;
mod doubt;
pub(crate) mod error;
mod fault;
mod keyvalue;
mod ledger;
mod lock;
mod migrations;
mod objects;
mod occasions;
mod readers;
pub(crate) mod restore;
mod streams;
mod uploads;
mod vault;
mod writer;

/// Where the database is and how it is used.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database file; made when it does not exist.
    pub path: PathBuf,
    /// Where copies go that are made before a migration or a restore; made when it does not exist.
    pub backup_dir: PathBuf,
    /// Connections that read, at most.
    pub readers: usize,
    /// Who opens it.
    pub access: Access,
}

/// Who opens a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A server: the only one, for as long as it runs.
    Serve,
    /// A command, perhaps beside a running server.
    Beside,
}

impl SqliteConfig {
    /// The database at `path` for a server, with backups in `backups` beside it and four readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let backup_dir = path.parent().unwrap_or(Path::new("")).join("backups");
        Self { path, backup_dir, readers: 4, access: Access::Serve }
    }

    /// The same for a command that may run beside a server.
    #[must_use]
    pub fn beside(mut self) -> Self {
        self.access = Access::Beside;
        self
    }

    /// `<backup_dir>/<name>-<why>-<time>.db`, its directory made.
    fn backup_path(&self, why: &str, now: Timestamp) -> Result<PathBuf, StoreError> {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let time = now.strftime("%Y%m%dT%H%M%SZ");
        std::fs::create_dir_all(&self.backup_dir).map_err(StoreError::failed("create", &self.backup_dir))?;
        Ok(self.backup_dir.join(format!("{name}-{why}-{time}.db")))
    }
}

/// All ports of state, and the streams of the bus, in one SQLite file. Clones share it; the last one to go writes what
/// is queued and closes the file.
#[derive(Debug, Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // The order matters: the writer ends before the lock is given back.
    writer: Writer,
    readers: Arc<Readers>,
    path: PathBuf,
    _lock: Option<Lock>,
}

impl Sqlite {
    /// Opens the database, makes it when there is none, and migrates it when it is old (after a backup into
    /// `config.backup_dir`). Blocks.
    ///
    /// # Errors
    /// Refuses a file that is not ours, one that a newer version wrote, and, with [`Access::Serve`], one that
    /// another server uses.
    pub fn open(config: &SqliteConfig, clock: &dyn Clock) -> Result<Self, StoreError> {
        let path = config.path.as_path();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(StoreError::failed("create", parent))?;
        }
        let lock = match config.access {
            Access::Serve => Some(Lock::take(path)?),
            Access::Beside => None,
        };
        connect::create(path).map_err(StoreError::failed("create", path))?;
        doubt::settle(path)?;
        migrations::migrate(config, MIGRATIONS, clock)?;
        let connection = connect::writer(path).map_err(StoreError::failed("open", path))?;
        let writer = Writer::start(connection).map_err(StoreError::failed("open", path))?;
        let readers = Readers::new(path.to_owned(), config.readers);
        let inner = Inner { writer, readers, path: path.to_owned(), _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Copies the database to `dest` while it is in use; see `flagbase_store::backup`.
    pub async fn backup<F>(&self, dest: PathBuf, mut progress: F) -> Result<(), StoreError>
    where
        F: FnMut(Progress) + Send + 'static,
    {
        let source = self.inner.path.clone();
        let task = tokio::task::spawn_blocking(move || backup::backup(&source, &dest, &mut progress));
        task.await.map_err(StoreError::failed("back up", self.path()))?
    }

    /// Lets SQLite verify every page and index. Reads the whole file.
    pub async fn check(&self) -> Result<(), StoreError> {
        let path = self.inner.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            let connection = connect::reader(&path).map_err(StoreError::failed("open", &path))?;
            backup::check(&connection, &path)
        });
        task.await.map_err(StoreError::failed("check", self.path()))?
    }

    /// Writes what is queued, then refuses everything; all clones are closed by it.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            inner.writer.stop();
            inner.readers.close();
        });
        if task.await.is_err() {
            tracing::error!("the store was not closed properly");
        }
    }
}

#[cfg(test)]
mod tests;
