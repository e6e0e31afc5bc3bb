//! A disk that forgets: what a program changed in its directory, and what of it would be left after a power cut.
//!
//! A small library stands between the program and the system's calls (Linux's `LD_PRELOAD`) and logs every change, every
//! sync, and every line of the program's standard output, in order. [`Platter`] replays that log and can be cut at any
//! place: what had been synced is there, of the rest each sector or only some, as chance has it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

pub use self::platter::Platter;

mod platter;

const SHIM: &str = include_str!("disk/shim.c");

/// A watched disk. A program started with [`Disk::environment`] is watched in the directory it is started in.
#[derive(Debug)]
pub struct Disk {
    directory: TempDir,
}

/// One thing that happened to the disk, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A file was made.
    Create {
        /// Its inode; numbers are used again.
        inode: u64,
        /// Its path below the watched directory.
        name: String,
    },
    /// A directory was made.
    CreateDirectory(String),
    /// Bytes were written to a file.
    Write {
        /// The file.
        inode: u64,
        /// The first byte's place.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was cut or grown to a length.
    Truncate {
        /// The file.
        inode: u64,
        /// Its new length.
        length: usize,
    },
    /// Everything written to the file so far is on disk.
    Sync(u64),
    /// A sync failed: what was written may never reach the disk, whatever later syncs say.
    SyncFailed(u64),
    /// The names in this directory are on disk.
    SyncDirectory(String),
    /// A name was removed.
    Remove(String),
    /// A name was changed.
    Rename(String, String),
    /// A file got one more name.
    Link(String, String),
    /// The program wrote to its standard output.
    Said(String),
}

impl Disk {
    /// A disk that works; builds the library with `cc`, as bundled SQLite needs it, too.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (source, library) = (directory.path().join("shim.c"), directory.path().join("shim.so"));
        fs::write(&source, SHIM).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
        let built = compiler.args(["-ldl", "-lpthread"]).status();
        assert!(built.unwrap().success(), "cc builds the library");
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the watched program has to be started with.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let text = |name| self.path(name).to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", text("shim.so")),
            ("POWER_CUT_LOG", text("log")),
            ("POWER_CUT_BROKEN", text("broken")),
        ]
    }

    /// From now on every sync fails with an input/output error, or none does.
    pub fn break_syncs(&self, broken: bool) {
        if broken {
            fs::write(self.path("broken"), "").unwrap();
        } else {
            fs::remove_file(self.path("broken")).unwrap();
        }
    }

    /// All that happened so far, over restarts of the program.
    pub fn operations(&self) -> Vec<Operation> {
        let log = fs::read(self.path("log")).unwrap();
        let mut rest = log.as_slice();
        std::iter::from_fn(|| next(&mut rest)).collect()
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

/// The next whole record; a program that was killed may have left half of one.
fn next(log: &mut &[u8]) -> Option<Operation> {
    let (kind, rest) = log.split_first()?;
    let (inode, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_ne_bytes(*length)).unwrap())?;
    *log = rest;
    let inode = u64::from_ne_bytes(*inode);
    let number = usize::try_from(u64::from_ne_bytes(*number)).unwrap();
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let both = || {
        let both = text();
        let (from, to) = both.split_once('\n').unwrap();
        (from.to_owned(), to.to_owned())
    };
    Some(match kind {
        b'C' => Operation::Create { inode, name: text() },
        b'M' => Operation::CreateDirectory(text()),
        b'W' => Operation::Write { inode, offset: number, bytes: bytes.to_vec() },
        b'T' => Operation::Truncate { inode, length: number },
        b'S' => Operation::Sync(inode),
        b'F' => Operation::SyncFailed(inode),
        b'D' => Operation::SyncDirectory(text()),
        b'U' => Operation::Remove(text()),
        b'R' => {
            let (from, to) = both();
            Operation::Rename(from, to)
        }
        b'L' => {
            let (from, to) = both();
            Operation::Link(from, to)
        }
        b'A' => Operation::Said(text()),
        other => unreachable!("`{other}` is no kind of record"),
    })
}

/// Makes `directory` empty.
pub(crate) fn clear(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
