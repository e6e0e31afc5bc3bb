//! Writing an object.

use std::collections::BTreeMap;

use super::{Bucket, Object, ObjectHead, Objects, Piece, Terms, check};
use crate::{
    buckets::{Condition, Digested, Digests, digesting},
    catalog::Actor,
    functions::Body,
    refusal::Refusal,
};

/// An object to be written.
#[derive(Debug, Default)]
pub struct Put<'a> {
    /// Under which key.
    pub key: &'a str,
    /// What is sent along with its bytes.
    pub head: ObjectHead,
    /// What people put on it.
    pub tags: BTreeMap<String, String>,
    /// Its bytes.
    pub body: Body,
    /// What is computed of them, and what must come out.
    pub digests: Digests,
    /// What must be there now.
    pub condition: Condition,
}

impl Objects {
    /// Keeps an object: all of it or nothing. It is durable when this returns.
    pub async fn put(&self, actor: Actor, bucket: &Bucket, put: Put<'_>) -> Result<Object, Refusal> {
        let Put { key, head, tags, body, digests, condition } = put;
        check((key, &head, &tags))?;
        let size = match &body {
            Body::Empty | Body::Stream(_, None) => 0,
            Body::Whole(bytes) => bytes.len() as u64,
            Body::Stream(_, Some(size)) => *size,
        };
        self.refuse_early(bucket, key, &condition, size).await?;
        let (piece, digested) = self.keep(body, digests).await?;
        let object = Object {
            key: key.to_owned(),
            version: self.version(bucket),
            size: digested.size,
            etag: digested.etag(),
            crc64: digested.crc64,
            checksum: digested.checksum,
            modified: self.feed.clock().now(),
            head,
            tags,
            pieces: vec![piece],
            ..Object::default()
        };
        self.place(actor, bucket, object, condition).await
    }

    /// Refuses what cannot come true before anything is written; the index looks again.
    async fn refuse_early(
        &self,
        bucket: &Bucket,
        key: &str,
        condition: &Condition,
        size: u64,
    ) -> Result<(), Refusal> {
        self.bucket_of(&bucket.id)?;
        if *condition != Condition::Any && !condition.holds(self.newest(bucket, key).await?.as_ref()) {
            return Err(crate::buckets::IndexError::Precondition.into());
        }
        match bucket.settings.quota.bytes {
            Some(most) if size > most => Err(crate::buckets::IndexError::QuotaBytes(most).into()),
            _ => Ok(()),
        }
    }

    /// Keeps bytes that nothing names yet.
    pub(super) async fn keep(&self, body: Body, digests: Digests) -> Result<(Piece, Digested), Refusal> {
        let blob = self.blob_name();
        let (bytes, outcome) = digesting(body.into_stream(), digests);
        let kept = self.blobs.put(&blob, bytes).await;
        match (kept, outcome.take()) {
            (Ok(size), Some(Ok(digested))) => Ok((Piece { blob, size, crc64: digested.crc64 }, digested)),
            (_, Some(Err(refusal))) => Err(refusal),
            (Err(error), _) => Err(error.into()),
            (Ok(_), None) => Err(Refusal::corrupt("a blob was kept before its end".into())),
        }
    }

    /// Notes an object whose bytes are kept already; without an entry the bytes go.
    pub(super) async fn place(
        &self,
        actor: Actor,
        bucket: &Bucket,
        object: Object,
        condition: Condition,
    ) -> Result<Object, Refusal> {
        let commit = self.told(actor, &bucket.id, "object_created", &object);
        let terms = Terms { condition, quota: bucket.settings.quota };
        let placed = self.index.put(&bucket.id, object.clone(), terms, commit).await;
        match placed {
            Ok(placed) => Ok(self.settle(placed).await?.unwrap_or(object)),
            Err(error) => {
                // A store that did not answer may have written it all the same: then the bytes have to stay.
                if !matches!(error, crate::buckets::IndexError::Unavailable(_)) {
                    let blobs: Vec<_> = object.pieces.into_iter().map(|piece| piece.blob).collect();
                    self.free(&blobs).await;
                }
                Err(Self::refused(bucket, error))
            }
        }
    }
}
