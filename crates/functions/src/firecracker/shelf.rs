//! What microVMs are made of, ready on disk: the drive with the function and the snapshot of a booted guest.
//!
//! ```text
//! <store>/<digest>/code                     the drive
//! <store>/<digest>/<print>/{state,memory}   a snapshot; <print> says of what Firecracker, kernel and memory
//! ```
//! Both are made under another name and renamed when they are whole, so that a crash leaves nothing that looks whole.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use flagbase_core::functions::{Artifact, Digest, Shape};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::{
    Config,
    machine::{Parts, Rootfs, Snapshot},
    version::Version,
};

/// What a directory that is being made is called.
const UNFINISHED: &str = "unfinished-";

/// The files behind all microVMs.
pub(super) struct Shelf {
    store: PathBuf,
    kernel: PathBuf,
    rootfs: Rootfs,
    /// What snapshots depend on beside code and memory.
    print: [u8; 32],
    build: Build,
    /// One at a time makes what is missing of one digest.
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

/// Makes the drive with a function: recognises the code and writes the drive to a path.
pub type Build = fn(&Artifact, &Path) -> Result<Shape, ImageError>;

/// Why there is no drive.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The code is not of a kind that microVMs run; the sentence says what to do.
    #[error("{0}")]
    Rejected(String),
    /// It cannot be written.
    #[error("the drive with the function cannot be made: {0}")]
    Io(#[from] io::Error),
}

impl Shelf {
    /// Files in `config.store`. Kernel and root file system are brought there, so that every microVM can link them.
    pub(super) fn open(config: &Config, version: Version, build: Build) -> io::Result<Self> {
        let store = config.store();
        fs::create_dir_all(&store)?;
        let base = store.join("base");
        fs::create_dir_all(&base)?;
        let kernel = staged(&config.kernel, &base)?;
        let rootfs = match Rootfs::at(&config.rootfs)? {
            Rootfs::Initrd(path) => Rootfs::Initrd(staged(&path, &base)?),
            Rootfs::Drive(path) => Rootfs::Drive(staged(&path, &base)?),
        };
        let mut print = Sha256::new();
        for part in [version.to_string(), config.boot_args.clone(), config.vcpus.to_string(), processor()] {
            print.update(part);
            print.update([0]);
        }
        for path in [&kernel, rootfs.path()] {
            print.update(path.as_os_str().as_encoded_bytes());
        }
        // What a crash left half done.
        for entry in fs::read_dir(&store)? {
            remove_unfinished(&entry?.path())?;
        }
        Ok(Self { store, kernel, rootfs, print: print.finalize().into(), build, turns: Mutex::default() })
    }

    /// Waits for its turn to make what is missing of `digest`.
    pub(super) async fn turn(&self, digest: Digest) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(self.turns.lock().entry(digest).or_default());
        turn.lock_owned().await
    }

    /// Makes the drive with `artifact`, unless it is there; says its shape.
    pub(super) async fn drive(&self, artifact: &Artifact) -> Result<Shape, ImageError> {
        let directory = self.directory(&artifact.digest);
        let (build, artifact) = (self.build, artifact.clone());
        let make = move || {
            fs::create_dir_all(&directory)?;
            let beside = directory.join(format!("{UNFINISHED}code"));
            gone(fs::remove_file(&beside))?;
            let shape = build(&artifact, &beside)?;
            fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
            fs::rename(&beside, directory.join("code"))?;
            Ok(shape)
        };
        tokio::task::spawn_blocking(make).await.map_err(|error| ImageError::Io(io::Error::other(error)))?
    }

    /// The parts of microVMs with `memory_mib` for `digest`; `None` when the drive is not there.
    pub(super) fn parts(&self, digest: &Digest, memory_mib: u64) -> Option<Parts> {
        let code = self.directory(digest).join("code");
        let parts = Parts { kernel: self.kernel.clone(), rootfs: self.rootfs.clone(), code, memory_mib };
        parts.code.is_file().then_some(parts)
    }

    /// The snapshot of such microVMs, when there is one.
    pub(super) fn snapshot(&self, digest: &Digest, memory_mib: u64) -> Option<Snapshot> {
        let directory = self.snapshot_directory(digest, memory_mib);
        let snapshot = Snapshot { state: directory.join("state"), memory: directory.join("memory") };
        (snapshot.state.is_file() && snapshot.memory.is_file()).then_some(snapshot)
    }

    /// A directory to make a snapshot in.
    pub(super) fn begin(&self, digest: &Digest, memory_mib: u64) -> io::Result<PathBuf> {
        let print = self.name(memory_mib);
        let directory = self.directory(digest).join(format!("{UNFINISHED}{print}"));
        gone(fs::remove_dir_all(&directory))?;
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// The snapshot in `directory` is whole.
    pub(super) fn finish(&self, directory: &Path, digest: &Digest, memory_mib: u64) -> io::Result<()> {
        let whole = self.snapshot_directory(digest, memory_mib);
        gone(fs::remove_dir_all(&whole))?;
        fs::rename(directory, whole)
    }

    /// Throws a snapshot away that cannot be restored.
    pub(super) fn discard(&self, digest: &Digest, memory_mib: u64) -> io::Result<()> {
        gone(fs::remove_dir_all(self.snapshot_directory(digest, memory_mib)))
    }

    /// Forgets everything of digests that are not `alive`.
    pub(super) fn retain(&self, alive: &dyn Fn(&Digest) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.store)? {
            let path = entry?.path();
            let digest = path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok());
            if digest.is_some_and(|digest| !alive(&digest)) {
                gone(fs::remove_dir_all(&path))?;
            }
        }
        self.turns.lock().retain(|digest, _| alive(digest));
        Ok(())
    }

    fn directory(&self, digest: &Digest) -> PathBuf {
        self.store.join(digest.hex())
    }

    fn snapshot_directory(&self, digest: &Digest, memory_mib: u64) -> PathBuf {
        self.directory(digest).join(self.name(memory_mib))
    }

    fn name(&self, memory_mib: u64) -> String {
        let print = Sha256::new_with_prefix(self.print).chain_update(memory_mib.to_le_bytes()).finalize();
        hex::encode(print).get(..32).unwrap_or_default().to_owned()
    }
}

impl Rootfs {
    fn path(&self) -> &PathBuf {
        match self {
            Self::Initrd(path) | Self::Drive(path) => path,
        }
    }
}

/// The file `from` in `base`, under a name that says which state of it this is.
fn staged(from: &Path, base: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let named = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", from.display()));
    let found = fs::metadata(from).map_err(named)?;
    let words = format!("{}\0{}\0{}\0{}", from.display(), found.len(), found.mtime(), found.mtime_nsec());
    let name = hex::encode(Sha256::digest(words));
    let to = base.join(name.get(..32).unwrap_or_default());
    if !to.is_file() {
        // A copy, because the original may be changed in place, and because its owner may not be us.
        let beside = to.with_extension("new");
        gone(fs::remove_file(&beside))?;
        fs::copy(from, &beside).map_err(named)?;
        fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
        fs::rename(beside, &to)?;
    }
    Ok(to)
}

/// The model of this machine's processor: a snapshot of another one cannot be restored.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().find(|line| line.starts_with("model name")).unwrap_or_default().to_owned()
}

fn remove_unfinished(directory: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn plain(artifact: &Artifact, to: &Path) -> Result<Shape, ImageError> {
        fs::write(to, &artifact.bytes)?;
        Ok(Shape::Binary)
    }

    fn refusing(_: &Artifact, _: &Path) -> Result<Shape, ImageError> {
        Err(ImageError::Rejected("it is no program".to_owned()))
    }

    fn shelf(home: &TempDir, build: Build) -> Shelf {
        let file = |name: &str, text: &str| {
            let path = home.path().join(name);
            if !path.exists() {
                fs::write(&path, text).unwrap();
            }
            path
        };
        let config = Config {
            kernel: file("vmlinux", "kernel"),
            rootfs: file("initrd", "070701archive"),
            chroot_base: home.path().to_owned(),
            ..Config::default()
        };
        Shelf::open(&config, "1.16.1".parse().unwrap(), build).unwrap()
    }

    fn artifact(text: &'static str) -> Artifact {
        Artifact::new("hello", text.as_bytes().into())
    }

    #[tokio::test]
    async fn a_drive_is_there_once_it_is_whole() {
        let home = TempDir::new().unwrap();
        let (shelf, artifact) = (shelf(&home, plain), artifact("code"));
        assert!(shelf.parts(&artifact.digest, 128).is_none());
        assert_eq!(shelf.drive(&artifact).await.unwrap(), Shape::Binary);
        let parts = shelf.parts(&artifact.digest, 128).unwrap();
        assert_eq!(fs::read(parts.code).unwrap(), b"code");
        assert_eq!(fs::read(parts.kernel).unwrap(), b"kernel");
        assert!(matches!(parts.rootfs, Rootfs::Initrd(_)));
    }

    #[tokio::test]
    async fn what_is_no_program_is_refused_and_leaves_no_drive() {
        let home = TempDir::new().unwrap();
        let (shelf, artifact) = (shelf(&home, refusing), artifact("text"));
        assert_eq!(shelf.drive(&artifact).await.unwrap_err().to_string(), "it is no program");
        assert!(shelf.parts(&artifact.digest, 128).is_none());
    }

    #[tokio::test]
    async fn a_snapshot_is_of_one_size_and_half_of_one_is_swept() {
        let home = TempDir::new().unwrap();
        let (open, artifact) = (shelf(&home, plain), artifact("code"));
        let digest = &artifact.digest;
        open.drive(&artifact).await.unwrap();
        let directory = open.begin(digest, 128).unwrap();
        for name in ["state", "memory"] {
            fs::write(directory.join(name), name).unwrap();
        }
        assert!(open.snapshot(digest, 128).is_none(), "it is not finished");
        open.finish(&directory, digest, 128).unwrap();
        assert!(open.snapshot(digest, 128).is_some());
        assert!(open.snapshot(digest, 256).is_none());
        let half = open.begin(digest, 256).unwrap();
        let again = shelf(&home, plain);
        assert!(!half.exists());
        assert!(again.snapshot(digest, 128).is_some(), "kernel and root file system are the same");
        fs::write(home.path().join("vmlinux"), "another kernel").unwrap();
        open.discard(digest, 128).unwrap();
        assert!(again.snapshot(digest, 128).is_none());
    }

    #[tokio::test]
    async fn what_is_not_alive_is_forgotten() {
        let home = TempDir::new().unwrap();
        let shelf = shelf(&home, plain);
        let (kept, other) = (artifact("kept"), artifact("other"));
        for artifact in [&kept, &other] {
            shelf.drive(artifact).await.unwrap();
        }
        shelf.retain(&|digest| *digest == kept.digest).unwrap();
        assert!(shelf.parts(&kept.digest, 128).is_some());
        assert!(shelf.parts(&other.digest, 128).is_none());
        assert!(shelf.kernel.exists(), "what all share stays");
    }
}
