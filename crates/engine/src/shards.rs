//! A map that is cheap to clone and to change: clones share all shards but those changed since.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// With a hundred thousand entries, a change copies some four hundred.
const SHARDS: usize = 256;

/// Something found by the key it carries.
pub(crate) trait Keyed: Clone {
    fn key(&self) -> &str;
}

/// A map of things that carry their key.
#[derive(Debug, Clone)]
pub(crate) struct Shards<T> {
    shards: Arc<Vec<Arc<HashTable<T>>>>,
    length: usize,
}

impl<T: Keyed> Shards<T> {
    pub(crate) fn new() -> Shards<T> {
        let empty = Arc::new(HashTable::new());
        Shards { shards: Arc::new(vec![empty; SHARDS]), length: 0 }
    }

    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        let hash = hash(key);
        self.shards.get(shard_of(hash))?.find(hash, |item| item.key() == key)
    }

    /// Adds the item, or puts it in the place of the one with its key.
    pub(crate) fn put(&mut self, item: T) {
        let hash = hash(item.key());
        let Some(shard) = self.shard(hash) else {
            return;
        };
        if let Some(place) = shard.find_mut(hash, |other| other.key() == item.key()) {
            *place = item;
            return;
        }
        shard.insert_unique(hash, item, |item| self::hash(item.key()));
        self.length += 1;
    }

    pub(crate) fn remove(&mut self, key: &str) {
        if self.get(key).is_none() {
            return;
        }
        let hash = hash(key);
        let Some(shard) = self.shard(hash) else {
            return;
        };
        if let Ok(entry) = shard.find_entry(hash, |item| item.key() == key) {
            entry.remove();
            self.length -= 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The shard of this hash, copied first if a clone shares it.
    fn shard(&mut self, hash: u64) -> Option<&mut HashTable<T>> {
        Arc::make_mut(&mut self.shards).get_mut(shard_of(hash)).map(Arc::make_mut)
    }
}

/// The same in every run, so that iteration has the same order, too.
#[inline]
fn hash(key: &str) -> u64 {
    FixedState::default().hash_one(key)
}

/// From bits that the tables themselves do not look at.
#[inline]
fn shard_of(hash: u64) -> usize {
    usize::try_from((hash >> 32) & 0xff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Item(String, u32);

    impl Keyed for Item {
        fn key(&self) -> &str {
            &self.0
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_clones_are_not_touched(
            steps in prop::collection::vec(("[a-d]{1,2}", prop::option::of(any::<u32>())), 0..60),
        ) {
            let mut model = BTreeMap::new();
            let mut shards = Shards::new();
            for (key, value) in steps {
                let (before, model_before) = (shards.clone(), model.clone());
                if let Some(value) = value {
                    shards.put(Item(key.clone(), value));
                    model.insert(key, value);
                } else {
                    shards.remove(&key);
                    model.remove(&key);
                }
                prop_assert_eq!(&contents(&shards), &model);
                prop_assert_eq!(&contents(&before), &model_before);
                prop_assert_eq!(shards.len(), model.len());
            }
            for (key, value) in &model {
                prop_assert_eq!(shards.get(key), Some(&Item(key.clone(), *value)));
            }
        }
    }

    fn contents(shards: &Shards<Item>) -> BTreeMap<String, u32> {
        shards.iter().map(|item| (item.0.clone(), item.1)).collect()
    }

    #[test]
    fn a_change_copies_one_shard_only() {
        let mut shards = Shards::new();
        (0..5000).for_each(|number| shards.put(Item(number.to_string(), number)));
        let mut changed = shards.clone();
        changed.put(Item("7".into(), 0));
        let copied = shards
            .shards
            .iter()
            .zip(changed.shards.iter())
            .filter(|(left, right)| !Arc::ptr_eq(left, right))
            .count();
        assert_eq!(copied, 1);
    }
}
