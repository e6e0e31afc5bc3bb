//! Finding bytes that are not what was written.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use serde_json::json;

use crate::{
    blobs::Reading,
    buckets::{Bucket, Listing, Object, Piece, objects::Objects},
    catalog::{Actor, Draft, Expect, Write},
    refusal::Refusal,
};

/// Objects of one step.
const STEP: u32 = 200;

/// An object whose bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its bucket.
    pub bucket: Arc<str>,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: String,
    /// What is wrong with it.
    pub why: String,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scrubbed {
    /// Versions of objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was found.
    pub damaged: Vec<Damage>,
}

impl Objects {
    /// Reads every version of every object, at most `rate` bytes per second, and tells of each that is damaged.
    pub async fn scrub(&self, rate: Option<u64>) -> Result<Scrubbed, Refusal> {
        let mut scrubbed = Scrubbed::default();
        for bucket in self.all_buckets() {
            self.scrub_bucket(&bucket, rate, &mut scrubbed).await?;
        }
        Ok(scrubbed)
    }

    /// All buckets of all environments.
    pub(super) fn all_buckets(&self) -> Vec<Arc<Bucket>> {
        let snapshot = self.feed.snapshots().get();
        let environments = snapshot.environments();
        environments.flat_map(|environment| environment.buckets.values().map(Arc::clone)).collect()
    }

    async fn scrub_bucket(
        &self,
        bucket: &Bucket,
        rate: Option<u64>,
        scrubbed: &mut Scrubbed,
    ) -> Result<(), Refusal> {
        let mut listing = Listing { versions: true, limit: STEP, ..Listing::default() };
        loop {
            let listed = self.index.list(&bucket.id, &listing).await?;
            for object in listed.objects.into_iter().filter(|object| !object.marker) {
                scrubbed.objects += 1;
                scrubbed.bytes = scrubbed.bytes.saturating_add(object.size);
                if let Some(why) = self.damage(bucket, &object, rate).await? {
                    self.tell_damage(bucket, &object, &why).await?;
                    let Object { key, version, .. } = object;
                    scrubbed.damaged.push(Damage { bucket: Arc::clone(bucket.name()), key, version, why });
                }
            }
            let Some(next) = listed.next else { return Ok(()) };
            listing.after = Some(next);
        }
    }

    /// What is wrong with an object, if anything. What was replaced or removed meanwhile is fine.
    async fn damage(
        &self,
        bucket: &Bucket,
        object: &Object,
        rate: Option<u64>,
    ) -> Result<Option<String>, Refusal> {
        let Some(now) = self.still_there(bucket, object).await? else { return Ok(None) };
        for piece in &now.pieces {
            let Some(why) = self.damage_of(piece).await else {
                pause(piece.size, rate).await;
                continue;
            };
            let after = self.still_there(bucket, object).await?;
            return Ok(after.filter(|after| after.pieces == now.pieces).map(|_| why));
        }
        let whole: u64 = now.pieces.iter().map(|piece| piece.size).sum();
        Ok((whole != now.size).then(|| format!("its pieces have {whole} bytes of {}", now.size)))
    }

    async fn still_there(&self, bucket: &Bucket, object: &Object) -> Result<Option<Object>, Refusal> {
        let found = self.index.get(&bucket.id, &object.key, Some(&object.version)).await?;
        Ok(found.filter(|found| found.modified == object.modified && found.etag == object.etag))
    }

    async fn damage_of(&self, piece: &Piece) -> Option<String> {
        let Reading { mut bytes, .. } = match self.blobs.get(&piece.blob, None).await {
            Ok(Some(reading)) => reading,
            Ok(None) => return Some("its bytes are gone".to_owned()),
            Err(error) => return Some(format!("its bytes cannot be read: {error}")),
        };
        let (mut digest, mut size) = (crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme), 0);
        while let Some(part) = bytes.next().await {
            match part {
                Ok(part) => {
                    digest.update(&part);
                    size += part.len() as u64;
                }
                Err(fault) => return Some(format!("its bytes cannot be read: {fault}")),
            }
        }
        if size != piece.size {
            return Some(format!("{size} of {} bytes are there", piece.size));
        }
        (digest.finalize() != piece.crc64).then(|| "its bytes were altered".to_owned())
    }

    async fn tell_damage(&self, bucket: &Bucket, object: &Object, why: &str) -> Result<(), Refusal> {
        let Object { key, version, size, etag, .. } = object;
        let detail = json!({
            "bucket": bucket.name(), "key": key, "version": version, "size": size, "etag": etag, "why": why,
        });
        let draft = Draft {
            id: bucket.id.clone(),
            verb: "object_damaged",
            expect: Expect::Any,
            write: Write::Nothing,
            detail,
        };
        let commit = self.feed.draft(Actor::system(), "", vec![draft]);
        let changes = self.feed.catalog().commit(commit).await?;
        self.feed.applied(changes).await?;
        Ok(())
    }
}

/// Waits as long as so many bytes may take.
async fn pause(bytes: u64, rate: Option<u64>) {
    let Some(rate) = rate.filter(|rate| *rate > 0) else { return };
    let micros = bytes.saturating_mul(1_000_000) / rate;
    // Thousands of tiny objects are no reason for thousands of timers.
    if micros >= 1_000 {
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}
