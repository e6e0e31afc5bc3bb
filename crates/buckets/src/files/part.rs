//! A write under way.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use flagbase_core::blobs::Kept;
use sha2::{Digest as _, Sha256};

/// How the names of files end that are being written.
pub(super) const SUFFIX: &str = ".part";

/// A file that is being written. Dropped before it is kept, it goes.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    at: PathBuf,
    becomes: PathBuf,
    size: u64,
    hash: Sha256,
    kept: bool,
}

impl Part {
    /// Begins the `number`th write, of the file that `becomes` the one at that path below `base`.
    pub(super) fn begin(base: &Path, becomes: PathBuf, number: u64) -> io::Result<Self> {
        let directory = becomes.parent().unwrap_or(base);
        make_below(base, directory)?;
        let at = directory.join(format!(".{number}{SUFFIX}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at)?;
        Ok(Self { file, at, becomes, size: 0, hash: Sha256::new(), kept: false })
    }

    /// Appends `bytes`.
    pub(super) fn write(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(self)
    }

    /// Gives it its name. Once this returns, it is there after a power cut.
    pub(super) fn keep(mut self) -> io::Result<Kept> {
        self.file.sync_all()?;
        fs::rename(&self.at, &self.becomes)?;
        self.kept = true;
        sync_directory_of(&self.becomes)?;
        Ok(Kept { size: self.size, sha256: std::mem::take(&mut self.hash).finalize().into() })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept
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
