//! Directories that blobs lie in.

use std::{
    collections::HashSet,
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The directories below a base, made when something is to be written there.
#[derive(Debug)]
pub(super) struct Directories {
    base: Arc<Path>,
    /// Those whose names are known to be on disk. That a directory is there says nothing: who made it, this process or one
    /// before it, may have ended, or not have come further, before its name was.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Directories {
    /// Those below `base`, which is there.
    pub(super) fn below(base: Arc<Path>) -> Self {
        Self { base, durable: Mutex::default() }
    }

    /// What they are below.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Makes `directory` and what is between it and the base, as far as it is not there; their names are on disk when this
    /// returns. The base has to be there: a disk that is not mounted is not filled with new directories.
    pub(super) fn make(&self, directory: &Path) -> io::Result<()> {
        if !self.base.is_dir() {
            let message = format!("`{}` is gone", self.base.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        self.make_durable(directory)
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_durable(&self, directory: &Path) -> io::Result<()> {
        if *directory == *self.base || (directory.is_dir() && self.durable().contains(directory)) {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_durable(parent)?;
        }
        make_one(directory)?;
        sync_directory_of(directory)?;
        self.durable().insert(directory.to_owned());
        Ok(())
    }
}

/// Makes the base itself and what is above it, as far as it is not there, and puts their names on disk.
pub(super) fn make_base(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() {
        return Ok(());
    }
    if !directory.is_dir() {
        if let Some(parent) = directory.parent() {
            make_base(parent)?;
        }
        make_one(directory)?;
    }
    match sync_directory_of(directory) {
        // What was there before, in a directory that we may not read, is not ours to sync.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Puts the names in the directory of `path` on disk.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn make_one(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn directories_are_made_once_and_again_when_somebody_removed_them() {
        let place = tempfile::tempdir().unwrap();
        let directories = Directories::below(place.path().into());
        let deep = place.path().join("a/b");
        directories.make(&deep).unwrap();
        directories.make(&deep).unwrap();
        assert_eq!(directories.durable().len(), 2);
        fs::remove_dir(&deep).unwrap();
        directories.make(&deep).unwrap();
        assert!(deep.is_dir());
    }

    #[test]
    fn what_is_no_directory_is_no_place_for_one() {
        let place = tempfile::tempdir().unwrap();
        let directories = Directories::below(place.path().into());
        fs::write(place.path().join("a"), "").unwrap();
        assert!(directories.make(&place.path().join("a/b")).is_err());
        assert!(directories.make(&place.path().join("a")).is_err());
    }

    #[test]
    fn a_base_that_is_gone_is_not_made_again() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("mounted");
        make_base(&base).unwrap();
        let directories = Directories::below(base.as_path().into());
        fs::remove_dir(&base).unwrap();
        let refused = directories.make(&base.join("a")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(!base.exists());
    }
}
