//! The first file system of a machine: the agent, and the modules a kernel needs to find its devices.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveError, Entry};

/// Modules in the order in which they need each other; a kernel that has them built in lacks the files.
const MODULES: [&str; 8] = [
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/virtio/virtio_mmio.ko",
    "kernel/net/vmw_vsock/vsock.ko",
    "kernel/net/vmw_vsock/vmw_vsock_virtio_transport_common.ko",
    "kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko",
    "kernel/drivers/block/virtio_blk.ko",
    "kernel/drivers/char/hw_random/virtio-rng.ko",
];
/// How distributions compress them.
const COMPRESSIONS: [&str; 4] = ["", ".xz", ".zst", ".gz"];
const DIRECTORIES: [&str; 6] = ["dev", "function", "proc", "run", "sys", "tmp"];

/// Why the file system cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file cannot be read.
    #[error("`{path}`: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The agent is not one program by itself.
    #[error(
        "the agent needs libraries that a machine does not have; build it with `cargo xtask guest-image`, \
         which links it statically"
    )]
    Dynamic,
    /// It cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// The bytes of the file system: `agent` as its first program, and from `modules`, a directory such as
/// `/lib/modules/6.1.0-56-cloud-amd64`, what machines need.
///
/// # Errors
/// When the agent is not linked statically, or a file cannot be read.
pub fn initrd(agent: Vec<u8>, modules: Option<&Path>) -> Result<Vec<u8>, PackError> {
    if is_dynamic(&agent) {
        return Err(PackError::Dynamic);
    }
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.add(directory, Entry::Directory)?;
    }
    archive.add("dev/console", Entry::Device { major: 5, minor: 1 })?;
    archive.file("init", true, agent)?;
    for (number, path) in modules.into_iter().flat_map(found).enumerate() {
        let bytes = fs::read(&path).map_err(|error| PackError::Read { path: path.clone(), error })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.file(&format!("modules/{number:02}-{name}"), false, bytes)?;
    }
    Ok(archive.write()?)
}

/// The files of [`MODULES`] that are there.
fn found(root: &Path) -> Vec<PathBuf> {
    let of = |name: &&str| {
        let names = COMPRESSIONS.iter().map(move |suffix| root.join(format!("{name}{suffix}")));
        names.into_iter().find(|path| path.is_file())
    };
    MODULES.iter().filter_map(of).collect()
}

/// Whether an ELF program asks for an interpreter (a program header of type 3), as those with libraries do.
fn is_dynamic(program: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let bytes = program.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let (Some(start), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else {
        return false;
    };
    (0..count).any(|index| number(start.saturating_add(index * size), 4) == Some(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_numbered_as_they_need_each_other() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [(MODULES[0], "a"), (MODULES[3], "b")] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let archive = Archive::read(&initrd(b"agent".to_vec(), Some(root.path())).unwrap()).unwrap();
        let names: Vec<&str> = archive.entries().map(|(name, _)| name).collect();
        let expected = [
            "dev",
            "dev/console",
            "function",
            "init",
            "modules",
            "modules/00-virtio_ring.ko",
            "modules/01-vsock.ko",
            "proc",
            "run",
            "sys",
            "tmp",
        ];
        assert_eq!(names, expected);
        assert_eq!(archive.get("init"), Some(&Entry::File { executable: true, bytes: b"agent".to_vec() }));
    }

    #[test]
    fn a_compressed_module_is_taken_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(format!("{}.xz", MODULES[1]));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(found(root.path()), [path]);
    }

    #[test]
    fn an_agent_that_needs_libraries_is_refused() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert!(matches!(initrd(own, None), Err(PackError::Dynamic)));
    }

    #[test]
    fn the_same_parts_make_the_same_bytes() {
        assert_eq!(initrd(b"agent".to_vec(), None).unwrap(), initrd(b"agent".to_vec(), None).unwrap());
    }
}
