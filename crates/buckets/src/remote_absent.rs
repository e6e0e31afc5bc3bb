//! In place of stores elsewhere where they are not built in.

use std::sync::Arc;

use flagbase_core::{blobs::Blobs, tasks::Tasks};

use crate::remote_errors::RemoteError;

/// Says that this build keeps blobs only in a directory.
///
/// # Errors
/// Always.
pub fn remote(_url: &str, _tasks: &Tasks) -> Result<Arc<dyn Blobs>, RemoteError> {
    Err(RemoteError::NotBuiltIn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_build_without_stores_elsewhere_names_the_feature() {
        let error = remote("s3://bucket", &Tasks::new()).err().unwrap().to_string();
        assert!(error.contains("storage.url") && error.contains("--features s3-storage"), "{error}");
    }
}
