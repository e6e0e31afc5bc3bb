//! Writing what is too large to be written at once.

use bytes::Bytes;
use flagbase_core::{blobs::BlobError, tasks::Tasks};
use futures_util::future::join;
use object_store::{MultipartUpload, ObjectStoreExt as _, aws::AmazonS3, path::Path};

use super::{PART, Parts, fault};

/// An upload in parts. Unless it is completed, it is given up when it is dropped: its parts take room at the store.
pub(super) struct Upload {
    under_way: Option<Box<dyn MultipartUpload>>,
    tasks: Tasks,
}

impl Upload {
    pub(super) async fn begin(store: &AmazonS3, path: &Path, tasks: &Tasks) -> Result<Self, BlobError> {
        let under_way = store.put_multipart(path).await.map_err(fault)?;
        Ok(Self { under_way: Some(under_way), tasks: tasks.clone() })
    }

    /// Sends `first` and all parts that follow; while one is sent, the next one is read. Returns how many bytes.
    pub(super) async fn all(mut self, first: Bytes, mut parts: Parts) -> Result<u64, BlobError> {
        let (mut size, mut part) = (0, first);
        while !part.is_empty() {
            size += part.len() as u64;
            let is_last = part.len() < PART;
            let sending = self.under_way()?.put_part(part.into());
            if is_last {
                sending.await.map_err(fault)?;
                break;
            }
            let (sent, next) = join(sending, parts.next()).await;
            sent.map_err(fault)?;
            part = next?;
        }
        self.under_way()?.complete().await.map_err(fault)?;
        self.under_way = None;
        Ok(size)
    }

    fn under_way(&mut self) -> Result<&mut Box<dyn MultipartUpload>, BlobError> {
        self.under_way
            .as_mut()
            .ok_or_else(|| BlobError::Unavailable("an upload that ended is written on".into()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut given_up) = self.under_way.take() else { return };
        self.tasks.spawn("storage.give_up", async move {
            if let Err(error) = given_up.abort().await {
                tracing::warn!("parts of an upload that broke off stay at the store: {error}");
            }
        });
    }
}
