//! A host over what is kept in memory, with nothing behind buckets and secrets.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    buckets::Object,
    catalog::{Actor, DocumentId},
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    functions::{GuestObjects, GuestSecrets, Host, HostError, HostParts, Logs},
    gateway::AddressPolicy,
    metrics::{Bounds, Meters, Recorder},
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom};

/// What a driver is given, and what stands behind it.
pub(crate) struct Behind {
    pub(crate) host: Arc<Host>,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) feed: Arc<Feed>,
}

/// A host with the environment `default`.
pub(crate) async fn behind() -> Behind {
    let (memory, clock) = (Memory::new(), Arc::new(FixedClock::default()));
    let random = Arc::new(SeededRandom::new(1));
    let feed = Feed::open(Arc::new(memory.clone()), clock.clone(), random).await.unwrap();
    let feed = Arc::new(feed);
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let (blobs, logs) = (Arc::new(MemoryBlobs::new()), Arc::new(Logs::new(clock.clone())));
    let recorder = Recorder::new(clock.clone(), Arc::new(Meters::default()), Bounds::default());
    let host = Host::new(HostParts {
        snapshots: Arc::clone(feed.snapshots()),
        recorder: Arc::new(recorder),
        logs: Arc::clone(&logs),
        blobs: Arc::clone(&blobs) as _,
        keyvalue: Arc::new(memory),
        objects: Arc::new(Nothing),
        secrets: Arc::new(Nothing),
        messages: None,
        outbound: AddressPolicy { loopback: false, private: false },
        clock,
    });
    Behind { host: Arc::new(host), blobs, logs, feed }
}

struct Nothing;

#[async_trait]
impl GuestSecrets for Nothing {
    async fn open(&self, _: &DocumentId, _: &str) -> Result<Option<String>, HostError> {
        Ok(None)
    }
}

#[async_trait]
impl GuestObjects for Nothing {
    async fn get(&self, _: &DocumentId, _: &str, _: u64) -> Result<Option<Bytes>, HostError> {
        Ok(None)
    }
    async fn head(&self, _: &DocumentId, _: &str) -> Result<Option<Object>, HostError> {
        Ok(None)
    }
    async fn put(&self, _: Actor, _: &DocumentId, _: &str, _: (&str, Bytes)) -> Result<Object, HostError> {
        Err(HostError::Failed("there are no buckets".into()))
    }
    async fn delete(&self, _: Actor, _: &DocumentId, _: &str) -> Result<(), HostError> {
        Ok(())
    }
    async fn list(&self, _: &DocumentId, _: &str, _: &str, _: u32) -> Result<Vec<Object>, HostError> {
        Ok(Vec::new())
    }
}
