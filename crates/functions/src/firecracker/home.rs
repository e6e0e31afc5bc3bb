//! What the driver needs of the product.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::functions::{Digest, Host, Level, Stream, Visit};

/// What microVMs get from, and give to, the rest of Flagbase.
#[async_trait]
pub trait Home: Send + Sync {
    /// The code of this digest, as it was uploaded; `None` when it is not kept any more.
    ///
    /// # Errors
    /// Says in a sentence why it cannot be had now.
    async fn code(&self, digest: &Digest) -> Result<Option<Bytes>, String>;

    /// All secrets of the function that `visit` is for; none when they are not granted.
    ///
    /// # Errors
    /// Says in a sentence why they cannot be had now.
    async fn secrets(&self, visit: &Visit) -> Result<BTreeMap<String, String>, String>;

    /// Keeps a line of the function's log.
    fn log(&self, visit: &Visit, from: (Level, Stream), message: &str);
}

/// The product itself.
pub struct Product {
    /// What functions reach.
    pub host: Arc<Host>,
    /// The largest code, in bytes.
    pub most_code: u64,
}

#[async_trait]
impl Home for Product {
    async fn code(&self, digest: &Digest) -> Result<Option<Bytes>, String> {
        self.host.code(digest, self.most_code).await.map_err(|error| error.to_string())
    }

    async fn secrets(&self, visit: &Visit) -> Result<BTreeMap<String, String>, String> {
        self.host.secrets(visit).await.map_err(|error| error.to_string())
    }

    fn log(&self, visit: &Visit, from: (Level, Stream), message: &str) {
        self.host.log(visit, from, message, Vec::new());
    }
}
