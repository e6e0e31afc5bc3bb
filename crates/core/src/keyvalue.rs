//! Key-value stores: what functions keep from call to call, one store per name and environment.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use crate::catalog::BoxError;

/// The longest key, in bytes.
pub const MOST_KEY: usize = 1024;

/// The largest value, in bytes.
pub const MOST_VALUE: usize = 1 << 20;

/// What the keys and values of one store may be together, in bytes.
pub const QUOTA: u64 = 256 << 20;

/// The longest page of keys.
pub const MOST_KEYS: u32 = 1000;

/// Which store. It need not be made before something is kept in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId {
    /// The environment's key.
    pub environment: Arc<str>,
    /// The name of the store, such as `default`.
    pub store: Arc<str>,
}

impl StoreId {
    /// The store called `store` in `environment`.
    pub fn new(environment: &str, store: &str) -> Self {
        Self { environment: environment.into(), store: store.into() }
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store `{}` in environment `{}`", self.store, self.environment)
    }
}

/// Keeps values under keys. Every implementation passes `testkit::keyvalue`.
///
/// A key is 1 to [`MOST_KEY`] bytes, a value at most [`MOST_VALUE`]; what is written is durable when the call returns.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// The value of `key`; `None` when there is none.
    async fn get(&self, store: &StoreId, key: &str) -> Result<Option<Bytes>, KeyValueError>;

    /// Keeps `value` under `key`, in place of what was there.
    async fn set(&self, store: &StoreId, key: &str, value: Bytes) -> Result<(), KeyValueError>;

    /// Removes `key`. Returns whether it was there.
    async fn delete(&self, store: &StoreId, key: &str) -> Result<bool, KeyValueError>;

    /// Keys that begin with `prefix`, in the order of their bytes, after `after` (empty: from the first), at most `limit`.
    async fn keys(
        &self,
        store: &StoreId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>, KeyValueError>;

    /// Adds `delta` to the number under `key`, kept as decimal text; a missing key counts as 0. Returns the sum.
    async fn increment(&self, store: &StoreId, key: &str, delta: i64) -> Result<i64, KeyValueError>;

    /// Sets `key` to `new` provided that it still holds `old` (`None`: that it is not there). Returns whether it did.
    async fn swap(
        &self,
        store: &StoreId,
        key: &str,
        old: Option<Bytes>,
        new: Bytes,
    ) -> Result<bool, KeyValueError>;

    /// What the keys and values of `store` are together, in bytes.
    async fn used(&self, store: &StoreId) -> Result<u64, KeyValueError>;
}

/// All that a key-value store can report.
#[derive(Debug, thiserror::Error)]
pub enum KeyValueError {
    /// The key or the value is not one that can be kept; the sentence says why.
    #[error("{0}")]
    TooLarge(String),
    /// The store holds as much as it may, this many bytes.
    #[error("the store is full: it holds up to {0} bytes; delete something first")]
    Full(u64),
    /// What is under the key is no number, or the sum would be none.
    #[error("the value of `{0}` is no number that this can be added to; set it anew")]
    NoNumber(String),
    /// The store does not answer, or cannot write (a full disk).
    #[error("the key-value store is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored in the key-value store makes no sense")]
    Corrupt(#[source] BoxError),
}

/// Fails for what is no key.
pub fn check_key(key: &str) -> Result<(), KeyValueError> {
    match key.len() {
        0 => Err(KeyValueError::TooLarge("the key is empty; expected 1 to 1024 bytes".to_owned())),
        1..=MOST_KEY => Ok(()),
        long => {
            Err(KeyValueError::TooLarge(format!("the key has {long} bytes; a key has at most {MOST_KEY}")))
        }
    }
}

/// Fails for a value that is too large.
pub fn check_value(value: &[u8]) -> Result<(), KeyValueError> {
    if value.len() <= MOST_VALUE {
        return Ok(());
    }
    let message = format!("the value has {} bytes; a value has at most {MOST_VALUE}", value.len());
    Err(KeyValueError::TooLarge(message))
}

/// The number that `value` is, as decimal text; nothing at all is 0.
pub fn number(key: &str, value: Option<&[u8]>) -> Result<i64, KeyValueError> {
    let Some(value) = value else { return Ok(0) };
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| no_number(key))
}

/// The sum of what is under `key` and `delta`.
pub fn sum(key: &str, value: Option<&[u8]>, delta: i64) -> Result<i64, KeyValueError> {
    number(key, value)?.checked_add(delta).ok_or_else(|| no_number(key))
}

fn no_number(key: &str) -> KeyValueError {
    KeyValueError::NoNumber(key.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_at_least_one_byte_and_not_too_many() {
        assert!(check_key("a").is_ok() && check_key(&"a".repeat(MOST_KEY)).is_ok());
        assert!(check_key("").unwrap_err().to_string().contains("1 to 1024 bytes"));
        assert!(check_key(&"ä".repeat(513)).unwrap_err().to_string().contains("1026 bytes"));
    }

    #[test]
    fn a_value_of_a_megabyte_is_kept_and_a_byte_more_is_not() {
        assert!(check_value(&vec![0; MOST_VALUE]).is_ok());
        assert!(check_value(&vec![0; MOST_VALUE + 1]).is_err());
    }

    #[test]
    fn only_numbers_can_be_added_to() {
        assert_eq!(sum("k", None, 5).unwrap(), 5);
        assert_eq!(sum("k", Some(b"-7"), 5).unwrap(), -2);
        for (value, delta) in [(&b"x"[..], 1), (b"", 1), (b"\xff", 1), (b"9223372036854775807", 1)] {
            assert!(matches!(sum("k", Some(value), delta), Err(KeyValueError::NoNumber(key)) if key == "k"));
        }
    }
}
