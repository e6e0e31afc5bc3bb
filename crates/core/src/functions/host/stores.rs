//! A key-value store, as a function sees it.

use std::sync::Arc;

use bytes::Bytes;

use super::HostError;
use crate::keyvalue::{KeyValue, KeyValueError, MOST_KEYS, StoreId};

/// A key-value store that was granted.
#[derive(Clone)]
pub struct Store {
    keyvalue: Arc<dyn KeyValue>,
    id: StoreId,
}

impl Store {
    pub(super) fn new(keyvalue: Arc<dyn KeyValue>, environment: &Arc<str>, name: &str) -> Self {
        Self { keyvalue, id: StoreId { environment: Arc::clone(environment), store: name.into() } }
    }

    /// The value of `key`; `None` when there is none.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, HostError> {
        Ok(self.keyvalue.get(&self.id, key).await?)
    }

    /// Keeps `value` under `key`.
    pub async fn set(&self, key: &str, value: Bytes) -> Result<(), HostError> {
        Ok(self.keyvalue.set(&self.id, key, value).await?)
    }

    /// Removes `key`. Returns whether it was there.
    pub async fn delete(&self, key: &str) -> Result<bool, HostError> {
        Ok(self.keyvalue.delete(&self.id, key).await?)
    }

    /// Keys that begin with `prefix`, in order, after `after`, and where to go on; `None` at the end.
    pub async fn keys(&self, prefix: &str, after: &str) -> Result<(Vec<String>, Option<String>), HostError> {
        let keys = self.keyvalue.keys(&self.id, prefix, after, MOST_KEYS).await?;
        let next = keys.last().filter(|_| keys.len() >= MOST_KEYS as usize).cloned();
        Ok((keys, next))
    }

    /// Adds `delta` to the number under `key`; returns the sum.
    pub async fn increment(&self, key: &str, delta: i64) -> Result<i64, HostError> {
        Ok(self.keyvalue.increment(&self.id, key, delta).await?)
    }

    /// Sets `key` to `new` provided that it still holds `old`. Returns whether it did.
    pub async fn swap(&self, key: &str, old: Option<Bytes>, new: Bytes) -> Result<bool, HostError> {
        Ok(self.keyvalue.swap(&self.id, key, old, new).await?)
    }
}

impl From<KeyValueError> for HostError {
    fn from(error: KeyValueError) -> Self {
        match error {
            KeyValueError::TooLarge(_) | KeyValueError::Full(_) => Self::TooLarge(error.to_string()),
            KeyValueError::NoNumber(_) => Self::Failed(error.to_string()),
            KeyValueError::Unavailable(ref source) | KeyValueError::Corrupt(ref source) => {
                tracing::error!(%source, "{error}");
                Self::Failed(error.to_string())
            }
        }
    }
}
