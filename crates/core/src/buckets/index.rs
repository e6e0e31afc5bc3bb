//! The port behind which it is kept which object is in which blob.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::catalog::{BoxError, Change, Commit, DocumentId};

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Unique within its bucket.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// Media type, as its writer said; may be empty.
    pub content_type: String,
    /// Hexadecimal; the same bytes have the same one.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// The blob that holds its bytes.
    pub blob: String,
}

/// What a write took the place of, and what was logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Replaced {
    /// What was there before; its blob is nobody's any more.
    pub before: Option<Object>,
    /// The changes, as logged.
    pub changes: Vec<Change>,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Keeps which objects there are. Every implementation passes `testkit::objects`.
///
/// What is kept of a bucket goes with its document, in the same transaction.
#[async_trait]
pub trait ObjectIndex: Send + Sync {
    /// Notes an object in place of the one under its key, and logs `commit`, together. `None` when there is no such
    /// bucket: then nothing is written.
    async fn put(
        &self,
        bucket: &DocumentId,
        object: Object,
        commit: Commit,
    ) -> Result<Option<Replaced>, IndexError>;

    /// The object under `key`.
    async fn get(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, IndexError>;

    /// Forgets the object under `key` and logs `commit`, together; when there is none, nothing is logged.
    async fn delete(&self, bucket: &DocumentId, key: &str, commit: Commit) -> Result<Replaced, IndexError>;

    /// Objects whose keys begin with `prefix`, in the order of their bytes, after `after`, at most `limit`.
    async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, IndexError>;

    /// How much is in the bucket.
    async fn usage(&self, bucket: &DocumentId) -> Result<Usage, IndexError>;

    /// Which of these blobs belong to no object.
    async fn strays(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError>;
}

/// All that the port can report.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store does not answer, or cannot write (a full disk).
    #[error("the index of objects is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored of objects makes no sense")]
    Corrupt(#[source] BoxError),
}
