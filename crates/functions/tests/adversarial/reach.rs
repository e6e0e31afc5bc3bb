//! What guests reach, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    buckets::{Object, ObjectHead},
    catalog::{Actor, DocumentId},
    events::{MessageError, Messages},
    functions::{Digest, GuestObjects, GuestSecrets, Host, HostError, HostParts, Logs},
    gateway::AddressPolicy,
    metrics::{Bounds, Meters, Recorder},
    snapshot::{Snapshot, Snapshots},
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs};
use jiff::Timestamp;
use parking_lot::Mutex;

/// A host over memory.
pub(crate) struct Reach {
    pub(crate) host: Arc<Host>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) secrets: Secrets,
    pub(crate) sent: Arc<Sent>,
}

/// Secrets by function and name.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<HashMap<(String, String), String>>>);

#[derive(Default)]
struct Objects(Mutex<BTreeMap<(String, String), (Object, Bytes)>>);

impl Reach {
    pub(crate) fn new(outbound: AddressPolicy) -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::UNIX_EPOCH));
        let (blobs, secrets) = (MemoryBlobs::new(), Secrets::default());
        let logs = Arc::new(Logs::new(clock.clone()));
        let recorder = Recorder::new(clock.clone(), Arc::new(Meters::default()), Bounds::default());
        let sent = Arc::new(Sent::default());
        let host = Host::new(HostParts {
            snapshots: Arc::new(Snapshots::new(Snapshot::empty())),
            recorder: Arc::new(recorder),
            logs: Arc::clone(&logs),
            blobs: Arc::new(blobs.clone()),
            keyvalue: Arc::new(Memory::default()),
            objects: Arc::new(Objects::default()),
            secrets: Arc::new(secrets.clone()),
            messages: Some(Arc::clone(&sent) as Arc<dyn Messages>),
            outbound,
            clock,
        });
        Self { host: Arc::new(host), logs, blobs, secrets, sent }
    }
}

impl Secrets {
    pub(crate) fn put(&self, function: &str, name: &str, value: &str) {
        self.0.lock().insert((function.to_owned(), name.to_owned()), value.to_owned());
    }
}

#[async_trait]
impl GuestSecrets for Secrets {
    async fn open(&self, function: &DocumentId, name: &str) -> Result<Option<String>, HostError> {
        Ok(self.0.lock().get(&(function.key.to_string(), name.to_owned())).cloned())
    }
}

#[async_trait]
impl GuestObjects for Objects {
    async fn get(&self, bucket: &DocumentId, key: &str, _: u64) -> Result<Option<Bytes>, HostError> {
        let objects = self.0.lock();
        Ok(objects.get(&(bucket.key.to_string(), key.to_owned())).map(|(_, bytes)| bytes.clone()))
    }

    async fn head(&self, bucket: &DocumentId, key: &str) -> Result<Option<Object>, HostError> {
        let objects = self.0.lock();
        Ok(objects.get(&(bucket.key.to_string(), key.to_owned())).map(|(object, _)| object.clone()))
    }

    async fn put(
        &self,
        _: Actor,
        bucket: &DocumentId,
        key: &str,
        (content_type, data): (&str, Bytes),
    ) -> Result<Object, HostError> {
        let object = Object {
            key: key.to_owned(),
            size: data.len() as u64,
            head: ObjectHead::of_type(content_type),
            etag: Digest::of(&data).hex(),
            ..Object::default()
        };
        self.0.lock().insert((bucket.key.to_string(), key.to_owned()), (object.clone(), data));
        Ok(object)
    }

    async fn delete(&self, _: Actor, bucket: &DocumentId, key: &str) -> Result<(), HostError> {
        self.0.lock().remove(&(bucket.key.to_string(), key.to_owned()));
        Ok(())
    }

    async fn list(
        &self,
        bucket: &DocumentId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Object>, HostError> {
        let objects = self.0.lock();
        let within = objects.iter().filter(|((name, key), _)| {
            *name == *bucket.key && key.starts_with(prefix) && key.as_str() > after
        });
        Ok(within.take(limit as usize).map(|(_, (object, _))| object.clone()).collect())
    }
}

/// A bus that keeps what is sent.
#[derive(Default)]
pub(crate) struct Sent(pub(crate) Mutex<Vec<(String, Vec<u8>)>>);

impl Messages for Sent {
    fn send(&self, subject: &str, payload: Vec<u8>) -> Result<(), MessageError> {
        self.0.lock().push((subject.to_owned(), payload));
        Ok(())
    }
}
