//! Blobs in a directory: a file for each.
//!
//! The blob `functions/a1` is the file `functions/a1.blob`. A write goes to a file of its own beside it
//! (`.<number>.part`), is synced, takes the name, and is there once the directory is synced, too. So at every moment a
//! name has all of one write or all of another; what a crash left half written has no name and is removed at the next
//! start.

mod names;
mod part;

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use flagbase_core::{
    blobs::{BlobError, Blobs, Kept, Reading},
    functions::{BodyFault, BodyStream},
};
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use part::Part;

/// Bytes written by one step; smaller parts of a stream are put together until there are so many.
const STEP: usize = 256 << 10;

/// Bytes read by one step.
const READ: usize = 64 << 10;

/// Blobs in a directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Files {
    base: Arc<Path>,
    parts: Arc<AtomicU64>,
}

impl Files {
    /// Blobs below `base`, which is made when it is not there; removes what a crash left half written. Blocks.
    pub fn open(base: &Path) -> Result<Self, BlobError> {
        part::make_directory(base).map_err(fault)?;
        let stale = names::remove_parts(base).map_err(fault)?;
        if stale > 0 {
            tracing::info!(files = stale, "removed what was half written when flagbase stopped");
        }
        Ok(Self { base: base.into(), parts: Arc::default() })
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
    async fn put(&self, name: &str, mut bytes: BodyStream) -> Result<Kept, BlobError> {
        let (path, number) = (self.path(name)?, self.parts.fetch_add(1, Ordering::Relaxed));
        let base = Arc::clone(&self.base);
        let mut part = blocking(move || Part::begin(&base, path, number)).await?;
        let mut held = BytesMut::new();
        while let Some(next) = bytes.next().await {
            let mut rest = next?;
            // However large a part is, one step hashes and writes only so much.
            while held.len() + rest.len() >= STEP {
                let now = rest.split_to(STEP - held.len());
                let step = join(&mut held, now);
                part = blocking(move || part.write(&step)).await?;
            }
            held.extend_from_slice(&rest);
        }
        blocking(move || part.write(&held)?.keep()).await
    }

    async fn get(&self, name: &str, range: Option<(u64, u64)>) -> Result<Option<Reading>, BlobError> {
        let path = self.path(name)?;
        let Some((file, size, length)) = blocking(move || open(&path, range)).await? else {
            return Ok(None);
        };
        let parts = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(length), READ);
        let bytes = parts.map(|part| part.map_err(|error| BodyFault::Broken(error.to_string())));
        Ok(Some(Reading { size, bytes: Box::pin(bytes) }))
    }

    async fn delete(&self, name: &str) -> Result<(), BlobError> {
        let path = self.path(name)?;
        blocking(move || match std::fs::remove_file(&path) {
            Ok(()) => part::sync_directory_of(&path),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }

    async fn list(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, BlobError> {
        let (base, prefix, after) = (Arc::clone(&self.base), prefix.to_owned(), after.to_owned());
        blocking(move || names::list(&base, &prefix, &after, limit as usize)).await
    }
}

/// `held` and `now` as one, without a copy when nothing is held.
fn join(held: &mut BytesMut, now: Bytes) -> Bytes {
    if held.is_empty() {
        return now;
    }
    held.extend_from_slice(&now);
    held.split().freeze()
}

/// The file at `path` at the beginning of `range`, its size, and how much of it is to be read.
fn open(path: &Path, range: Option<(u64, u64)>) -> io::Result<Option<(File, u64, u64)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let (from, to) = range.unwrap_or((0, size));
    let to = to.min(size);
    if from > 0 {
        file.seek(SeekFrom::Start(from.min(size)))?;
    }
    Ok(Some((file, size, to.saturating_sub(from))))
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
mod tests;
