//! Compiled code on disk.
//!
//! Machine code is trusted blindly by whoever loads it, so each file carries a code of authentication under a key that
//! only this server has. A file that is cut off, changed or from somewhere else is deleted and built again.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use flagbase_core::{functions::Digest, random::Random};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

type Authenticator = Hmac<Sha256>;

/// Ends each file, after the code of authentication.
const MAGIC: &[u8; 8] = b"FBCODE01";
const TAG: usize = 32;
const TRAILER: u64 = (TAG + MAGIC.len()) as u64;
const KEY_FILE: &str = "code.key";
const EXTENSION: &str = "cwasm";

/// A directory of compiled code.
pub(crate) struct Cache {
    directory: PathBuf,
    key: [u8; 32],
}

impl Cache {
    /// Opens the directory, which nobody else may read, and the key in it, which is made at first.
    pub(crate) fn open(directory: &Path, random: &dyn Random) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let key = key(&directory.join(KEY_FILE), random)?;
        Ok(Self { directory: directory.to_owned(), key })
    }

    /// Where the code called `name` is, when it is there and whole. What is not is removed.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.path(name);
        match self.verify(name, &path) {
            Ok(true) => Some(path),
            Ok(false) => {
                tracing::warn!(path = %path.display(), "compiled code is not what was written here; it is built again");
                let _ = fs::remove_file(&path);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code cannot be read; it is built again");
                None
            }
        }
    }

    /// Keeps `code` under `name`, all of it or nothing.
    pub(crate) fn keep(&self, name: &str, code: &[u8]) -> io::Result<PathBuf> {
        let mut file = tempfile::Builder::new().prefix(".code-").tempfile_in(&self.directory)?;
        let mut tag = self.authenticator(name);
        tag.update(code);
        file.write_all(code)?;
        file.write_all(&tag.finalize().into_bytes())?;
        file.write_all(MAGIC)?;
        file.as_file().sync_all()?;
        let path = self.path(name);
        file.persist(&path)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(path)
    }

    /// The bytes kept under `name`, when they are there and whole.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.find(name)?).ok()?;
        bytes.truncate(bytes.len().checked_sub(TAG + MAGIC.len())?);
        Some(bytes)
    }

    /// Removes `name`, for code that cannot be loaded.
    pub(crate) fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Removes everything whose digest is not `alive`, and what writers left that did not come to their end.
    pub(crate) fn retain(&self, alive: &(dyn Fn(&Digest) -> bool + Send + Sync)) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_code = path.extension().is_some_and(|extension| extension == EXTENSION);
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let digest = stem.split('-').next().and_then(|hex| hex.parse::<Digest>().ok());
            if is_code && !digest.is_some_and(|digest| alive(&digest)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.{EXTENSION}"))
    }

    fn authenticator(&self, name: &str) -> Authenticator {
        let mut tag = keyed(&self.key);
        tag.update(&(name.len() as u64).to_le_bytes());
        tag.update(name.as_bytes());
        tag
    }

    fn verify(&self, name: &str, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let Some(code) = length.checked_sub(TRAILER) else { return Ok(false) };
        let mut tag = self.authenticator(name);
        let mut part = vec![0; 256 << 10];
        let mut left = code;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
            let Some(room) = part.get_mut(..most) else { return Ok(false) };
            file.read_exact(room)?;
            tag.update(room);
            left -= most as u64;
        }
        let (mut written, mut magic) = ([0; TAG], [0; MAGIC.len()]);
        file.seek(SeekFrom::Start(code))?;
        file.read_exact(&mut written)?;
        file.read_exact(&mut magic)?;
        Ok(magic == *MAGIC && tag.verify_slice(&written).is_ok())
    }
}

#[expect(clippy::expect_used, reason = "a key of any length will do for this code of authentication")]
fn keyed(key: &[u8]) -> Authenticator {
    Authenticator::new_from_slice(key).expect("any length will do")
}

fn key(path: &Path, random: &dyn Random) -> io::Result<[u8; 32]> {
    match File::open(path) {
        Ok(mut file) => {
            let mut key = [0; 32];
            if file.read_exact(&mut key).is_ok() {
                return Ok(key);
            }
            // Half a key is none: what it authenticated is built again.
            fs::remove_file(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = random.bytes::<32>();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests;
