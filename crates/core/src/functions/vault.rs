//! Secrets of functions: sealed before they are kept, opened only for the function they belong to.
//!
//! [`Secrets`] is the use case, [`Keyring`] seals and opens, [`Vault`] is the port behind which sealed secrets are kept.
//! The key is not where the secrets are. What was sealed for one function and name opens for no other.

mod keyring;
mod secrets;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::catalog::{BoxError, Change, Commit, DocumentId};

pub use keyring::{Keyring, KeyringError, OpenError};
pub use secrets::{MOST_SECRET, MOST_SECRETS, SecretInfo, Secrets};

/// A secret as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its name, unique within its function.
    pub name: String,
    /// Which key sealed it.
    pub key_id: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Keeps sealed secrets per function. Every implementation passes `testkit::vault`.
///
/// What is kept of a function goes with its document, in the same transaction.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Keeps a secret in place of the one of that name, and logs `commit`, together.
    async fn put(
        &self,
        function: &DocumentId,
        secret: Sealed,
        commit: Commit,
    ) -> Result<Vec<Change>, VaultError>;

    /// All secrets of a function, by name.
    async fn sealed(&self, function: &DocumentId) -> Result<Vec<Sealed>, VaultError>;

    /// Removes a secret and logs `commit`, together; `None` when there is none of that name: nothing is logged.
    async fn delete(
        &self,
        function: &DocumentId,
        name: &str,
        commit: Commit,
    ) -> Result<Option<Vec<Change>>, VaultError>;
}

/// All that the port can report.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store does not answer, or cannot write (a full disk).
    #[error("the store of secrets is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored of secrets makes no sense")]
    Corrupt(#[source] BoxError),
}
