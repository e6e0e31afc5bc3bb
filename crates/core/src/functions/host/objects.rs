//! A bucket, as a function sees it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::HostError;
use crate::{
    buckets::Object,
    catalog::{Actor, DocumentId, Kind},
    functions::Visit,
};

/// Objects of one page, at most.
const MOST_OBJECTS: u32 = 1000;

/// Reads and writes objects on behalf of functions, whose grants were looked at before. A bucket is named by its document.
#[async_trait]
pub trait GuestObjects: Send + Sync {
    /// The bytes under `key`, when they are at most `most`; `None` when there are none.
    async fn get(&self, bucket: &DocumentId, key: &str, most: u64) -> Result<Option<Bytes>, HostError>;

    /// What is known of the object under `key`.
    async fn head(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, HostError>;

    /// Keeps `data` of a media type under `key`.
    async fn put(
        &self,
        actor: Actor,
        bucket: &DocumentId,
        key: &str,
        (content_type, data): (&str, Bytes),
    ) -> Result<Object, HostError>;

    /// Removes the object under `key`; nothing happens when there is none.
    async fn delete(&self, actor: Actor, bucket: &DocumentId, key: &str) -> Result<(), HostError>;

    /// Objects whose keys begin with `prefix`, in order, after `after`, at most `limit`.
    async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, HostError>;
}

/// A bucket that was granted.
#[derive(Clone)]
pub struct Bucket {
    objects: Arc<dyn GuestObjects>,
    id: DocumentId,
    actor: Actor,
    most: u64,
}

impl Bucket {
    pub(super) fn new(objects: Arc<dyn GuestObjects>, visit: &Visit, name: &str) -> Self {
        let environment = Arc::clone(&visit.deployed.environment);
        Self {
            objects,
            id: DocumentId { kind: Kind::Bucket, environment, key: name.into() },
            actor: visit.actor(),
            // What does not fit into the instance's memory cannot be handed to it.
            most: visit.deployed.settings.limits.memory,
        }
    }

    /// The bytes under `key`; `None` when there are none.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, HostError> {
        self.objects.get(&self.id, key, self.most).await
    }

    /// What is known of the object under `key`.
    pub async fn head(&self, key: &str) -> Result<Option<Object>, HostError> {
        self.objects.head(&self.id, key).await
    }

    /// Keeps `data` under `key`.
    pub async fn put(&self, key: &str, content_type: &str, data: Bytes) -> Result<Object, HostError> {
        self.objects.put(self.actor.clone(), &self.id, key, (content_type, data)).await
    }

    /// Removes the object under `key`.
    pub async fn delete(&self, key: &str) -> Result<(), HostError> {
        self.objects.delete(self.actor.clone(), &self.id, key).await
    }

    /// Objects whose keys begin with `prefix`, in order, after `after`, and where to go on; `None` at the end.
    pub async fn list(&self, prefix: &str, after: &str) -> Result<(Vec<Object>, Option<String>), HostError> {
        let objects = self.objects.list(&self.id, prefix, after, MOST_OBJECTS).await?;
        let full = objects.len() >= MOST_OBJECTS as usize;
        let next = objects.last().filter(|_| full).map(|object| object.key.clone());
        Ok((objects, next))
    }
}
