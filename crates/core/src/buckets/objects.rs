//! Objects: bytes in a blob, then an entry in the index. Whoever calls has looked at permissions.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::{IndexError, Object, ObjectIndex, Usage, no_bucket};
use crate::{
    blobs::{BlobError, Blobs, Kept, Reading},
    catalog::{Actor, Commit, DocumentId, Draft, Expect, Write},
    feed::Feed,
    functions::{Body, BodyFault, BodyStream, GuestObjects, HostError},
    refusal::{Class, Refusal},
};

/// The longest key, in bytes.
pub const MOST_KEY: usize = 1024;

/// The longest page of objects.
pub const MOST_LISTED: u32 = 1000;

/// The longest media type, in bytes.
const MOST_TYPE: usize = 255;

/// What the names of blobs begin with that hold objects.
pub(super) const BLOBS: &str = "objects/";

/// How often an object is looked for again that was replaced while it was being opened.
const LOOKS: usize = 5;

/// Reads and writes objects.
pub struct Objects {
    pub(super) feed: Arc<Feed>,
    pub(super) index: Arc<dyn ObjectIndex>,
    pub(super) blobs: Arc<dyn Blobs>,
}

/// A part of an object.
pub struct Part {
    /// What is known of the object.
    pub object: Object,
    /// Its bytes, or those that were asked for.
    pub bytes: BodyStream,
}

impl Objects {
    pub(super) fn new(feed: Arc<Feed>, index: Arc<dyn ObjectIndex>, blobs: Arc<dyn Blobs>) -> Self {
        Self { feed, index, blobs }
    }

    /// Keeps an object under `key`, in place of what was there: all of it or nothing.
    pub async fn put(
        &self,
        actor: Actor,
        bucket: &DocumentId,
        (key, content_type): (&str, &str),
        body: Body,
    ) -> Result<Object, Refusal> {
        check(key, content_type)?;
        // Before anything is written; the index looks again.
        if self.feed.catalog().get(bucket).await?.is_none() {
            return Err(no_bucket(bucket));
        }
        let blob = self.blob_name();
        let Kept { size, sha256 } = self.blobs.put(&blob, parts(body)).await?;
        let object = Object {
            key: key.to_owned(),
            size,
            content_type: content_type.to_owned(),
            etag: hex::encode(sha256),
            modified: self.feed.clock().now(),
            blob,
        };
        let commit = self.told(actor, bucket, "object_created", &object);
        let Some(replaced) = self.index.put(bucket, object.clone(), commit).await? else {
            self.free(&object.blob).await;
            return Err(no_bucket(bucket));
        };
        self.feed.applied(replaced.changes).await?;
        if let Some(before) = replaced.before {
            self.free(&before.blob).await;
        }
        Ok(object)
    }

    /// The object under `key`, and its bytes from byte `range.0` up to before `range.1`.
    pub async fn get(
        &self,
        bucket: &DocumentId,
        key: &str,
        range: Option<(u64, u64)>,
    ) -> Result<Option<Part>, Refusal> {
        for _ in 0..LOOKS {
            let Some(object) = self.index.get(bucket, key).await? else {
                return self.nothing(bucket).await;
            };
            if let Some(Reading { bytes, .. }) = self.blobs.get(&object.blob, range).await? {
                return Ok(Some(Part { object, bytes }));
            }
            // Replaced or removed since the index was read.
        }
        let message =
            format!("the bytes of {} are not where they should be; write it again", super::shown(key));
        Err(Refusal::new(Class::Internal, "object_lost", message))
    }

    /// What is known of the object under `key`.
    pub async fn head(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, Refusal> {
        match self.index.get(bucket, key).await? {
            Some(object) => Ok(Some(object)),
            None => self.nothing(bucket).await,
        }
    }

    /// Removes the object under `key`; returns whether it was there.
    pub async fn delete(&self, actor: Actor, bucket: &DocumentId, key: &str) -> Result<bool, Refusal> {
        let Some(object) = self.head(bucket, key).await? else { return Ok(false) };
        let commit = self.told(actor, bucket, "object_deleted", &object);
        let gone = self.index.delete(bucket, key, commit).await?;
        self.feed.applied(gone.changes).await?;
        match gone.before {
            Some(before) => self.free(&before.blob).await,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Objects whose keys begin with `prefix`, in order, after `after`, at most `limit` and [`MOST_LISTED`].
    pub async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, Refusal> {
        let objects = self.index.list(bucket, prefix, after, limit.min(MOST_LISTED)).await?;
        if objects.is_empty() {
            self.nothing::<()>(bucket).await?;
        }
        Ok(objects)
    }

    /// How much is in a bucket.
    pub async fn usage(&self, bucket: &DocumentId) -> Result<Usage, Refusal> {
        Ok(self.index.usage(bucket).await?)
    }

    /// Nothing, in a bucket that is there.
    async fn nothing<T>(&self, bucket: &DocumentId) -> Result<Option<T>, Refusal> {
        match self.feed.catalog().get(bucket).await? {
            Some(_) => Ok(None),
            None => Err(no_bucket(bucket)),
        }
    }

    /// A name that was never used. Spread over directories by its last digits, which are random.
    fn blob_name(&self) -> String {
        let id = self.feed.random().uuid7(self.feed.clock()).simple().to_string();
        let spread = id.get(id.len().saturating_sub(2)..).unwrap_or_default();
        format!("{BLOBS}{spread}/{id}")
    }

    fn told(&self, actor: Actor, bucket: &DocumentId, verb: &'static str, object: &Object) -> Commit {
        let Object { key, size, content_type, etag, .. } = object;
        let detail = json!({
            "bucket": bucket.key, "key": key, "size": size, "content_type": content_type, "etag": etag,
        });
        let draft = Draft { id: bucket.clone(), verb, expect: Expect::Any, write: Write::Nothing, detail };
        self.feed.draft(actor, "", vec![draft])
    }

    /// Removes a blob that is nobody's any more; what stays is swept later.
    async fn free(&self, blob: &str) {
        if let Err(error) = self.blobs.delete(blob).await {
            tracing::warn!(blob, "what is no object any more stays for now: {error}");
        }
    }
}

fn check(key: &str, content_type: &str) -> Result<(), Refusal> {
    if key.is_empty() || key.len() > MOST_KEY || key.contains('\0') {
        let message = format!("an object's key has 1 to {MOST_KEY} bytes, none of them zero");
        return Err(Refusal::fault("/key", message));
    }
    if content_type.len() > MOST_TYPE || content_type.bytes().any(|byte| byte.is_ascii_control()) {
        let message = format!("a media type has at most {MOST_TYPE} bytes, such as `image/png`");
        return Err(Refusal::fault("/content_type", message));
    }
    Ok(())
}

fn parts(body: Body) -> BodyStream {
    match body {
        Body::Empty => Box::pin(stream::empty()),
        Body::Whole(bytes) => Box::pin(stream::iter([Ok(bytes)])),
        Body::Stream(parts, _) => parts,
    }
}

#[async_trait]
impl GuestObjects for Objects {
    async fn get(&self, bucket: &DocumentId, key: &str, most: u64) -> Result<Option<Bytes>, HostError> {
        let Some(Part { object, bytes }) = Self::get(self, bucket, key, None).await? else {
            return Ok(None);
        };
        let collected = Body::Stream(bytes, Some(object.size)).collect(most).await;
        Ok(Some(collected.map_err(|fault| match fault {
            BodyFault::TooLarge(_) => HostError::TooLarge(format!(
                "object `{}` has {} bytes, more than the function may hold ({most})",
                super::shown(key),
                object.size
            )),
            other => HostError::Failed(other.to_string()),
        })?))
    }

    async fn head(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, HostError> {
        Ok(Self::head(self, bucket, key).await?)
    }

    async fn put(
        &self,
        actor: Actor,
        bucket: &DocumentId,
        key: &str,
        (content_type, data): (&str, Bytes),
    ) -> Result<Object, HostError> {
        Ok(Self::put(self, actor, bucket, (key, content_type), Body::Whole(data)).await?)
    }

    async fn delete(&self, actor: Actor, bucket: &DocumentId, key: &str) -> Result<(), HostError> {
        Self::delete(self, actor, bucket, key).await?;
        Ok(())
    }

    async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, HostError> {
        Ok(Self::list(self, bucket, prefix, after, limit).await?)
    }
}

impl From<Refusal> for HostError {
    fn from(refusal: Refusal) -> Self {
        match (refusal.class, refusal.code) {
            (Class::NotFound, _) => Self::NotFound(refusal.message),
            (_, "storage_full") => Self::TooLarge(refusal.message),
            _ => Self::Failed(refusal.message),
        }
    }
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        match error {
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
