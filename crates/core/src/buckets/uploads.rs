//! The port behind which uploads are kept that are not complete: parts on their way to an object.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Algorithm, Checksum, IndexError, Listing, Object, ObjectHead, Piece, Placed, Position, Quota, Terms,
};
use crate::catalog::{Commit, DocumentId};

/// The highest number of a part; the lowest is 1.
pub const MOST_PARTS: u32 = 10_000;

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// 32 hexadecimal digits that grow with time.
    pub id: String,
    /// The key of what it becomes.
    pub key: String,
    /// The head of what it becomes.
    pub head: ObjectHead,
    /// The tags of what it becomes.
    pub tags: BTreeMap<String, String>,
    /// What kind of upload it is, and what its writer keeps of it.
    pub form: UploadForm,
    /// When it was begun.
    pub begun: Timestamp,
}

/// What kind of upload it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct UploadForm {
    /// How many bytes it will be, when that was said: then parts are appended one after another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The checksum of the whole that was asked for, and whether it is one of the parts' checksums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<(Algorithm, bool)>,
    /// Who began it: `user:<email>`, `key:<id>`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Anything that a façade keeps with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// A part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPart {
    /// From 1 to [`MOST_PARTS`].
    pub number: u32,
    /// Its bytes.
    pub piece: Piece,
    /// MD5 in hexadecimal, or another word with a `-`.
    pub etag: String,
    /// The checksum that was asked for.
    pub checksum: Option<Checksum>,
    /// When it was written.
    pub modified: Timestamp,
}

/// A page of uploads, by key and then by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadsListed {
    /// Uploads, in order, and how many bytes of each there are.
    pub uploads: Vec<(Upload, u64)>,
    /// Groups of keys, in order.
    pub prefixes: Vec<String>,
    /// Where to go on: a key, and an id in place of the version; `None` at the end.
    pub next: Option<Position>,
}

/// Keeps uploads and their parts. Every implementation passes `testkit::uploads`.
///
/// What is kept of a bucket goes with its document, in the same transaction.
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Notes a new upload.
    async fn begin(&self, bucket: &DocumentId, upload: Upload) -> Result<(), IndexError>;

    /// One upload.
    async fn get(&self, bucket: &DocumentId, id: &str) -> Result<Option<Upload>, IndexError>;

    /// Notes a part in place of the one with its number. Returns the blobs that are nobody's any more.
    async fn part(
        &self,
        bucket: &DocumentId,
        id: &str,
        part: UploadPart,
        quota: Quota,
    ) -> Result<Vec<String>, IndexError>;

    /// Parts by number, after `after`, at most `limit`.
    async fn parts(
        &self,
        bucket: &DocumentId,
        id: &str,
        after: u32,
        limit: u32,
    ) -> Result<Vec<UploadPart>, IndexError>;

    /// A page of uploads. Of [`Listing`] everything counts but `versions`; the position's version is an id.
    async fn list(&self, bucket: &DocumentId, listing: &Listing) -> Result<UploadsListed, IndexError>;

    /// Makes the upload an object, whose pieces are pieces of its parts, and logs `commit`, together. The upload is gone;
    /// blobs of parts that were not used are freed.
    async fn complete(
        &self,
        bucket: &DocumentId,
        id: &str,
        (object, terms): (Object, Terms),
        commit: Commit,
    ) -> Result<Placed, IndexError>;

    /// Forgets an upload. Returns its blobs; `None` when there is no such upload.
    async fn abort(&self, bucket: &DocumentId, id: &str) -> Result<Option<Vec<String>>, IndexError>;

    /// Uploads of all buckets that were begun before `before`, oldest first, at most `limit`.
    async fn stale(&self, before: Timestamp, limit: u32) -> Result<Vec<(DocumentId, Upload)>, IndexError>;
}
