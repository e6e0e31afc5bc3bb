//! What the first process of a machine does for it.

mod network;

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount, mount_remount};
use rustix::system::{RebootCommand, finit_module, reboot, sethostname};

use crate::agent::Settings;
use crate::launch;
use crate::protocol::PORT;

/// Where modules of the kernel are in the first file system, in the order in which they are loaded.
pub(crate) const MODULES: &str = "/modules";
/// Where the function's files are put.
const FUNCTION: &str = "/function";
/// Where the function may write what the agent reads.
const WORK: &str = "/run/flagbase";
/// The drive a function comes on, unless the kernel's command line says otherwise.
const DRIVE: &str = "/dev/vda";
/// How long the drive may take to appear.
const APPEARANCE: Duration = Duration::from_millis(500);
/// Tells the kernel that a module is compressed.
const COMPRESSED: i32 = 4;

/// What the kernel's command line says to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `flagbase.port`: the vsock port to listen on.
    pub port: u32,
    /// `flagbase.drive`: the drive with the function.
    pub drive: PathBuf,
}

impl Options {
    /// Reads a command line.
    pub fn of(line: &str) -> Self {
        let value = |name: &str| {
            line.split_whitespace().filter_map(|word| word.split_once('=')).find(|(found, _)| *found == name)
        };
        let port = value("flagbase.port").and_then(|(_, port)| port.parse().ok());
        let drive = value("flagbase.drive").map_or(DRIVE, |(_, drive)| drive);
        Self { port: port.unwrap_or(PORT), drive: PathBuf::from(drive) }
    }
}

/// Makes an empty machine one in which programs run: file systems, modules, the loopback network. Returns the
/// settings of its agent, the port to listen on, and what did not work.
///
/// # Errors
/// When the machine cannot be used at all.
pub fn boot() -> io::Result<(Settings, u32, Vec<String>)> {
    let mut complaints = Vec::new();
    file_systems()?;
    let options = Options::of(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    complaints.extend(modules(Path::new(MODULES))?);
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            complaints.push(format!("{what}: {error}"));
        }
    };
    note("host name", sethostname(b"flagbase").map_err(io::Error::from));
    note("loopback network", network::loopback_up());
    note("memory of the agent", fs::write("/proc/self/oom_score_adj", "-1000"));
    note("directory of the function", writable(Path::new(WORK)));
    note("root file system", read_only(Path::new("/")));
    appear(&options.drive);
    let settings = Settings {
        machine: true,
        drive: Some(options.drive),
        home: PathBuf::from(FUNCTION),
        work: PathBuf::from(WORK),
        launcher: Some(std::env::current_exe()?),
        user: Some(launch::NOBODY),
    };
    Ok((settings, options.port, complaints))
}

fn file_systems() -> io::Result<()> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV;
    let plans: [(&str, &str, MountFlags, &CStr); 6] = [
        ("/proc", "proc", safe | MountFlags::NOEXEC, c""),
        ("/sys", "sysfs", safe | MountFlags::NOEXEC | MountFlags::RDONLY, c""),
        ("/dev", "devtmpfs", MountFlags::NOSUID, c"mode=0755"),
        ("/dev/shm", "tmpfs", safe, c"mode=1777"),
        ("/run", "tmpfs", safe, c"mode=0755"),
        ("/tmp", "tmpfs", safe, c"mode=1777"),
    ];
    for (path, kind, flags, data) in plans {
        fs::create_dir_all(path)?;
        match mount(kind, path, kind, flags, data) {
            // The kernel may have mounted it itself.
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(error) => return Err(io::Error::other(format!("mount `{path}`: {error}"))),
        }
    }
    fs::create_dir_all(FUNCTION)?;
    let links = [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")];
    for (name, descriptor) in links {
        let _ = symlink(format!("/proc/self/fd{descriptor}"), format!("/dev/{name}"));
    }
    Ok(())
}

/// Loads every module of a directory, in the order of their names; returns what did not work.
fn modules(directory: &Path) -> io::Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    let mut complaints = Vec::new();
    for path in paths {
        let compressed = path.extension().is_some_and(|extension| extension != "ko");
        let flags = if compressed { COMPRESSED } else { 0 };
        match finit_module(fs::File::open(&path)?, c"", flags) {
            // Built into this kernel, or loaded already.
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => complaints.push(format!("module `{}`: {error}", path.display())),
        }
    }
    Ok(complaints)
}

/// A directory for the function alone.
fn writable(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    chown(path, Some(launch::NOBODY), Some(launch::NOBODY))
}

fn read_only(path: &Path) -> io::Result<()> {
    mount_remount(path, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV, c"")?;
    Ok(())
}

/// Waits a moment for a drive; whether there is one is found out later.
fn appear(drive: &Path) {
    let until = Instant::now() + APPEARANCE;
    while !drive.exists() && Path::new("/sys/module/virtio_blk").exists() && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Makes room in memory for the function's files.
pub(crate) fn room(home: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", home, "tmpfs", flags, c"mode=0755,size=90%")?;
    Ok(())
}

/// Nobody changes the function's files any more.
pub(crate) fn close(home: &Path) -> io::Result<()> {
    read_only(home)
}

/// Gives the kernel random numbers that no other machine has, and makes it use them at once.
pub(crate) fn reseed(seed: &[u8]) -> io::Result<()> {
    use linux_crng_ioctl::ioctl::{add_randomness_to_kernel, force_kernel_crng_reseed};
    let bits = u32::try_from(seed.len() * 8).map_err(|_| io::ErrorKind::InvalidInput)?;
    add_randomness_to_kernel(seed, bits).map_err(io::Error::other)?;
    force_kernel_crng_reseed().map_err(io::Error::other)
}

/// Ends the machine: a virtual machine monitor that was told not to restart it ends too.
pub fn restart() {
    rustix::fs::sync();
    // Only one who is not the first process cannot do this, and nothing depends on it then.
    let _ = reboot(RebootCommand::Restart);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_command_line_says_where_to_listen_and_what_to_read() {
        let options = Options::of("console=ttyS0 flagbase.port=7 quiet flagbase.drive=/dev/vdb\n");
        assert_eq!(options, Options { port: 7, drive: PathBuf::from("/dev/vdb") });
    }

    #[test]
    fn what_it_does_not_say_is_as_always() {
        for line in ["", "flagbase.port=many"] {
            assert_eq!(Options::of(line), Options { port: PORT, drive: PathBuf::from("/dev/vda") });
        }
    }

    #[test]
    fn a_machine_without_modules_has_none_to_complain_about() {
        assert_eq!(modules(Path::new("/no/such/directory")).unwrap(), Vec::<String>::new());
    }
}
