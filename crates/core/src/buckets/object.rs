//! What is known of an object, and how objects are listed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Checksum;

/// The version of what is written while versioning is off or suspended.
pub const NULL_VERSION: &str = "null";

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Unique within its bucket, together with the version.
    pub key: String,
    /// [`NULL_VERSION`], or 32 hexadecimal digits that grow with time.
    pub version: String,
    /// Whether it only says that the object was deleted; then it has no bytes.
    pub marker: bool,
    /// Whether it is the newest version of its key.
    pub latest: bool,
    /// In bytes.
    pub size: u64,
    /// Without quotes. MD5 in hexadecimal when its writer asked for that; otherwise it has a `-`.
    pub etag: String,
    /// CRC-64/NVME of all bytes.
    pub crc64: u64,
    /// The checksum its writer asked for.
    pub checksum: Option<Checksum>,
    /// When it was written.
    pub modified: Timestamp,
    /// What is sent along with its bytes.
    pub head: ObjectHead,
    /// What people put on it, for rules and costs.
    pub tags: BTreeMap<String, String>,
    /// Where its bytes are, in order. Listings leave it out when there is more than one.
    pub pieces: Vec<Piece>,
}

impl Default for Object {
    fn default() -> Self {
        Self {
            key: String::new(),
            version: NULL_VERSION.to_owned(),
            marker: false,
            latest: true,
            size: 0,
            etag: String::new(),
            crc64: 0,
            checksum: None,
            modified: Timestamp::UNIX_EPOCH,
            head: ObjectHead::default(),
            tags: BTreeMap::new(),
            pieces: Vec::new(),
        }
    }
}

/// What is sent along with an object's bytes, as its writer said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectHead {
    /// Media type; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Expires`, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Names (lower case) and values that mean something to its writer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl ObjectHead {
    /// A head that says nothing but a media type.
    pub fn of_type(content_type: impl Into<String>) -> Self {
        Self { content_type: content_type.into(), ..Self::default() }
    }
}

/// Bytes of an object in one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The blob's name.
    pub blob: String,
    /// In bytes.
    pub size: u64,
    /// CRC-64/NVME.
    pub crc64: u64,
}

/// What a bucket holds. All of it counts for quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many objects there are, each counted once.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Older versions and delete markers.
    pub older: u64,
    /// Bytes of older versions.
    pub older_bytes: u64,
    /// Uploads that are not complete.
    pub uploads: u64,
    /// Bytes of their parts.
    pub uploaded_bytes: u64,
}

impl Usage {
    /// All bytes.
    pub fn all_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.older_bytes).saturating_add(self.uploaded_bytes)
    }

    /// Whether the bucket holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.objects == 0 && self.older == 0 && self.uploads == 0
    }
}

/// A page that is asked for. Items come in the order of the bytes of their keys; versions of a key, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys with this after the prefix are told as one group, which ends with it. An empty one is none.
    pub delimiter: Option<String>,
    /// Only what comes after this.
    pub after: Option<Position>,
    /// Older versions and delete markers, too.
    pub versions: bool,
    /// Objects and groups, at most.
    pub limit: u32,
}

/// A place in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// A key, or a group. What begins with a group comes with it, not after it.
    pub key: String,
    /// The version after which the versions of the key go on; empty: all of them are passed. As [`Listed::next`] says
    /// it; a plain version is understood, too.
    pub version: String,
}

impl Position {
    /// After all versions of `key`, or after a group.
    pub fn after(key: impl Into<String>) -> Self {
        Self { key: key.into(), version: String::new() }
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Objects, in order.
    pub objects: Vec<Object>,
    /// Groups, in order.
    pub prefixes: Vec<String>,
    /// Where to go on; `None` at the end.
    pub next: Option<Position>,
}
