//! Objects: bytes in blobs, then an entry in the index. Whoever calls has looked at permissions.

mod copying;
mod guests;
mod multipart;
mod reading;
mod writing;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::json;

use super::{
    Amendment, Bucket, Condition, Deletion, IndexError, Listed, Listing, NULL_VERSION, Object, ObjectHead,
    ObjectIndex, Piece, Placed, TagFault, Terms, Uploads, Usage, Versioning, cache::Cache, check_tags,
    no_bucket,
};
use crate::{
    blobs::{BlobError, Blobs},
    catalog::{Actor, Commit, DocumentId, Draft, Expect, Write},
    feed::Feed,
    functions::BodyFault,
    refusal::{Class, Refusal},
};

pub use copying::{Copying, Fits};
pub use multipart::{Appended, Begin, Complete, PartOf};
pub use reading::{Part, Pick};
pub use writing::Put;

/// The longest key, in bytes.
pub const MOST_KEY: usize = 1024;

/// The longest page of objects.
pub const MOST_LISTED: u32 = 1000;

/// The longest header of an object, in bytes.
const MOST_HEADER: usize = 4096;

/// Names and values of an object's metadata, together, in bytes.
const MOST_METADATA: usize = 8 * 1024;

/// Tags of an object, at most, as S3 has it.
const MOST_TAGS: usize = 10;

/// What the names of blobs begin with that hold objects.
pub(super) const BLOBS: &str = "objects/";

/// Objects removed at once, each in its turn of the same commit.
const AT_ONCE: usize = 64;

/// Reads and writes objects.
pub struct Objects {
    pub(super) feed: Arc<Feed>,
    pub(super) index: Arc<dyn ObjectIndex>,
    pub(super) uploads: Arc<dyn Uploads>,
    pub(super) blobs: Arc<dyn Blobs>,
    cache: Cache,
    /// Uploads that are appended to right now.
    appending: Mutex<HashSet<String>>,
}

impl Objects {
    pub(super) fn new(
        feed: Arc<Feed>,
        (index, uploads): (Arc<dyn ObjectIndex>, Arc<dyn Uploads>),
        blobs: Arc<dyn Blobs>,
    ) -> Self {
        Self { feed, index, uploads, blobs, cache: Cache::default(), appending: Mutex::default() }
    }

    /// The bucket called `name`, as this node knows it; whoever asks.
    pub fn bucket(&self, environment: &str, name: &str) -> Result<Arc<Bucket>, Refusal> {
        let snapshot = self.feed.snapshots().load();
        let environment = snapshot.require_environment(environment)?;
        let found = environment.buckets.get(name).map(Arc::clone);
        found.ok_or_else(|| super::missing(environment, name))
    }

    pub(super) fn bucket_of(&self, id: &DocumentId) -> Result<Arc<Bucket>, Refusal> {
        self.bucket(&id.environment, &id.key)
    }

    /// A version of the object under `key`, or the newest. A delete marker is told only when its version is asked for.
    pub async fn head(
        &self,
        bucket: &Bucket,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Arc<Object>>, Refusal> {
        if let Some(version) = version {
            return Ok(self.index.get(&bucket.id, key, Some(version)).await?.map(Arc::new));
        }
        // Before the index is read: a change that comes after this moment makes what is kept below worthless.
        let stamp = self.feed.epochs().of_object(&bucket.id.key, key);
        if let Some(known) = self.cache.get(bucket, key, stamp) {
            return Ok(Some(known));
        }
        let found = self.index.get(&bucket.id, key, None).await?.filter(|object| !object.marker);
        let found = found.map(Arc::new);
        if let Some(object) = &found {
            self.cache.keep(bucket, object, stamp);
        }
        Ok(found)
    }

    /// The newest version of the object under `key`, even when it is a delete marker.
    pub async fn newest(&self, bucket: &Bucket, key: &str) -> Result<Option<Object>, Refusal> {
        Ok(self.index.get(&bucket.id, key, None).await?)
    }

    /// Removes the object under `key`, or this version of it. While versions are kept, what is removed without naming its
    /// version is only hidden by a marker. Returns the marker, or what was removed; `None` when there was nothing.
    pub async fn delete(
        &self,
        actor: Actor,
        bucket: &Bucket,
        (key, version): (&str, Option<&str>),
        condition: Condition,
    ) -> Result<Option<Object>, Refusal> {
        if key.is_empty() || key.len() > MOST_KEY {
            return Ok(None);
        }
        let deletion = self.deletion(bucket, key, version);
        let told = match &deletion {
            Deletion::Marker(marker) => (**marker).clone(),
            Deletion::Version(version) => {
                let found = self.index.get(&bucket.id, key, Some(version)).await?;
                match found {
                    Some(object) => object,
                    // The index still looks at the condition.
                    None if condition == Condition::Any => return Ok(None),
                    None => Object { key: key.to_owned(), version: version.clone(), ..Object::default() },
                }
            }
        };
        let commit = self.told(actor, &bucket.id, "object_deleted", &told);
        let removed = self.index.delete(&bucket.id, key, (deletion, condition), commit).await;
        self.settle(removed.map_err(|error| Self::refused(bucket, error))?).await
    }

    fn deletion(&self, bucket: &Bucket, key: &str, version: Option<&str>) -> Deletion {
        match (version, bucket.settings.versioning) {
            (Some(version), _) => Deletion::Version(version.to_owned()),
            (None, Versioning::Off) => Deletion::Version(NULL_VERSION.to_owned()),
            (None, Versioning::Enabled | Versioning::Suspended) => Deletion::Marker(Box::new(Object {
                key: key.to_owned(),
                version: self.version(bucket),
                marker: true,
                modified: self.feed.clock().now(),
                ..Object::default()
            })),
        }
    }

    /// Removes many objects; each has an answer of its own, in order.
    pub async fn delete_many(
        &self,
        actor: &Actor,
        bucket: &Bucket,
        which: &[(String, Option<String>)],
    ) -> Vec<Result<Option<Object>, Refusal>> {
        let mut answers = Vec::with_capacity(which.len());
        for some in which.chunks(AT_ONCE) {
            let each = some.iter().map(|(key, version)| {
                self.delete(actor.clone(), bucket, (key, version.as_deref()), Condition::Any)
            });
            answers.extend(futures_util::future::join_all(each).await);
        }
        answers
    }

    /// Says something else of an object, or of a version of it; `None` when there is none.
    pub async fn amend(
        &self,
        actor: Actor,
        bucket: &Bucket,
        (key, version): (&str, Option<&str>),
        amendment: Amendment,
    ) -> Result<Option<Object>, Refusal> {
        let nothing = BTreeMap::new();
        let head = amendment.head.clone().unwrap_or_default();
        check((key, &head, amendment.tags.as_ref().unwrap_or(&nothing)))?;
        let Some(mut object) = self.index.get(&bucket.id, key, version).await?.filter(|it| !it.marker) else {
            return Ok(None);
        };
        object.head = amendment.head.clone().unwrap_or(object.head);
        let commit = self.told(actor, &bucket.id, "object_updated", &object);
        let placed = self.index.amend(&bucket.id, (key, version), amendment, commit).await;
        match placed.map_err(|error| Self::refused(bucket, error))? {
            Some(placed) => self.settle(placed).await,
            None => Ok(None),
        }
    }

    /// A page of a bucket, of at most [`MOST_LISTED`] objects and groups.
    pub async fn list(&self, bucket: &Bucket, listing: &Listing) -> Result<Listed, Refusal> {
        let listing = Listing { limit: listing.limit.min(MOST_LISTED), ..listing.clone() };
        Ok(self.index.list(&bucket.id, &listing).await?)
    }

    /// How much is in a bucket.
    pub async fn usage(&self, bucket: &DocumentId) -> Result<Usage, Refusal> {
        Ok(self.index.usage(bucket).await?)
    }

    /// A name that was never used. Spread over directories by its last digits, which are random.
    fn blob_name(&self) -> String {
        let id = self.id();
        let spread = id.get(id.len().saturating_sub(2)..).unwrap_or_default();
        format!("{BLOBS}{spread}/{id}")
    }

    fn id(&self) -> String {
        self.feed.random().uuid7(self.feed.clock()).simple().to_string()
    }

    /// The version of what is written to `bucket` now.
    fn version(&self, bucket: &Bucket) -> String {
        match bucket.settings.versioning {
            Versioning::Enabled => self.id(),
            Versioning::Off | Versioning::Suspended => NULL_VERSION.to_owned(),
        }
    }

    pub(super) fn told(
        &self,
        actor: Actor,
        bucket: &DocumentId,
        verb: &'static str,
        object: &Object,
    ) -> Commit {
        let Object { key, size, head, etag, version, marker, .. } = object;
        let mut detail = json!({
            "bucket": bucket.key, "key": key, "size": size, "content_type": head.content_type, "etag": etag,
            "version": version,
        });
        if let (true, Some(members)) = (*marker, detail.as_object_mut()) {
            members.insert("marker".to_owned(), true.into());
        }
        let draft = Draft { id: bucket.clone(), verb, expect: Expect::Any, write: Write::Nothing, detail };
        self.feed.draft(actor, "", vec![draft])
    }

    /// Applies what was logged, and frees what is nobody's any more.
    async fn settle(&self, placed: Placed) -> Result<Option<Object>, Refusal> {
        let Placed { object, freed, changes } = placed;
        self.feed.applied(changes).await?;
        self.free(&freed).await;
        Ok(object)
    }

    /// Removes blobs that are nobody's any more; what stays is swept later.
    pub(super) async fn free(&self, blobs: &[String]) {
        for blob in blobs {
            if let Err(error) = self.blobs.delete(blob).await {
                tracing::warn!(blob, "what is no object any more stays for now: {error}");
            }
        }
    }

    /// Why the index did not do what it was asked.
    fn refused(bucket: &Bucket, error: IndexError) -> Refusal {
        if matches!(error, IndexError::NoBucket) { no_bucket(&bucket.id) } else { error.into() }
    }
}

/// What a key, a head and tags have to be.
fn check((key, head, tags): (&str, &ObjectHead, &BTreeMap<String, String>)) -> Result<(), Refusal> {
    if key.is_empty() || key.len() > MOST_KEY || key.contains('\0') {
        let message = format!("an object's key has 1 to {MOST_KEY} bytes, none of them zero");
        return Err(Refusal::fault("/key", message));
    }
    let plain =
        |text: &String| text.len() <= MOST_HEADER && !text.bytes().any(|byte| byte.is_ascii_control());
    if !plain(&head.content_type) {
        let message = format!("a media type has at most {MOST_HEADER} bytes, such as `image/png`");
        return Err(Refusal::fault("/content_type", message));
    }
    let others = [
        ("/cache_control", &head.cache_control),
        ("/content_disposition", &head.content_disposition),
        ("/content_encoding", &head.content_encoding),
        ("/content_language", &head.content_language),
        ("/expires", &head.expires),
    ];
    for (pointer, text) in others {
        if text.as_ref().is_some_and(|text| !plain(text)) {
            let message = format!("is no header: write at most {MOST_HEADER} bytes on one line");
            return Err(Refusal::fault(pointer, message));
        }
    }
    let size: usize = head.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    let name = |name: &String| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':')
    };
    if size > MOST_METADATA || !head.metadata.iter().all(|(key, value)| name(key) && plain(value)) {
        let message =
            format!("expected at most {MOST_METADATA} bytes; names are lower-case, values have one line");
        return Err(Refusal::fault("/metadata", message));
    }
    check_tags(tags, MOST_TAGS).map_err(|TagFault(message)| Refusal::fault("/tags", message))
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NoBucket => Self::not_found("bucket_not_found", "the bucket does not exist any more"),
            IndexError::NoUpload => Self::not_found(
                "upload_not_found",
                "there is no such upload; it was completed or given up, begin another one",
            ),
            IndexError::BadPart => Self::new(
                Class::Invalid,
                "invalid_part",
                "a part is missing, or is not what was said of it; list the parts and try again",
            ),
            IndexError::Precondition => Self::new(
                Class::Stale,
                "precondition_failed",
                "the object is not what was expected; read it again and repeat the change",
            ),
            IndexError::QuotaObjects(most) => Self::new(
                Class::Conflict,
                "quota_objects",
                format!(
                    "the bucket may hold {most} objects, older versions included; `flagbase bucket usage` tells how \
                     many there are: delete some, or raise `quota`"
                ),
            ),
            IndexError::QuotaBytes(most) => Self::new(
                Class::Conflict,
                "quota_bytes",
                format!(
                    "the bucket may hold {most} bytes, older versions and uploads included; `flagbase bucket usage` tells \
                     how many there are: delete some, or raise `quota`"
                ),
            ),
            IndexError::Unavailable(source) => Self::unavailable(source),
            IndexError::Corrupt(source) => Self::corrupt(source),
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => Self::new(
                Class::Unavailable,
                "storage_full",
                "there is no room left to store this; nothing was changed, make room and try again",
            ),
            BlobError::Source(fault) => {
                let code = match fault {
                    BodyFault::TooLarge(_) => "body_too_large",
                    BodyFault::TooSlow => "request_timeout",
                    BodyFault::Broken(_) => "bad_body",
                };
                Self::new(Class::Malformed, code, fault.to_string())
            }
            BlobError::Unavailable(source) => Self::unavailable(source),
        }
    }
}
