//! Where a microVM lives: a directory that is its whole world, a cgroup, and the command that starts it there.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::Config;

/// The socket of Firecracker's API, in the microVM's directory.
pub(super) const API: &str = "api.socket";
/// The socket of its vsock device. The same name in every directory, so that a snapshot fits everywhere.
pub(super) const VSOCK: &str = "v.sock";
/// The kernel.
pub(super) const KERNEL: &str = "kernel";
/// What it boots into.
pub(super) const ROOTFS: &str = "rootfs";
/// The drive with the function.
pub(super) const CODE: &str = "code";
/// A snapshot: the machine.
pub(super) const STATE: &str = "state";
/// A snapshot: its memory.
pub(super) const MEMORY: &str = "memory";
/// The cgroup above those of the microVMs.
pub(super) const PARENT_CGROUP: &str = "flagbase";
/// What Firecracker needs beside the guest's memory, in bytes.
const OVERHEAD: u64 = 64 << 20;
/// Threads that Firecracker has beside those of the processors, with room to spare.
const THREADS: u32 = 32;
/// Files that a microVM may have open.
const OPEN_FILES: u32 = 1024;
/// The longest path that a Unix socket can have, with room for the end.
const LONGEST_SOCKET: usize = 107;

/// The place of one microVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jail {
    pub(super) id: String,
    /// What there is of it: to be removed as a whole.
    pub(super) place: PathBuf,
    /// What Firecracker sees as `/` behind a jailer.
    pub(super) root: PathBuf,
    /// Below the cgroup file system; `None` without a jailer.
    pub(super) cgroup: Option<PathBuf>,
}

impl Jail {
    /// The shortest id there is: `vm-` and 128 random bits, so that nothing else carries one by chance.
    pub(super) const ID_LENGTH: usize = 35;

    /// The place of the microVM `id`; nothing is made yet.
    pub(super) fn of(id: String, config: &Config) -> Self {
        let above = if config.jailer.is_some() { program_name(&config.binary) } else { "direct".into() };
        let place = config.chroot_base.join(above).join(&id);
        let cgroup = config.jailer.as_ref().map(|_| config.cgroups.join(PARENT_CGROUP).join(&id));
        Self { root: place.join("root"), place, cgroup, id }
    }

    /// Makes the directory.
    pub(super) fn make(&self) -> io::Result<()> {
        let socket = self.root.join(API);
        if socket.as_os_str().len() > LONGEST_SOCKET {
            let text =
                format!("`{}` is too long for a socket; choose a shorter `chroot_base`", socket.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        fs::create_dir_all(&self.root)?;
        fs::set_permissions(&self.place, fs::Permissions::from_mode(0o711))
    }

    /// Puts the file `from` in as `name`; the microVM can read it.
    pub(super) fn bring(&self, from: &Path, name: &str) -> io::Result<()> {
        link_or_copy(from, &self.root.join(name))
    }

    /// The command that starts Firecracker here, with `memory` bytes for its guest.
    pub(super) fn command(&self, config: &Config, memory: u64) -> Command {
        let Some(jailer) = &config.jailer else {
            let mut command = Command::new(&config.binary);
            command.current_dir(&self.root).args(["--id", &self.id, "--api-sock", API]);
            return command;
        };
        let mut command = Command::new(jailer);
        command
            .args(["--id", &self.id])
            .arg("--exec-file")
            .arg(&config.binary)
            .args(["--uid", &config.uid.to_string(), "--gid", &config.gid.to_string()])
            .arg("--chroot-base-dir")
            .arg(&config.chroot_base)
            .args(["--cgroup-version", "2", "--parent-cgroup", PARENT_CGROUP])
            .args(["--resource-limit", &format!("no-file={OPEN_FILES}")]);
        for bound in bounds(config.vcpus, memory) {
            command.args(["--cgroup", &bound]);
        }
        command.args(["--", "--api-sock", API]);
        command
    }

    /// Removes everything. What is not there any more does not matter; what cannot be removed is an error.
    pub(super) fn remove(&self) -> io::Result<()> {
        let cgroup = self.cgroup.as_ref().map_or(Ok(()), |path| gone(fs::remove_dir(path)));
        gone(fs::remove_dir_all(&self.place)).and(cgroup)
    }
}

/// What a microVM may use, as files of cgroup version 2.
fn bounds(vcpus: u8, memory: u64) -> [String; 3] {
    [
        // In microseconds per 100 ms.
        format!("cpu.max={} 100000", u32::from(vcpus) * 100_000),
        format!("memory.max={}", memory + OVERHEAD),
        format!("pids.max={}", THREADS + u32::from(vcpus)),
    ]
}

/// The name of the program, as the jailer uses it for its directories.
fn program_name(program: &Path) -> PathBuf {
    program.file_name().map_or_else(|| "firecracker".into(), PathBuf::from)
}

/// One file under two names where that can be, because memory that was read from it is then shared; a copy elsewhere.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("`{}` is not there", from.display())))
        }
        Err(_) => {
            fs::copy(from, to)?;
            fs::set_permissions(to, fs::Permissions::from_mode(0o444))
        }
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(jailer: Option<&str>) -> Config {
        Config {
            binary: "/usr/bin/firecracker".into(),
            jailer: jailer.map(Into::into),
            chroot_base: "/srv/jailer".into(),
            vcpus: 2,
            ..Config::default()
        }
    }

    fn words(command: &Command) -> Vec<String> {
        let command = command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_jailer_is_told_where_as_whom_and_how_much() {
        let config = config(Some("/usr/bin/jailer"));
        let jail = Jail::of("vm-1".to_owned(), &config);
        assert_eq!(jail.root, Path::new("/srv/jailer/firecracker/vm-1/root"));
        assert_eq!(jail.cgroup.as_deref(), Some(Path::new("/sys/fs/cgroup/flagbase/vm-1")));
        let line = words(&jail.command(&config, 128 << 20)).join(" ");
        assert_eq!(
            line,
            "/usr/bin/jailer --id vm-1 --exec-file /usr/bin/firecracker --uid 64000 --gid 64000 \
             --chroot-base-dir /srv/jailer --cgroup-version 2 --parent-cgroup flagbase \
             --resource-limit no-file=1024 --cgroup cpu.max=200000 100000 --cgroup memory.max=201326592 \
             --cgroup pids.max=34 -- --api-sock api.socket"
        );
    }

    #[test]
    fn without_a_jailer_firecracker_runs_in_its_directory() {
        let config = config(None);
        let jail = Jail::of("vm-1".to_owned(), &config);
        let command = jail.command(&config, 128 << 20);
        assert_eq!(words(&command), ["/usr/bin/firecracker", "--id", "vm-1", "--api-sock", "api.socket"]);
        assert_eq!(command.as_std().get_current_dir(), Some(jail.root.as_path()));
        assert_eq!((jail.cgroup, jail.root), (None, "/srv/jailer/direct/vm-1/root".into()));
    }

    #[test]
    fn what_is_made_is_removed_also_twice() {
        let home = tempfile::TempDir::new().unwrap();
        let config = Config { chroot_base: home.path().to_owned(), ..Config::default() };
        let jail = Jail::of("vm-1".to_owned(), &config);
        jail.make().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "code").unwrap();
        jail.bring(&file, CODE).unwrap();
        assert_eq!(fs::read(jail.root.join(CODE)).unwrap(), b"code");
        jail.remove().unwrap();
        assert!(!jail.place.exists());
        jail.remove().unwrap();
        let missing = jail.bring(Path::new("/nowhere/kernel"), KERNEL).unwrap_err();
        assert_eq!(missing.to_string(), "`/nowhere/kernel` is not there");
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused_with_what_to_do() {
        let config = Config { chroot_base: format!("/tmp/{}", "x".repeat(120)).into(), ..Config::default() };
        let error = Jail::of("vm-1".to_owned(), &config).make().unwrap_err();
        assert!(error.to_string().ends_with("choose a shorter `chroot_base`"), "{error}");
    }
}
