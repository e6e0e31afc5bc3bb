//! Bytes under opaque names: the code of functions, and what is in buckets.

use std::{fs::File, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{catalog::BoxError, functions::BodyStream};

/// Keeps bytes. Names are ours, never those that people give: words of lower-case letters, digits and `-`, with `/`
/// between them. Every implementation passes `testkit::blobs`.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps what `bytes` brings under `name`, in place of what was there, all of it or nothing. Durable when this
    /// returns. Returns how many bytes.
    async fn put(&self, name: &str, bytes: BodyStream) -> Result<u64, BlobError>;

    /// Keeps what `from` holds under `to`, too, in place of what was there, without moving bytes where that can be.
    /// Durable when this returns. Returns whether there was something to copy.
    async fn copy(&self, from: &str, to: &str) -> Result<bool, BlobError>;

    /// The bytes of `name`, from byte `range.0` up to before `range.1`, in parts; `None` when there are none.
    async fn get(&self, name: &str, range: Option<(u64, u64)>) -> Result<Option<Reading>, BlobError>;

    /// Removes `name`; nothing happens when it is not there.
    async fn delete(&self, name: &str) -> Result<(), BlobError>;

    /// Names that begin with `prefix`, in order, after `after`, at most `limit`.
    async fn list(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, BlobError>;
}

/// Bytes being read.
pub struct Reading {
    /// Of the whole, in bytes.
    pub size: u64,
    /// The part asked for.
    pub bytes: BodyStream,
    /// Where the same bytes lie, when that is one file.
    pub file: Option<FilePart>,
}

/// Part of a file that nobody ever changes.
#[derive(Debug, Clone)]
pub struct FilePart {
    /// The file, whose own position means nothing.
    pub file: Arc<File>,
    /// The first byte.
    pub from: u64,
    /// The one after the last byte.
    pub to: u64,
}

/// A connection that sends files without reading them. Those that can do so leave one with each request.
#[derive(Clone)]
pub struct Direct(pub Arc<dyn SendFiles>);

/// See [`Direct`].
pub trait SendFiles: Send + Sync + 'static {
    /// A body that stands for a part of a file. It must go to that connection as it is, as the body of the answer to the
    /// request at hand, or not at all: the bytes it brings are not those of the file.
    fn body(self: Arc<Self>, part: FilePart) -> BodyStream;
}

/// Smaller files cost less to read.
pub const LEAST_SENT: u64 = 32 << 10;

/// All that a store of blobs can report.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no room left.
    #[error("there is no room left to store this")]
    Full,
    /// What was to be kept broke off before its end; nothing was kept.
    #[error(transparent)]
    Source(#[from] crate::functions::BodyFault),
    /// The store does not answer, or does not let us.
    #[error("the store of blobs is unavailable")]
    Unavailable(#[source] BoxError),
}

impl dyn Blobs + '_ {
    /// All bytes of `name`, when they are at most `most`; `None` when there are none.
    pub async fn whole(&self, name: &str, most: u64) -> Result<Option<Bytes>, BlobError> {
        let Some(Reading { size, bytes, .. }) = self.get(name, None).await? else {
            return Ok(None);
        };
        Ok(Some(crate::functions::Body::Stream(bytes, Some(size)).collect(most).await?))
    }
}
