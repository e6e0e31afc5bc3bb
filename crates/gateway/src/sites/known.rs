//! What is remembered of sites, within bounds: siblings that are not there, and answers that were compressed.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use flagbase_core::{
    buckets::{Bucket, Object},
    catalog::Revision,
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Absent objects that are remembered, at most.
const MOST_ABSENT: usize = 4096;

/// Compressed answers that are kept, at most, and their bytes.
const MOST_COMPRESSED: usize = 2048;
const MOST_BYTES: usize = 32 << 20;

/// Objects that are compressed at the same time; while there are as many, others are sent as they are.
const MOST_AT_ONCE: usize = 2;

/// Objects that were looked for and are not there, each with a stamp that moves when one is written.
#[derive(Debug, Default)]
pub(super) struct Absent(Mutex<HashMap<Box<str>, (Revision, u64)>>);

impl Absent {
    /// Whether `key` was not there, and nothing changed since.
    pub(super) fn has(&self, bucket: &Bucket, key: &str, stamp: u64) -> bool {
        self.0.lock().get(&*named(bucket, key)) == Some(&(bucket.revision, stamp))
    }

    /// Remembers that `key` was not there after `stamp` was taken.
    pub(super) fn note(&self, bucket: &Bucket, key: &str, stamp: u64) {
        let mut known = self.0.lock();
        if known.len() >= MOST_ABSENT {
            // Whatever is asked for often comes back at once.
            known.clear();
        }
        known.insert(named(bucket, key), (bucket.revision, stamp));
    }
}

/// Names of buckets hold no `/`.
fn named(bucket: &Bucket, key: &str) -> Box<str> {
    [bucket.name(), "/", key].concat().into()
}

/// Compressed answers, by the blobs they were made from, whose names are never used twice.
#[derive(Debug)]
pub(super) struct Compressed {
    kept: Mutex<Kept>,
    uses: AtomicU64,
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Box<str>, Answer>,
    bytes: usize,
}

#[derive(Debug)]
struct Answer {
    packed: Packed,
    used: u64,
}

/// What came of compressing an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packed {
    /// It is smaller so.
    Smaller(Bytes),
    /// It is better sent as it is.
    Useless,
}

impl Packed {
    fn size(&self) -> usize {
        match self {
            Self::Smaller(bytes) => bytes.len(),
            Self::Useless => 0,
        }
    }
}

impl Default for Compressed {
    fn default() -> Self {
        Self { kept: Mutex::default(), uses: AtomicU64::new(0), turns: Semaphore::new(MOST_AT_ONCE) }
    }
}

impl Compressed {
    /// What came of compressing `object` before.
    pub(super) fn get(&self, object: &Object) -> Option<Packed> {
        let mut kept = self.kept.lock();
        let answer = kept.answers.get_mut(&*blobs(object))?;
        answer.used = self.uses.fetch_add(1, Ordering::Relaxed);
        Some(answer.packed.clone())
    }

    /// Keeps what came of `object`; what was not used for the longest time goes.
    pub(super) fn keep(&self, object: &Object, packed: Packed) {
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock();
        kept.bytes += packed.size();
        let before = kept.answers.insert(blobs(object), Answer { packed, used });
        kept.bytes -= before.map_or(0, |before| before.packed.size());
        while kept.answers.len() > MOST_COMPRESSED || kept.bytes > MOST_BYTES {
            let oldest = kept.answers.iter().min_by_key(|(_, answer)| answer.used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            let gone = kept.answers.remove(&oldest);
            kept.bytes -= gone.map_or(0, |gone| gone.packed.size());
        }
    }

    /// A turn to compress; `None` while too many have one.
    pub(super) fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.try_acquire().ok()
    }
}

fn blobs(object: &Object) -> Box<str> {
    let names: Vec<_> = object.pieces.iter().map(|piece| piece.blob.as_str()).collect();
    names.join(",").into()
}

#[cfg(test)]
mod tests {
    use flagbase_core::{
        buckets::Piece,
        catalog::{DocumentId, Kind},
    };
    use serde_json::json;

    use super::*;

    fn object(blob: usize) -> Object {
        let piece = Piece { blob: format!("objects/{blob}"), size: 1, crc64: 0 };
        Object { pieces: vec![piece], ..Object::default() }
    }

    #[test]
    fn what_was_not_there_is_known_until_its_stamp_moves_or_its_bucket_is_another_one() {
        let bucket = |revision| {
            let id = DocumentId::new(Kind::Bucket, "default", "site");
            Bucket::from_stored(id, revision, &json!({"name": "site"})).unwrap()
        };
        let absent = Absent::default();
        absent.note(&bucket(1), "app.js.br", 7);
        assert!(absent.has(&bucket(1), "app.js.br", 7));
        assert!(!absent.has(&bucket(1), "app.js.br", 8) && !absent.has(&bucket(2), "app.js.br", 7));
        for number in 0..MOST_ABSENT + 9 {
            absent.note(&bucket(1), &number.to_string(), 7);
        }
        assert!(absent.0.lock().len() <= MOST_ABSENT);
    }

    #[test]
    fn what_was_used_last_stays_and_the_rest_makes_room() {
        let compressed = Compressed::default();
        let bytes = Bytes::from(vec![0; MOST_BYTES / 4]);
        let part = Packed::Smaller(bytes.clone());
        for blob in 0..4 {
            compressed.keep(&object(blob), part.clone());
        }
        assert_eq!(compressed.get(&object(0)), Some(part.clone()));
        compressed.keep(&object(4), part);
        assert_eq!(compressed.get(&object(1)), None, "the one that was not used for the longest time");
        assert!(compressed.get(&object(0)).is_some() && compressed.get(&object(4)).is_some());
        compressed.keep(&object(0), Packed::Useless);
        assert_eq!(compressed.get(&object(0)), Some(Packed::Useless));
        assert_eq!(compressed.kept.lock().bytes, 3 * bytes.len());
        for blob in 0..MOST_COMPRESSED + 9 {
            compressed.keep(&object(blob), Packed::Useless);
        }
        assert_eq!(compressed.kept.lock().answers.len(), MOST_COMPRESSED);
    }

    #[test]
    fn only_so_many_are_compressed_at_once() {
        let compressed = Compressed::default();
        let turns: Vec<_> = (0..MOST_AT_ONCE).map(|_| compressed.turn().unwrap()).collect();
        assert!(compressed.turn().is_none());
        drop(turns);
        assert!(compressed.turn().is_some());
    }
}
