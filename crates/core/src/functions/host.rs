//! What functions reach while they run. Whatever adapter runs them asks here, so that grants are looked at in one place.

mod evaluator;
mod objects;
mod stores;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Deployed, Digest, Level, Logs, Stream, Visit};
use crate::{
    blobs::Blobs,
    catalog::{DocumentId, Kind},
    clock::Clock,
    events::{MessageError, Messages, subject},
    gateway::AddressPolicy,
    keyvalue::KeyValue,
    metrics::Recorder,
    snapshot::Snapshots,
};

pub use evaluator::Evaluator;
pub use objects::{Bucket, GuestObjects};
pub use stores::Store;

/// Fields of one log line, at most.
const MOST_FIELDS: usize = 32;

/// What functions reach while they run.
pub struct Host {
    parts: HostParts,
}

/// What a [`Host`] hands on.
pub struct HostParts {
    /// Flags.
    pub snapshots: Arc<Snapshots>,
    /// Counts what flags gave.
    pub recorder: Arc<Recorder>,
    /// What functions say.
    pub logs: Arc<Logs>,
    /// Their code.
    pub blobs: Arc<dyn Blobs>,
    /// What they keep.
    pub keyvalue: Arc<dyn KeyValue>,
    /// Their objects.
    pub objects: Arc<dyn GuestObjects>,
    /// Their secrets.
    pub secrets: Arc<dyn GuestSecrets>,
    /// The bus they publish on; none when it is switched off.
    pub messages: Option<Arc<dyn Messages>>,
    /// Where their requests may go, as the operator says.
    pub outbound: AddressPolicy,
    /// The time they are told.
    pub clock: Arc<dyn Clock>,
}

/// Opens secrets for the function they belong to.
#[async_trait]
pub trait GuestSecrets: Send + Sync {
    /// The secret called `name` of `function`; `None` when there is none.
    async fn open(&self, function: &DocumentId, name: &str) -> Result<Option<String>, HostError>;

    /// All secrets of `function`, by name; none when nothing is kept.
    async fn all(&self, _function: &DocumentId) -> Result<BTreeMap<String, String>, HostError> {
        Ok(BTreeMap::new())
    }
}

/// Why a function did not get what it asked for. The sentences are for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It was not granted.
    #[error("{0}")]
    Denied(String),
    /// There is no such store, bucket or subject.
    #[error("{0}")]
    NotFound(String),
    /// It is too large, or there is no room for it.
    #[error("{0}")]
    TooLarge(String),
    /// It makes no sense, or cannot be done now.
    #[error("{0}")]
    Failed(String),
}

impl Host {
    /// Hands on `parts`.
    pub fn new(parts: HostParts) -> Self {
        Self { parts }
    }

    /// Evaluates flags for the caller of `visit`: made once per visit, when it first asks.
    pub fn evaluator(&self, visit: &Visit) -> Evaluator {
        Evaluator::new(&self.parts, visit)
    }

    /// The secret called `name` of the function itself.
    pub async fn secret(&self, visit: &Visit, name: &str) -> Result<Option<String>, HostError> {
        let deployed = &visit.deployed;
        if !deployed.settings.grants.secrets {
            return Err(not_granted("secrets", "`\"secrets\": true`"));
        }
        self.parts.secrets.open(&of_function(deployed), name).await
    }

    /// All secrets of the function itself, for what gets them at its start; none when they are not granted.
    pub async fn secrets(&self, visit: &Visit) -> Result<BTreeMap<String, String>, HostError> {
        let deployed = &visit.deployed;
        if !deployed.settings.grants.secrets {
            return Ok(BTreeMap::new());
        }
        self.parts.secrets.all(&of_function(deployed)).await
    }

    /// The key-value store called `name`.
    pub fn store(&self, visit: &Visit, name: &str) -> Result<Store, HostError> {
        if !visit.deployed.settings.grants.allows_store(name) {
            return Err(not_granted(&format!("store `{name}`"), &format!("`\"keyvalue\": [\"{name}\"]`")));
        }
        Ok(Store::new(Arc::clone(&self.parts.keyvalue), &visit.deployed.environment, name))
    }

    /// The bucket called `name`.
    pub fn bucket(&self, visit: &Visit, name: &str) -> Result<Bucket, HostError> {
        if !visit.deployed.settings.grants.allows_bucket(name) {
            return Err(not_granted(&format!("bucket `{name}`"), &format!("`\"buckets\": [\"{name}\"]`")));
        }
        Ok(Bucket::new(Arc::clone(&self.parts.objects), visit, name))
    }

    /// Sends a message to whoever listens on the bus.
    pub fn publish(&self, visit: &Visit, to: &str, payload: Vec<u8>) -> Result<(), HostError> {
        if !subject::is_valid(to) {
            let message =
                format!("`{to}` is no subject; write words with dots between them, without wildcards");
            return Err(HostError::Failed(message));
        }
        let first = to.split('.').next().unwrap_or_default();
        if first == subject::ROOT || first.starts_with('$') {
            let message = format!("`{first}.` is not for messages of programs; choose another first word");
            return Err(HostError::Denied(message));
        }
        if !visit.deployed.settings.grants.allows_subject(to) {
            return Err(not_granted(&format!("subject `{to}`"), &format!("`\"publish\": [\"{to}\"]`")));
        }
        let Some(bus) = &self.parts.messages else {
            let message = "the embedded bus is switched off here; set `events.embedded: true`";
            return Err(HostError::Failed(message.to_owned()));
        };
        bus.send(to, payload).map_err(|error| match error {
            MessageError::TooLarge(_) => HostError::TooLarge(error.to_string()),
            MessageError::Subject(_) => HostError::Failed(error.to_string()),
        })
    }

    /// Keeps a line of the function's log.
    pub fn log(
        &self,
        visit: &Visit,
        from: (Level, Stream),
        message: &str,
        mut fields: Vec<(String, String)>,
    ) {
        fields.truncate(MOST_FIELDS);
        self.parts.logs.write(visit, from, message, fields);
    }

    /// Where requests of functions may go, whatever they are granted.
    pub fn outbound(&self) -> AddressPolicy {
        self.parts.outbound
    }

    /// The time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The code of this digest, as it was uploaded, when it is at most `most` bytes; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or what is kept is something else.
    pub async fn code(&self, digest: &Digest, most: u64) -> Result<Option<Bytes>, HostError> {
        let failed = |why: String| HostError::Failed(format!("the code {digest} cannot be read: {why}"));
        let found = self.parts.blobs.whole(&code_name(digest), most).await;
        match found.map_err(|error| failed(error.to_string()))? {
            Some(bytes) if Digest::of(&bytes) == *digest => Ok(Some(bytes)),
            Some(_) => Err(failed("what is stored is something else; deploy it again".to_owned())),
            None => Ok(None),
        }
    }
}

fn of_function(deployed: &Deployed) -> DocumentId {
    DocumentId {
        kind: Kind::Function,
        environment: Arc::clone(&deployed.environment),
        key: Arc::clone(&deployed.function),
    }
}

/// The name of the blob that holds code.
pub(crate) fn code_name(digest: &Digest) -> String {
    format!("{CODE}{}", digest.hex())
}

/// What the names of blobs that hold code begin with.
pub(crate) const CODE: &str = "functions/";

fn not_granted(what: &str, how: &str) -> HostError {
    HostError::Denied(format!("{what} is not granted to this function; add {how} to its grants"))
}

#[cfg(test)]
mod tests;
