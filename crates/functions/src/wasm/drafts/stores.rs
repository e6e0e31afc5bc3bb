//! What both drafts of `wasi:keyvalue` do.

use bytes::Bytes;
use flagbase_core::functions::{HostError, Store};

use crate::wasm::guest::Guest;

/// The store that is meant by no name.
const DEFAULT: &str = "default";
/// The keys, or keys and values, of one batch.
const MOST_OF_BATCH: usize = 1000;

/// A store that a guest opened.
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Bucket(pub(super) Store);

/// Why something came to nothing; both drafts have these.
pub(super) enum Trouble {
    Denied,
    Other(String),
}

impl From<HostError> for Trouble {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Denied(_) => Self::Denied,
            HostError::NotFound(why) | HostError::TooLarge(why) | HostError::Failed(why) => Self::Other(why),
        }
    }
}

/// Opens a store that is granted.
pub(super) fn open(guest: &Guest, name: &str) -> Result<Bucket, Trouble> {
    let name = if name.is_empty() { DEFAULT } else { name };
    Ok(Bucket(guest.call.host.store(&guest.call.visit, name)?))
}

/// Fails for a batch that is too long.
pub(super) fn check_batch(length: usize) -> Result<(), Trouble> {
    if length > MOST_OF_BATCH {
        return Err(Trouble::Other(format!(
            "a batch has at most {MOST_OF_BATCH} keys; this one has {length}"
        )));
    }
    Ok(())
}

impl Bucket {
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(self.0.get(key).await?.map(Into::into))
    }

    pub(super) async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Trouble> {
        Ok(self.0.set(key, Bytes::from(value)).await?)
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Trouble> {
        self.0.delete(key).await?;
        Ok(())
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, Trouble> {
        Ok(self.0.get(key).await?.is_some())
    }

    pub(super) async fn get_many(
        &self,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Trouble> {
        check_batch(keys.len())?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.get(&key).await?;
            found.push((key, value));
        }
        Ok(found)
    }

    pub(super) async fn set_many(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Trouble> {
        check_batch(pairs.len())?;
        for (key, value) in pairs {
            self.set(&key, value).await?;
        }
        Ok(())
    }

    pub(super) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Trouble> {
        check_batch(keys.len())?;
        for key in keys {
            self.delete(&key).await?;
        }
        Ok(())
    }
}
