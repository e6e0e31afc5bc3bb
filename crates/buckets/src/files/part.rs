//! A write under way.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, IoSlice, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

/// How the names of files end that are being written.
pub(super) const SUFFIX: &str = ".part";

/// A file that is being written. Dropped before it is kept, it goes.
#[derive(Debug)]
pub(super) struct Part {
    base: Arc<Path>,
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
    /// The `number`th write, of the file that `becomes` the one at that path below `base`. Touches nothing yet.
    pub(super) fn of(base: Arc<Path>, becomes: PathBuf, number: u64) -> Self {
        let at = becomes.with_file_name(format!(".{number}{SUFFIX}"));
        Self { base, file: None, made: false, at, becomes, size: 0, kept: false }
    }

    /// Appends `bytes`.
    pub(super) fn write(mut self, bytes: &[Bytes]) -> io::Result<Self> {
        if self.file.is_none() {
            make_below(&self.base, self.directory())?;
            self.file = Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.at)?);
            self.made = true;
        }
        if let Some(file) = &mut self.file {
            write_all(file, bytes)?;
        }
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

    /// Keeps what is at `from` under this name, too. Returns whether there was something.
    pub(super) fn link(mut self, from: &Path) -> io::Result<bool> {
        make_below(&self.base, self.directory())?;
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
            Err(error) => Err(error),
        }
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(&self.at, &self.becomes)?;
        self.kept = true;
        sync_directory_of(&self.becomes)
    }

    fn directory(&self) -> &Path {
        self.becomes.parent().unwrap_or(&self.base)
    }
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

/// Puts the names in the directory of `path` on disk.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes `directory` and what is above it, as far as it is not there.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make_directory(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        // Somebody else was faster; whether its name is on disk yet is not known.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
        Err(error) => return Err(error),
    }
    sync_directory_of(directory)
}

/// The same below a base that has to be there: a disk that is not mounted is not filled with new directories.
fn make_below(base: &Path, directory: &Path) -> io::Result<()> {
    if !base.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("`{}` is gone", base.display())));
    }
    make_directory(directory)
}
