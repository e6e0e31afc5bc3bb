//! Finding bytes that are not what was written.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use serde_json::json;

use crate::{
    blobs::Reading,
    buckets::{
        Bucket, Listing, Object, Piece,
        objects::{BLOBS, Objects},
    },
    catalog::{Actor, Draft, Expect, Write},
    refusal::Refusal,
};

/// Objects of one step.
const STEP: u32 = 200;

/// Shorter pauses are put off: thousands of tiny objects are no reason for thousands of timers.
const LEAST_PAUSE: Duration = Duration::from_millis(10);

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
    ///
    /// # Errors
    /// When the index or the store of blobs does not answer: what cannot be looked at is not damaged.
    pub async fn scrub(&self, rate: Option<u64>) -> Result<Scrubbed, Refusal> {
        let (mut scrubbed, mut pace) = (Scrubbed::default(), Pace::new(rate));
        for bucket in self.all_buckets() {
            self.scrub_bucket(&bucket, &mut pace, &mut scrubbed).await?;
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
        pace: &mut Pace,
        scrubbed: &mut Scrubbed,
    ) -> Result<(), Refusal> {
        let mut listing = Listing { versions: true, limit: STEP, ..Listing::default() };
        loop {
            let listed = self.index.list(&bucket.id, &listing).await?;
            for object in listed.objects.into_iter().filter(|object| !object.marker) {
                scrubbed.objects += 1;
                scrubbed.bytes = scrubbed.bytes.saturating_add(object.size);
                if let Some(why) = self.damage(bucket, &object, pace).await? {
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
        pace: &mut Pace,
    ) -> Result<Option<String>, Refusal> {
        let Some(now) = self.still_there(bucket, object).await? else { return Ok(None) };
        for piece in &now.pieces {
            let Some(why) = self.damage_of(piece, pace).await? else { continue };
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

    /// What is wrong with the bytes of a piece, if anything.
    async fn damage_of(&self, piece: &Piece, pace: &mut Pace) -> Result<Option<String>, Refusal> {
        let Err(first) = self.read_through(piece, pace).await else { return Ok(None) };
        if first.is_seen {
            return Ok(Some(first.why));
        }
        // Somebody may have stumbled over a cable: a store that answers, but not about this piece, has lost it.
        self.blobs.list(BLOBS, "", 1).await?;
        Ok(self.read_through(piece, pace).await.err().map(|again| again.why))
    }

    async fn read_through(&self, piece: &Piece, pace: &mut Pace) -> Result<(), Wrong> {
        let Reading { mut bytes, .. } = match self.blobs.get(&piece.blob, None).await {
            Ok(Some(reading)) => reading,
            Ok(None) => return Err(Wrong::seen("its bytes are gone".to_owned())),
            Err(error) => return Err(Wrong::unread(&error)),
        };
        let (mut digest, mut size) = (crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme), 0);
        while let Some(part) = bytes.next().await {
            let part = part.map_err(|fault| Wrong::unread(&fault))?;
            digest.update(&part);
            size += part.len() as u64;
            pace.passed(part.len() as u64).await;
        }
        if size != piece.size {
            return Err(Wrong::seen(format!("{size} of {} bytes are there", piece.size)));
        }
        if digest.finalize() == piece.crc64 {
            Ok(())
        } else {
            Err(Wrong::seen("its bytes were altered".to_owned()))
        }
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

/// What is wrong with bytes.
struct Wrong {
    why: String,
    /// They were looked at, and are not what was written. Otherwise they could not be looked at.
    is_seen: bool,
}

impl Wrong {
    fn seen(why: String) -> Self {
        Self { why, is_seen: true }
    }

    fn unread(error: &dyn std::error::Error) -> Self {
        let mut why = format!("its bytes cannot be read: {error}");
        if let Some(source) = error.source() {
            why = format!("{why}: {source}");
        }
        Self { why, is_seen: false }
    }
}

/// Reads no faster than it may.
struct Pace {
    /// Bytes per second; `None`: as fast as can be.
    rate: Option<u64>,
    /// Bytes read since the last pause.
    ahead: u64,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), ahead: 0 }
    }

    /// So many bytes were read: waits as long as they may take, but not for each few of them.
    async fn passed(&mut self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        self.ahead = self.ahead.saturating_add(bytes);
        let pause = Duration::from_micros(self.ahead.saturating_mul(1_000_000) / rate);
        if pause >= LEAST_PAUSE {
            self.ahead = 0;
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_small_parts_take_as_long_as_a_large_one() {
        let took = |parts: u64, size: u64| async move {
            let (begun, mut pace) = (tokio::time::Instant::now(), Pace::new(Some(1 << 20)));
            for _ in 0..parts {
                pace.passed(size).await;
            }
            begun.elapsed().as_millis()
        };
        assert_eq!(took(1, 4 << 20).await, 4_000);
        let small = took(4 << 10, 1 << 10).await;
        assert!((3_900..=4_200).contains(&small), "{small}");
        let mut pace = Pace::new(None);
        pace.passed(u64::MAX).await;
        assert_eq!(pace.ahead, 0);
    }
}
