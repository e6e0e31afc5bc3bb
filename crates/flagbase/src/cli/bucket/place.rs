//! Where things are: objects in buckets, files here.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::exit::{Failure, Outcome};

/// `bucket/key`, or `bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: String,
    /// May be empty, where a prefix is meant.
    pub(super) key: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bucket, key) = text.split_once('/').unwrap_or((text, ""));
        if bucket.is_empty() || bucket.starts_with('.') {
            return Err("write it like `bucket/key`".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

impl Place {
    /// This place, when it names an object.
    pub(super) fn object(&self) -> Outcome<&Self> {
        // Addresses cannot hold these two: whatever sends them takes them for directories.
        if matches!(self.key.as_str(), "" | "." | "..") {
            return Err(
                Failure::usage(format!("`{self}` names no object")).hint("write it like `bucket/key`")
            );
        }
        Ok(self)
    }

    /// The object called `name` at this place: under it when it ends like a directory, else itself.
    pub(super) fn with(&self, name: &str) -> Self {
        if self.key.is_empty() || self.key.ends_with('/') {
            return Self { key: format!("{}{name}", self.key), ..self.clone() };
        }
        self.clone()
    }

    /// The prefix that is a directory here.
    pub(super) fn directory(&self) -> String {
        if self.key.is_empty() || self.key.ends_with('/') {
            self.key.clone()
        } else {
            format!("{}/", self.key)
        }
    }
}

/// Where below `root` the file of a key goes; `None` when it would not stay there, or cannot be a file.
pub(super) fn file_below(root: &Path, key: &str) -> Option<PathBuf> {
    if key.is_empty()
        || key.contains(['\0', '\\'])
        || key.split('/').any(|word| matches!(word, "" | "." | ".."))
    {
        return None;
    }
    let relative = Path::new(key);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| root.join(relative))
}

/// The key of a file below a directory; `None` when its name is no text.
pub(super) fn key_of(root: &Path, file: &Path) -> Option<String> {
    let words: Option<Vec<&str>> =
        file.strip_prefix(root).ok()?.components().map(|part| part.as_os_str().to_str()).collect();
    Some(words?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_a_bucket_and_what_follows() {
        let slashes = place("up//a//b");
        assert_eq!((slashes.bucket.as_str(), slashes.key.as_str()), ("up", "/a//b"));
        assert_eq!(place("up").key, "");
        assert!(place("up").object().is_err() && place("up/..").object().is_err());
        assert!(place("up/../x").object().is_ok());
        assert!("/x".parse::<Place>().is_err() && "./x".parse::<Place>().is_err());
    }

    #[test]
    fn a_file_goes_into_a_directory_or_takes_the_name_that_is_given() {
        assert_eq!(place("up").with("a.txt").key, "a.txt");
        assert_eq!(place("up/dir/").with("a.txt").key, "dir/a.txt");
        assert_eq!(place("up/b.txt").with("a.txt").key, "b.txt");
        assert_eq!(place("up/site").directory(), "site/");
    }

    #[test]
    fn keys_never_lead_out_of_the_directory() {
        let root = Path::new("/tmp/x");
        assert_eq!(file_below(root, "a/b").unwrap(), Path::new("/tmp/x/a/b"));
        for key in ["", "..", "../y", "a/../../y", "/etc/passwd", "a//b", "a/", "./a", "a\0b", "a\\b"] {
            assert_eq!(file_below(root, key), None, "{key}");
        }
        assert_eq!(key_of(root, Path::new("/tmp/x/a/b")).unwrap(), "a/b");
    }
}
