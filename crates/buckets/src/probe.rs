//! Whether blobs can be kept, tried out.

use bytes::Bytes;
use flagbase_core::{
    blobs::{BlobError, Blobs},
    catalog::BoxError,
};
use futures_util::stream;

/// What is written and has to come back.
const BYTES: &[u8] = b"flagbase was here";

/// Keeps a blob called `probe/<id>`, reads it, and removes it; `id` is of lower-case letters, digits and `-`.
pub async fn probe(blobs: &dyn Blobs, id: &str) -> Result<(), BlobError> {
    let name = format!("probe/{id}");
    let body = Box::pin(stream::iter([Ok(Bytes::from_static(BYTES))]));
    blobs.put(&name, body).await?;
    let read = blobs.whole(&name, BYTES.len() as u64).await;
    blobs.delete(&name).await?;
    match read? {
        Some(read) if read == BYTES => Ok(()),
        Some(_) => Err(odd("what was written is read as something else")),
        None => Err(odd("what was written cannot be found")),
    }
}

fn odd(what: &str) -> BlobError {
    BlobError::Unavailable(BoxError::from(what))
}

#[cfg(test)]
mod tests {
    use flagbase_testkit::blobs::MemoryBlobs;

    use super::*;

    #[tokio::test]
    async fn a_probe_leaves_nothing_behind() {
        let blobs = MemoryBlobs::new();
        probe(&blobs, "1").await.unwrap();
        assert!(blobs.list("", "", 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_store_without_room_fails_its_probe() {
        assert!(matches!(probe(&MemoryBlobs::with_room_for(3), "1").await, Err(BlobError::Full)));
    }
}
