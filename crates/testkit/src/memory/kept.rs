//! What functions keep, in memory: values, secrets, objects.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    catalog::{Change, Commit, DocumentId, Kind},
    functions::vault::{Sealed, Vault, VaultError},
    keyvalue::{KeyValue, KeyValueError, QUOTA, StoreId, check_key, check_value, sum},
};

use super::{Memory, State, objects::Held};

/// What functions keep.
#[derive(Debug, Default)]
pub(super) struct Kept {
    values: BTreeMap<StoreId, BTreeMap<String, Bytes>>,
    secrets: BTreeMap<DocumentId, BTreeMap<String, Sealed>>,
    pub(super) held: BTreeMap<DocumentId, Held>,
}

impl Kept {
    /// Forgets what belonged to a document that is gone.
    pub(super) fn forget(&mut self, gone: &DocumentId) {
        self.secrets.remove(gone);
        self.held.remove(gone);
        if gone.kind == Kind::Environment {
            self.values.retain(|store, _| store.environment != gone.key);
        }
    }

    /// Whether anything but uploads is kept in a bucket.
    pub(super) fn holds_objects(&self, bucket: &DocumentId) -> bool {
        self.held.get(bucket).map(Held::usage).is_some_and(|usage| usage.objects + usage.older > 0)
    }

    fn put(&mut self, store: &StoreId, key: &str, value: Bytes) -> Result<(), KeyValueError> {
        let values = self.values.entry(store.clone()).or_default();
        let size = |value: &Bytes| (key.len() + value.len()) as u64;
        let before = values.get(key).map(size).unwrap_or_default();
        if size(&value) > before && used(values) - before + size(&value) > QUOTA {
            return Err(KeyValueError::Full(QUOTA));
        }
        values.insert(key.to_owned(), value);
        Ok(())
    }
}

fn used(values: &BTreeMap<String, Bytes>) -> u64 {
    values.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
}

#[async_trait]
impl KeyValue for Memory {
    async fn get(&self, store: &StoreId, key: &str) -> Result<Option<Bytes>, KeyValueError> {
        check_key(key)?;
        Ok(self.state.lock().kept.values.get(store).and_then(|values| values.get(key)).cloned())
    }

    async fn set(&self, store: &StoreId, key: &str, value: Bytes) -> Result<(), KeyValueError> {
        check_key(key)?;
        check_value(&value)?;
        self.state.lock().kept.put(store, key, value)
    }

    async fn delete(&self, store: &StoreId, key: &str) -> Result<bool, KeyValueError> {
        check_key(key)?;
        let mut state = self.state.lock();
        Ok(state.kept.values.get_mut(store).and_then(|values| values.remove(key)).is_some())
    }

    async fn keys(
        &self,
        store: &StoreId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>, KeyValueError> {
        let state = self.state.lock();
        let keys = state.kept.values.get(store).into_iter().flat_map(BTreeMap::keys);
        let meant = keys.filter(|key| key.starts_with(prefix) && key.as_str() > after);
        Ok(meant.take(limit as usize).cloned().collect())
    }

    async fn increment(&self, store: &StoreId, key: &str, delta: i64) -> Result<i64, KeyValueError> {
        check_key(key)?;
        let kept = &mut self.state.lock().kept;
        let before = kept.values.get(store).and_then(|values| values.get(key));
        let sum = sum(key, before.map(|value| &value[..]), delta)?;
        kept.put(store, key, sum.to_string().into())?;
        Ok(sum)
    }

    async fn swap(
        &self,
        store: &StoreId,
        key: &str,
        old: Option<Bytes>,
        new: Bytes,
    ) -> Result<bool, KeyValueError> {
        check_key(key)?;
        check_value(&new)?;
        let kept = &mut self.state.lock().kept;
        if kept.values.get(store).and_then(|values| values.get(key)) != old.as_ref() {
            return Ok(false);
        }
        kept.put(store, key, new)?;
        Ok(true)
    }

    async fn used(&self, store: &StoreId) -> Result<u64, KeyValueError> {
        Ok(self.state.lock().kept.values.get(store).map(used).unwrap_or_default())
    }
}

impl State {
    pub(super) fn append(&mut self, commit: Commit) -> Vec<Change> {
        let prepared = self.log.prepare(commit).unwrap();
        self.log.keep(prepared)
    }
}

#[async_trait]
impl Vault for Memory {
    async fn put(
        &self,
        function: &DocumentId,
        secret: Sealed,
        commit: Commit,
    ) -> Result<Vec<Change>, VaultError> {
        let mut state = self.state.lock();
        let secrets = state.kept.secrets.entry(function.clone()).or_default();
        secrets.insert(secret.name.clone(), secret);
        Ok(state.append(commit))
    }

    async fn sealed(&self, function: &DocumentId) -> Result<Vec<Sealed>, VaultError> {
        let state = self.state.lock();
        Ok(state.kept.secrets.get(function).into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    async fn delete(
        &self,
        function: &DocumentId,
        name: &str,
        commit: Commit,
    ) -> Result<Option<Vec<Change>>, VaultError> {
        let mut state = self.state.lock();
        let gone = state.kept.secrets.get_mut(function).and_then(|secrets| secrets.remove(name));
        Ok(gone.map(|_| state.append(commit)))
    }
}
