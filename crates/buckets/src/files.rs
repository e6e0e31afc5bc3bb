//! Blobs in a directory: a file for each.
//!
//! The blob `functions/a1` is the file `functions/a1.blob`. A write goes to a file of its own beside it
//! (`.<number>.part`), is synced, takes the name, and is there once the directory is synced, too. So at every moment a
//! name has all of one write or all of another; what a crash left half written has no name and is removed at the next
//! start.

mod directories;
mod names;
mod opened;
mod part;
mod reading;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use flagbase_core::{
    blobs::{BlobError, Blobs, Reading},
    functions::BodyStream,
};
use futures_util::StreamExt as _;

use directories::Directories;
use opened::OpenFiles;
use part::Part;
use reading::Wanted;

/// Bytes written by one step; smaller parts of a stream are written together once there are so many.
const STEP: usize = 512 << 10;

/// Blobs in a directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Files {
    base: Arc<Path>,
    directories: Arc<Directories>,
    parts: Arc<AtomicU64>,
    open: Arc<OpenFiles>,
}

impl Files {
    /// Blobs below `base`, which is made when it is not there; removes what a crash left half written. Blocks.
    pub fn open(base: &Path) -> Result<Self, BlobError> {
        directories::make_base(base).map_err(fault)?;
        let stale = names::remove_parts(base).map_err(fault)?;
        if stale > 0 {
            tracing::info!(files = stale, "removed what was half written when flagbase stopped");
        }
        let base: Arc<Path> = base.into();
        let directories = Arc::new(Directories::below(Arc::clone(&base)));
        Ok(Self { base, directories, parts: Arc::default(), open: Arc::default() })
    }

    /// A write that nothing was written of yet.
    fn writing(&self, becomes: PathBuf) -> Part {
        Part::of(Arc::clone(&self.directories), becomes, self.parts.fetch_add(1, Ordering::Relaxed))
    }

    fn path(&self, name: &str) -> Result<PathBuf, BlobError> {
        names::path(&self.base, name).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            BlobError::Unavailable(format!("`{shown}` is no name of a blob").into())
        })
    }
}

#[async_trait]
impl Blobs for Files {
    async fn put(&self, name: &str, mut bytes: BodyStream) -> Result<u64, BlobError> {
        let path = self.path(name)?;
        let mut writing = Some(self.writing(path));
        let (mut held, mut size) = (Vec::new(), 0);
        while let Some(next) = bytes.next().await {
            let mut rest = next?;
            // However large a part is, one step writes only so much.
            while size + rest.len() >= STEP {
                held.push(rest.split_to(STEP - size));
                let (step, now) = (std::mem::take(&mut held), writing.take());
                writing = Some(blocking(move || begun(now)?.write(&step)).await?);
                size = 0;
            }
            size += rest.len();
            if !rest.is_empty() {
                held.push(rest);
            }
        }
        let kept = blocking(move || begun(writing)?.write(&held)?.keep()).await;
        self.open.forget(name);
        kept
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, BlobError> {
        let (from, writing) = (self.path(from)?, self.writing(self.path(to)?));
        let linked = blocking(move || writing.link(&from)).await;
        self.open.forget(to);
        linked
    }

    async fn get(&self, name: &str, range: Option<(u64, u64)>) -> Result<Option<Reading>, BlobError> {
        let opened = match self.open.get(name) {
            Ok(opened) => opened,
            Err(before) => {
                let path = self.path(name)?;
                let Some(opened) = blocking(move || reading::open(&path)).await? else { return Ok(None) };
                self.open.keep(name, &opened, before);
                opened
            }
        };
        let (size, wanted) = (opened.size, Wanted::new(opened, range));
        let file = Some(wanted.part());
        Ok(Some(Reading { size, bytes: wanted.stream(), file }))
    }

    async fn delete(&self, name: &str) -> Result<(), BlobError> {
        let path = self.path(name)?;
        let removed = blocking(move || match std::fs::remove_file(&path) {
            Ok(()) => directories::sync_directory_of(&path),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        })
        .await;
        self.open.forget(name);
        removed
    }

    async fn list(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, BlobError> {
        let (base, prefix, after) = (Arc::clone(&self.base), prefix.to_owned(), after.to_owned());
        blocking(move || names::list(&base, &prefix, &after, limit as usize)).await
    }
}

/// The part that is being written; there is always one.
fn begun(writing: Option<Part>) -> io::Result<Part> {
    writing.ok_or_else(|| io::Error::other("a part that failed is written on"))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Runs `work` where waiting for a disk holds up nobody else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BlobError::Unavailable(error.into()))?.map_err(fault)
}

fn fault(error: io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            BlobError::Full
        }
        _ => BlobError::Unavailable(error.into()),
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
