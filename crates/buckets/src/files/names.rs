//! Between names of blobs and paths of files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::part::SUFFIX;

/// How the names of files end that hold a blob. A word of a name has no dot, so a blob `a` and blobs below `a/` are never
/// in each other's way.
const BLOB: &str = ".blob";

/// The longest name, in bytes, and the longest word of one.
const MOST: usize = 1024;
const MOST_WORD: usize = 200;

/// Where the blob `name` is below `base`; `None` for what is no name.
pub(super) fn path(base: &Path, name: &str) -> Option<PathBuf> {
    let fits = name.len() <= MOST && name.split('/').all(is_word);
    fits.then(|| base.join(format!("{name}{BLOB}")))
}

fn is_word(word: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MOST_WORD).contains(&word.len()) && word.bytes().all(known)
}

/// Names below `base` that begin with `prefix` and come after `after`, in order, at most `limit`.
pub(super) fn list(base: &Path, prefix: &str, after: &str, limit: usize) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let search = Search { prefix, after, limit };
    search.within(base, "", &mut found)?;
    Ok(found)
}

struct Search<'a> {
    prefix: &'a str,
    after: &'a str,
    limit: usize,
}

impl Search<'_> {
    fn within(&self, directory: &Path, above: &str, found: &mut Vec<String>) -> io::Result<()> {
        // A directory is sorted as what its names begin with, so that names come in the order of their bytes.
        let mut entries = Vec::new();
        for entry in read(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(word) = name.strip_suffix(BLOB) {
                entries.push(format!("{above}{word}"));
            } else if is_word(name) && entry.file_type()?.is_dir() {
                entries.push(format!("{above}{name}/"));
            }
        }
        entries.retain(|entry| self.may_hold(entry));
        entries.sort_unstable();
        for entry in entries {
            if found.len() >= self.limit {
                return Ok(());
            }
            match entry.strip_suffix('/') {
                Some(name) => {
                    let word = name.rsplit('/').next().unwrap_or(name);
                    self.within(&directory.join(word), &entry, found)?;
                }
                None => found.push(entry),
            }
        }
        Ok(())
    }

    /// Whether the blob or directory called `entry` is, or holds, what is looked for.
    fn may_hold(&self, entry: &str) -> bool {
        if entry.ends_with('/') {
            let meant = entry.starts_with(self.prefix) || self.prefix.starts_with(entry);
            meant && (entry > self.after || self.after.starts_with(entry))
        } else {
            entry.starts_with(self.prefix) && entry > self.after
        }
    }
}

/// Removes what was being written below `directory`. Returns how many files.
pub(super) fn remove_parts(directory: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in read(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with('.') && name.ends_with(SUFFIX) {
            fs::remove_file(entry.path())?;
            removed += 1;
        } else if is_word(name) && entry.file_type()?.is_dir() {
            removed += remove_parts(&entry.path())?;
        }
    }
    Ok(removed)
}

/// What is in `directory`; nothing, when it is gone.
fn read(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_names_of_ours_are_paths() {
        let base = Path::new("/base");
        for name in ["a", "functions/0f-9", "a/b/c"] {
            assert_eq!(path(base, name), Some(PathBuf::from(format!("/base/{name}.blob"))));
        }
        let long = "a".repeat(201);
        for name in ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "A", "a b", "ä", "a.b", "a\0b", &long] {
            assert_eq!(path(base, name), None, "{name}");
        }
        assert_eq!(path(base, &"abcdefg/".repeat(200)[..1599]), None, "too long as a whole");
    }

    proptest! {
        #[test]
        fn a_name_stays_below_its_base(name in "[a-z0-9./-]{0,20}") {
            if let Some(path) = path(Path::new("/base"), &name) {
                prop_assert!(path.starts_with("/base"));
                prop_assert!(path.components().all(|part| part != std::path::Component::ParentDir));
            }
        }

        #[test]
        fn a_listing_is_the_sorted_names_cut_as_asked(
            names in proptest::collection::btree_set("[a0-]{1,2}(/[a0-]{1,2}){0,2}", 0..12),
            prefix in "[a0/-]{0,3}", after in "[a0/-]{0,4}", limit in 0_usize..8,
        ) {
            let base = tempfile::tempdir().unwrap();
            for name in &names {
                let path = path(base.path(), name).unwrap();
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            let expected: Vec<_> = names
                .iter()
                .filter(|name| name.starts_with(&prefix) && name.as_str() > after.as_str())
                .take(limit)
                .cloned()
                .collect();
            prop_assert_eq!(list(base.path(), &prefix, &after, limit).unwrap(), expected);
        }
    }
}
