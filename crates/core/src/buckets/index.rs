//! The port behind which it is kept which object is in which blobs.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Listed, Listing, Object, ObjectHead, Quota, Usage};
use crate::catalog::{BoxError, Change, Commit, DocumentId};

/// What must be true when an object is written or removed; looked at in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Of what is there now under the key.
    pub condition: Condition,
    /// How much the bucket may hold.
    pub quota: Quota,
}

/// What must be there under a key. A delete marker is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Whatever.
    #[default]
    Any,
    /// Nothing (`If-None-Match: *`).
    Absent,
    /// Something (`If-Match: *`).
    Present,
    /// Something with one of these `ETag`s (`If-Match`).
    Etag(Vec<String>),
}

impl Condition {
    /// Whether it holds for what is there now.
    pub fn holds(&self, now: Option<&Object>) -> bool {
        let now = now.filter(|object| !object.marker);
        match self {
            Self::Any => true,
            Self::Absent => now.is_none(),
            Self::Present => now.is_some(),
            Self::Etag(etags) => now.is_some_and(|object| etags.contains(&object.etag)),
        }
    }
}

/// What was written, what is nobody's any more, and what was logged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placed {
    /// What was written or removed; `None` when nothing was there to remove.
    pub object: Option<Object>,
    /// Blobs that belong to nothing any more.
    pub freed: Vec<String>,
    /// The changes, as logged.
    pub changes: Vec<Change>,
}

/// How an object is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// This version goes for good; the one before it becomes the newest.
    Version(String),
    /// A marker takes the newest place; what has the marker's version goes.
    Marker(Box<Object>),
}

/// What is said anew of a version. What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Amendment {
    /// In place of all tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// In place of the head.
    pub head: Option<ObjectHead>,
    /// What the version must be now.
    pub condition: Condition,
}

/// Keeps which objects there are, and counts what buckets hold. Every implementation passes `testkit::objects`.
///
/// What is kept of a bucket goes with its document, in the same transaction.
#[async_trait]
pub trait ObjectIndex: Send + Sync {
    /// Notes an object as the newest of its key, in place of the same version, and logs `commit`, together.
    async fn put(
        &self,
        bucket: &DocumentId,
        object: Object,
        terms: Terms,
        commit: Commit,
    ) -> Result<Placed, IndexError>;

    /// A version of the object under `key`, or the newest, which may be a marker.
    async fn get(
        &self,
        bucket: &DocumentId,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Object>, IndexError>;

    /// Removes an object when the condition holds, and logs `commit`, together; when there is nothing to remove, nothing
    /// is logged. A marker is written even when there was nothing.
    async fn delete(
        &self,
        bucket: &DocumentId,
        key: &str,
        (deletion, condition): (Deletion, Condition),
        commit: Commit,
    ) -> Result<Placed, IndexError>;

    /// Says something else of a version, or of the newest, and logs `commit`, together. `None` when there is none, or
    /// when it is a marker.
    async fn amend(
        &self,
        bucket: &DocumentId,
        (key, version): (&str, Option<&str>),
        amendment: Amendment,
        commit: Commit,
    ) -> Result<Option<Placed>, IndexError>;

    /// A page of a bucket. A group is passed by one step, however many keys are in it.
    async fn list(&self, bucket: &DocumentId, listing: &Listing) -> Result<Listed, IndexError>;

    /// How much is in the bucket; reads one row.
    async fn usage(&self, bucket: &DocumentId) -> Result<Usage, IndexError>;

    /// Which of these blobs belong to no object and no upload, in order.
    async fn strays(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError>;
}

/// All that the ports of objects and uploads can report. What is refused was not written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is no such bucket.
    #[error("there is no such bucket")]
    NoBucket,
    /// There is no such upload.
    #[error("there is no such upload")]
    NoUpload,
    /// The parts that were named are not those that are kept.
    #[error("a part is not what was said of it")]
    BadPart,
    /// What is there is not what was expected.
    #[error("the object is not what was expected")]
    Precondition,
    /// The bucket may hold so many objects, older versions included.
    #[error("the bucket may hold {0} objects")]
    QuotaObjects(u64),
    /// The bucket may hold so many bytes, older versions and uploads included.
    #[error("the bucket may hold {0} bytes")]
    QuotaBytes(u64),
    /// The store does not answer, or cannot write (a full disk).
    #[error("the index of objects is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored of objects makes no sense")]
    Corrupt(#[source] BoxError),
}
