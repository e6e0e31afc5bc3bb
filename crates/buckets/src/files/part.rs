//! A write under way.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::directories::{Directories, sync_directory_of};

/// How the names of files end that are being written.
pub(super) const SUFFIX: &str = ".part";

/// A file that is being written. Dropped before it is kept, it goes.
#[derive(Debug)]
pub(super) struct Part {
    directories: Arc<Directories>,
    /// There once something was written.
    file: Option<File>,
    /// Whether `at` is ours to remove.
    made: bool,
    at: PathBuf,
    becomes: PathBuf,
    size: u64,
    kept: bool,
}

impl Part {
    /// The `number`th write, of the file that `becomes` the one at that path. Touches nothing yet.
    pub(super) fn of(directories: Arc<Directories>, becomes: PathBuf, number: u64) -> Self {
        let at = becomes.with_file_name(format!(".{number}{SUFFIX}"));
        Self { directories, file: None, made: false, at, becomes, size: 0, kept: false }
    }

    /// Appends `bytes`.
    pub(super) fn write(mut self, bytes: &[Bytes]) -> io::Result<Self> {
        write_all(self.file()?, bytes)?;
        self.size += bytes.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(self)
    }

    /// Gives it its name. Once this returns, it is there after a power cut. Returns its size.
    pub(super) fn keep(mut self) -> io::Result<u64> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        self.rename()?;
        Ok(self.size)
    }

    /// Keeps what is at `from` under this name, too: as another name of the same file, or, where the file system knows
    /// no such thing or the file has as many as it may have, as a copy. Returns whether there was something.
    pub(super) fn link(mut self, from: &Path) -> io::Result<bool> {
        self.directories.make(self.directory())?;
        // What is linked was synced when it was written, and is never written again.
        match fs::hard_link(from, &self.at) {
            Ok(()) => {
                self.made = true;
                self.rename()?;
                // A link that takes the place of itself stays beside it.
                match fs::remove_file(&self.at) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(true),
                }
            }
            Err(error) if super::is_missing(&error) => Ok(false),
            Err(error) if cannot_be_linked(&error) => self.copy(from),
            Err(error) => Err(error),
        }
    }

    fn copy(mut self, from: &Path) -> io::Result<bool> {
        let mut bytes = match File::open(from) {
            Ok(file) => file,
            Err(error) if super::is_missing(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        io::copy(&mut bytes, self.file()?)?;
        self.keep().map(|_| true)
    }

    /// The file, made at its first use.
    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.directories.make(self.directory())?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.at)?;
            self.made = true;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("a file that was just made is not there"))
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(&self.at, &self.becomes)?;
        self.kept = true;
        sync_directory_of(&self.becomes)
    }

    fn directory(&self) -> &Path {
        self.becomes.parent().unwrap_or(self.directories.base())
    }
}

fn cannot_be_linked(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), PermissionDenied | TooManyLinks | Unsupported | CrossesDevices)
}

/// Writes all of `parts`, in as few calls as there can be.
fn write_all(file: &mut File, parts: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut slices = slices.as_mut_slice();
    while slices.iter().any(|slice| !slice.is_empty()) {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.made
            && !self.kept
            && let Err(error) = fs::remove_file(&self.at)
        {
            tracing::warn!(path = %self.at.display(), %error, "a half written file stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_linked_is_copied_and_what_is_not_there_is_not() {
        let place = tempfile::tempdir().unwrap();
        let directories = Arc::new(Directories::below(place.path().into()));
        let part = |name: &str, number| Part::of(Arc::clone(&directories), place.path().join(name), number);
        let long = Bytes::from("x".repeat(300_000));
        part("a/1.blob", 0).write(std::slice::from_ref(&long)).unwrap().keep().unwrap();
        assert!(part("b/2.blob", 1).copy(&place.path().join("a/1.blob")).unwrap());
        assert_eq!(fs::read(place.path().join("b/2.blob")).unwrap(), long);
        assert!(!part("b/3.blob", 2).copy(&place.path().join("a/9.blob")).unwrap());
        assert_eq!(fs::read_dir(place.path().join("b")).unwrap().count(), 1, "no half is left");
    }

    #[test]
    fn a_file_system_without_links_and_a_file_with_too_many_are_told_from_other_faults() {
        // EPERM, EXDEV, EMLINK, EOPNOTSUPP; ENOSPC, EIO.
        let told = [1, 18, 31, 95, 28, 5].map(|code| cannot_be_linked(&io::Error::from_raw_os_error(code)));
        assert_eq!(told, [true, true, true, true, false, false]);
    }
}
