//! Files that are read often stay open: reading one again costs neither looking its name up nor another thread.

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Parts of the store of open files, each with a lock of its own.
const SHARDS: usize = 16;

/// Files kept open by a part, at most: few beside the 1024 that a process may have open by default.
const MOST: usize = 8;

/// A file as it was when it was opened; no file of a blob ever changes, another one takes its name.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
}

/// Open files by the names of their blobs.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    files: HashMap<Box<str>, Arc<Opened>>,
    /// Grows whenever a name gets another file or none.
    changes: u64,
}

/// What was known before a file was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before(u64);

impl OpenFiles {
    /// The open file of `name`, or what to tell [`OpenFiles::keep`] once it was opened.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Opened>, Before> {
        let shard = self.shard(name);
        shard.files.get(name).map(Arc::clone).ok_or(Before(shard.changes))
    }

    /// Keeps a file open, unless the name may have got another one since.
    pub(super) fn keep(&self, name: &str, opened: &Arc<Opened>, Before(changes): Before) {
        let mut shard = self.shard(name);
        if shard.changes != changes {
            return;
        }
        if shard.files.len() >= MOST {
            // Whatever is read often comes back at once.
            shard.files.clear();
        }
        shard.files.insert(name.into(), Arc::clone(opened));
    }

    /// `name` has another file now, or none: the one that is open is closed once nobody reads it.
    pub(super) fn forget(&self, name: &str) {
        let mut shard = self.shard(name);
        shard.changes += 1;
        shard.files.remove(name);
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length, which is not zero")]
    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        let hash =
            name.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.shards[hash % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Arc<Opened> {
        Arc::new(Opened { file: Arc::new(tempfile::tempfile().unwrap()), size: 0 })
    }

    #[test]
    fn a_file_stays_open_until_its_name_is_another_ones() {
        let files = OpenFiles::default();
        let before = files.get("a").unwrap_err();
        files.keep("a", &opened(), before);
        assert!(files.get("a").is_ok());
        files.forget("a");
        assert!(files.get("a").is_err());
    }

    #[test]
    fn a_file_that_was_replaced_while_it_was_opened_is_not_kept() {
        let files = OpenFiles::default();
        let before = files.get("a").unwrap_err();
        files.forget("a");
        files.keep("a", &opened(), before);
        assert!(files.get("a").is_err());
    }

    #[test]
    fn only_so_many_stay_open() {
        let files = OpenFiles::default();
        for number in 0..SHARDS * MOST * 2 {
            let name = number.to_string();
            let before = files.get(&name).unwrap_err();
            files.keep(&name, &opened(), before);
        }
        assert!(files.shards.iter().all(|shard| shard.lock().unwrap().files.len() <= MOST));
    }
}
