//! Connections that only read, used on blocking threads, never on those that run async tasks.

use std::{path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{connect, fault::Fault};

/// A pool of connections, opened when first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, size: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(size.max(1)));
        Arc::new(Self { path, idle: Mutex::new(Vec::new()), permits })
    }

    /// Runs `query` on a connection of the pool.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T, Fault>
    where
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Fault::Closed)?;
        let pool = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let connection = pool.take()?;
            // When the query panics, its connection is dropped and another one is opened later.
            let answer = query(&connection);
            pool.idle.lock().push(connection);
            drop(permit);
            answer
        });
        task.await.unwrap_or(Err(Fault::Abandoned))
    }

    /// Refuses further reads and closes what is idle.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }

    fn take(&self) -> Result<Connection, Fault> {
        let idle = self.idle.lock().pop();
        idle.map_or_else(|| Ok(connect::reader(&self.path)?), Ok)
    }
}
