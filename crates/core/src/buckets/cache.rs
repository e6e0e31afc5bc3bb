//! What is known of objects that are read often.
//!
//! An entry carries a stamp that was taken before the index was read; it is good while the stamp has not moved, and every
//! change of an object in the log moves it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Bucket, Object};
use crate::catalog::Revision;

/// Parts of the cache, each with a lock of its own.
const SHARDS: usize = 32;

/// Objects in a part, at most; about half a kilobyte each.
const MOST: usize = 512;

/// Pieces of an object that is worth keeping.
const MOST_PIECES: usize = 32;

#[derive(Default)]
pub(super) struct Cache {
    shards: [Mutex<HashMap<Name, Entry>>; SHARDS],
}

#[derive(PartialEq, Eq, Hash)]
struct Name {
    environment: Arc<str>,
    bucket: Arc<str>,
    object: Box<str>,
}

struct Entry {
    object: Arc<Object>,
    /// Of the bucket: one that was removed and made again is another one.
    revision: Revision,
    stamp: u64,
}

impl Cache {
    /// The newest version of an object, when it was read before and nothing has changed since.
    pub(super) fn get(&self, bucket: &Bucket, key: &str, stamp: u64) -> Option<Arc<Object>> {
        let shard = self.shard(key).lock();
        let entry = shard.get(&of(bucket, key))?;
        (entry.stamp == stamp && entry.revision == bucket.revision).then(|| Arc::clone(&entry.object))
    }

    /// Keeps what was read after `stamp` was taken.
    pub(super) fn keep(&self, bucket: &Bucket, object: &Arc<Object>, stamp: u64) {
        if object.pieces.len() > MOST_PIECES {
            return;
        }
        let mut shard = self.shard(&object.key).lock();
        if shard.len() >= MOST {
            // Whatever is read often comes back at once.
            shard.clear();
        }
        let entry = Entry { object: Arc::clone(object), revision: bucket.revision, stamp };
        shard.insert(of(bucket, &object.key), entry);
    }

    /// Forgets an object that turned out not to be there.
    pub(super) fn forget(&self, bucket: &Bucket, key: &str) {
        self.shard(key).lock().remove(&of(bucket, key));
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length, which is not zero")]
    fn shard(&self, key: &str) -> &Mutex<HashMap<Name, Entry>> {
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        &self.shards[hash as usize % SHARDS]
    }
}

fn of(bucket: &Bucket, key: &str) -> Name {
    Name {
        environment: Arc::clone(bucket.environment()),
        bucket: Arc::clone(bucket.name()),
        object: key.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::{DocumentId, Kind};

    fn bucket(revision: Revision) -> Bucket {
        let id = DocumentId::new(Kind::Bucket, "default", "b");
        Bucket::from_stored(id, revision, &json!({"name": "b"})).unwrap()
    }

    fn object(key: &str) -> Arc<Object> {
        Arc::new(Object { key: key.into(), ..Object::default() })
    }

    #[test]
    fn an_object_is_known_until_its_stamp_moves_or_its_bucket_is_another_one() {
        let cache = Cache::default();
        cache.keep(&bucket(1), &object("k"), 7);
        assert_eq!(cache.get(&bucket(1), "k", 7), Some(object("k")));
        assert_eq!(cache.get(&bucket(1), "k", 8), None);
        assert_eq!(cache.get(&bucket(2), "k", 7), None);
        assert_eq!(cache.get(&bucket(1), "other", 7), None);
        cache.forget(&bucket(1), "k");
        assert_eq!(cache.get(&bucket(1), "k", 7), None);
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let cache = Cache::default();
        for number in 0..SHARDS * MOST * 2 {
            cache.keep(&bucket(1), &object(&number.to_string()), 0);
        }
        assert!(cache.shards.iter().all(|shard| shard.lock().len() <= MOST));
    }
}
