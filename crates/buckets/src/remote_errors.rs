//! Why a store elsewhere cannot be used; known whether or not it is built in.

use flagbase_core::catalog::BoxError;

/// Why `storage.url` leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address makes no sense. Never shows a secret.
    #[error("`storage.url` {0}")]
    Url(String),
    /// This binary was built without it.
    #[error(
        "`storage.url` names an S3-compatible store, but this binary was built without it: build it with \
         `--features s3-storage`, or leave `storage.url` empty to keep objects in `storage.base_path`"
    )]
    NotBuiltIn,
    /// What is said of the store cannot be.
    #[error("`storage.url` cannot be used")]
    Unusable(#[source] BoxError),
}
