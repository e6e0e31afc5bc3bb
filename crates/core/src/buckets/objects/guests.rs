//! Objects, as functions reach them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Condition, Listing, Object, ObjectHead, Objects, Part, Pick, Put};
use crate::{
    buckets::Position,
    catalog::{Actor, DocumentId},
    functions::{Body, BodyFault, GuestObjects, HostError},
    refusal::{Class, Refusal},
};

#[async_trait]
impl GuestObjects for Objects {
    async fn get(&self, bucket: &DocumentId, key: &str, most: u64) -> Result<Option<Bytes>, HostError> {
        let bucket = self.bucket_of(bucket)?;
        let Some(Part { object, bytes, .. }) =
            Self::get(self, &bucket, (key, None), &|_| Pick::Whole).await?
        else {
            return Ok(None);
        };
        let collected = Body::Stream(bytes, Some(object.size)).collect(most).await;
        Ok(Some(collected.map_err(|fault| match fault {
            BodyFault::TooLarge(_) => HostError::TooLarge(format!(
                "object `{}` has {} bytes, more than the function may hold ({most})",
                crate::buckets::shown(key),
                object.size
            )),
            other => HostError::Failed(other.to_string()),
        })?))
    }

    async fn head(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, HostError> {
        let found = Self::head(self, &*self.bucket_of(bucket)?, key, None).await?;
        Ok(found.map(Arc::unwrap_or_clone))
    }

    async fn put(
        &self,
        actor: Actor,
        bucket: &DocumentId,
        key: &str,
        (content_type, data): (&str, Bytes),
    ) -> Result<Object, HostError> {
        let head = ObjectHead::of_type(content_type);
        let put = Put { key, head, body: Body::Whole(data), ..Put::default() };
        Ok(Self::put(self, actor, &*self.bucket_of(bucket)?, put).await?)
    }

    async fn delete(&self, actor: Actor, bucket: &DocumentId, key: &str) -> Result<(), HostError> {
        Self::delete(self, actor, &*self.bucket_of(bucket)?, (key, None), Condition::Any).await?;
        Ok(())
    }

    async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, HostError> {
        let after = (!after.is_empty()).then(|| Position::after(after));
        let listing = Listing { prefix: prefix.to_owned(), after, limit, ..Listing::default() };
        Ok(Self::list(self, &*self.bucket_of(bucket)?, &listing).await?.objects)
    }
}

impl From<Refusal> for HostError {
    fn from(refusal: Refusal) -> Self {
        match (refusal.class, refusal.code) {
            (Class::NotFound, _) => Self::NotFound(refusal.message),
            (_, "storage_full" | "quota_bytes" | "quota_objects") => Self::TooLarge(refusal.message),
            _ => Self::Failed(refusal.message),
        }
    }
}
