//! One microVM, from its process to its end.

mod console;

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use flagbase_core::{clock::Clock, random::Random, tasks::Tasks};
use tokio::{
    process::Child,
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::console::{Console, boxed};
use super::{
    Config,
    agent::{Agent, AgentError, Health, Identity, State},
    api::{
        Api, ApiError,
        bodies::{
            Action, BootSource, Drive, Machine as Shape, Memory, Run, SnapshotCreate, SnapshotLoad,
            SnapshotType, Vsock,
        },
    },
    figures::Figures,
    jail::{self, Jail},
    process,
    records::Records,
    version::Version,
};

/// Between two looks for something that is about to be there.
const GLANCE: Duration = Duration::from_millis(2);
/// After a connection broke, the end of the process may take so long to be seen.
pub(super) const GRIEF: Duration = Duration::from_millis(250);
/// The guest's address on its vsock device; each device has one guest, so all have the same.
const CID: u32 = 3;

/// What every microVM of this process is made with.
#[derive(Clone)]
pub(super) struct Works {
    pub(super) config: Arc<Config>,
    pub(super) version: Version,
    pub(super) records: Records,
    pub(super) tasks: Tasks,
    /// Where processes and their keepers live: a microVM outlives the scheduler of the call that it was made for.
    pub(super) scheduler: Handle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) figures: Arc<Figures>,
}

/// A running microVM. Dropping it kills it and removes everything it had.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) jail: Jail,
    pub(super) agent: Agent,
    api: Api,
    console: Console,
    exited: CancellationToken,
    gone: CancellationToken,
    _kill: DropGuard,
}

/// What one kind of microVM is made of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) kernel: PathBuf,
    pub(super) rootfs: Rootfs,
    pub(super) code: PathBuf,
    pub(super) memory_mib: u64,
}

/// What a guest boots into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rootfs {
    /// An archive that is unpacked into memory; the drive with the function is the first.
    Initrd(PathBuf),
    /// A file system on a drive; the drive with the function is the second.
    Drive(PathBuf),
}

/// A snapshot on disk.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) state: PathBuf,
    pub(super) memory: PathBuf,
}

/// Why there is no microVM.
#[derive(Debug, thiserror::Error)]
pub(super) enum MachineError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the microVM ended: {0}")]
    Exited(String),
    #[error("the microVM was not ready within {} ms; its console says: {console}", within.as_millis())]
    NotReady { within: Duration, console: String },
    #[error("the guest has no function on its drive")]
    NoFunction,
}

impl Rootfs {
    /// Finds out what `path` is. Archives begin with the words of `cpio` or of what they are compressed with.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        use std::io::Read as _;
        let mut head = [0; 6];
        let mut file = std::fs::File::open(path)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
        file.read_exact(&mut head)?;
        let archives: [&[u8]; 4] = [b"07070", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ"];
        let is_archive = archives.iter().any(|magic| head.starts_with(magic));
        Ok(if is_archive { Self::Initrd(path.to_owned()) } else { Self::Drive(path.to_owned()) })
    }
}

impl Works {
    /// Boots `parts` until the agent has found the function and waits for an identity.
    pub(super) async fn boot(
        &self,
        parts: &Parts,
        room: OwnedSemaphorePermit,
    ) -> Result<Machine, MachineError> {
        let mut files = vec![(parts.kernel.clone(), jail::KERNEL), (parts.code.clone(), jail::CODE)];
        match &parts.rootfs {
            Rootfs::Initrd(path) | Rootfs::Drive(path) => files.push((path.clone(), jail::ROOTFS)),
        }
        let machine = self.spawn(files, parts.memory_mib << 20, room).await?;
        let booted = async {
            machine.configure(&self.config, parts).await?;
            machine.api.act(Action::InstanceStart).await?;
            machine.booted(self.config.boot_timeout).await
        };
        if let Err(error) = booted.await {
            return Err(machine.explain(error).await);
        }
        self.figures.booted();
        Ok(machine)
    }

    /// Restores `snapshot` of `parts`; the guest runs, and waits for an identity.
    pub(super) async fn restore(
        &self,
        parts: &Parts,
        snapshot: &Snapshot,
        room: OwnedSemaphorePermit,
    ) -> Result<Machine, MachineError> {
        let mut files = vec![
            (parts.code.clone(), jail::CODE),
            (snapshot.state.clone(), jail::STATE),
            (snapshot.memory.clone(), jail::MEMORY),
        ];
        if let Rootfs::Drive(path) = &parts.rootfs {
            files.push((path.clone(), jail::ROOTFS));
        }
        let machine = self.spawn(files, parts.memory_mib << 20, room).await?;
        let load = SnapshotLoad {
            snapshot_path: jail::STATE,
            mem_backend: Memory::File(jail::MEMORY),
            resume_vm: true,
            clock_realtime: self.version.moves_clock(),
            network_overrides: &[],
            vsock_override: None,
        };
        let restored = async {
            machine.api.load_snapshot(&load).await?;
            machine.booted(self.config.boot_timeout).await
        };
        if let Err(error) = restored.await {
            return Err(machine.explain(error).await);
        }
        self.figures.restored();
        Ok(machine)
    }

    /// Starts Firecracker in a new place that has `files`, and waits for its API.
    async fn spawn(
        &self,
        files: Vec<(PathBuf, &'static str)>,
        memory: u64,
        room: OwnedSemaphorePermit,
    ) -> Result<Machine, MachineError> {
        let id = format!("vm-{}", self.random.hex(16));
        let jail = Jail::of(id, &self.config);
        self.records.begin(&jail)?;
        let place = jail.clone();
        let furnish = move || {
            place.make()?;
            files.iter().try_for_each(|(from, name)| place.bring(from, name))
        };
        let furnished = tokio::task::spawn_blocking(furnish).await.map_err(io::Error::other).flatten();
        let started = furnished.and_then(|()| {
            let mut command = jail.command(&self.config, memory);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let _here = self.scheduler.enter();
            command.process_group(0).kill_on_drop(true).spawn()
        });
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                self.forget(&jail);
                return Err(error.into());
            }
        };
        let machine = self.watch(jail, child, room);
        machine.answers(self.config.api_timeout).await?;
        Ok(machine)
    }

    /// From here on the process and everything it has end with the machine.
    fn watch(&self, jail: Jail, mut child: Child, room: OwnedSemaphorePermit) -> Machine {
        let console = Console::default();
        let (open, mut closed) = mpsc::channel::<()>(1);
        for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            let (open, console) = (open.clone(), console.clone());
            self.tasks.spawn_on(&self.scheduler, "console of a microVM", async move {
                console.follow(stream).await;
                drop(open);
            });
        }
        drop(open);
        let (exited, gone, kill) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let pid = child.id();
        if let Some(Err(error)) = pid.map(|pid| self.records.started(&jail, pid)) {
            tracing::warn!(id = jail.id, %error, "a microVM could not be noted; its first note stays");
        }
        let machine = Machine {
            agent: Agent::new(jail.root.join(jail::VSOCK), &self.tasks),
            api: Api::new(&jail.root.join(jail::API), self.config.api_timeout, &self.tasks),
            console,
            exited: exited.clone(),
            gone: gone.clone(),
            _kill: kill.clone().drop_guard(),
            jail: jail.clone(),
        };
        let works = self.clone();
        self.tasks.spawn_on(&self.scheduler, "keeper of a microVM", async move {
            let ended = tokio::select! {
                _ = child.wait() => true,
                () = kill.cancelled() => false,
            };
            if !ended {
                if let Some(pid) = pid {
                    process::kill_group(pid);
                }
                let _ = child.wait().await;
            }
            // What it said last is often why it ended.
            let _ = tokio::time::timeout(GRIEF, closed.recv()).await;
            exited.cancel();
            kill.cancelled().await;
            let forget = move || works.forget(&jail);
            let _ = tokio::task::spawn_blocking(forget).await;
            // Only now is there room for another one.
            drop(room);
            gone.cancel();
        });
        machine
    }

    /// Removes a place without a process in it.
    fn forget(&self, jail: &Jail) {
        match jail.remove() {
            Ok(()) => self.records.forget(jail),
            Err(error) => {
                tracing::warn!(id = jail.id, %error, "what a microVM had cannot be removed; tried again at the next start");
            }
        }
    }
}

impl Machine {
    /// Resolves when the process has ended.
    pub(super) fn exited(&self) -> &CancellationToken {
        &self.exited
    }

    /// The end of what it wrote on its console, and what Firecracker said.
    pub(super) fn console(&self) -> String {
        self.console.text()
    }

    /// Gives the guest its identity: from here on there is no other one like it.
    pub(super) async fn init(
        &self,
        identity: &Identity<'_>,
        within: Duration,
    ) -> Result<Health, MachineError> {
        Ok(self.unless_exited(self.agent.init(identity, within)).await??)
    }

    /// Writes a snapshot into `directory` and ends. The guest has no identity yet.
    pub(super) async fn into_snapshot(self, directory: &Path) -> Result<Snapshot, MachineError> {
        self.api.run(Run::Paused).await?;
        let create = SnapshotCreate {
            snapshot_path: jail::STATE,
            mem_file_path: jail::MEMORY,
            snapshot_type: SnapshotType::Full,
        };
        self.api.create_snapshot(&create).await?;
        let snapshot = Snapshot { state: directory.join(jail::STATE), memory: directory.join(jail::MEMORY) };
        let moves = [(jail::STATE, snapshot.state.clone()), (jail::MEMORY, snapshot.memory.clone())];
        let root = self.jail.root.clone();
        let take = move || {
            moves.iter().try_for_each(|(name, to)| {
                jail::link_or_copy(&root.join(name), to)?;
                readable(to)
            })
        };
        tokio::task::spawn_blocking(take).await.map_err(io::Error::other).flatten()?;
        let gone = self.gone.clone();
        drop(self);
        gone.cancelled().await;
        Ok(snapshot)
    }

    /// When the process has ended, its console says more than a connection that broke off.
    async fn explain(&self, error: MachineError) -> MachineError {
        let is_told =
            !matches!(error, MachineError::Api(ApiError::Unreachable { .. }) | MachineError::Agent(_));
        if is_told || tokio::time::timeout(GRIEF, self.exited.cancelled()).await.is_err() {
            return error;
        }
        MachineError::Exited(self.console())
    }

    async fn configure(&self, config: &Config, parts: &Parts) -> Result<(), MachineError> {
        let shape = Shape { vcpu_count: config.vcpus, mem_size_mib: parts.memory_mib, smt: false };
        self.api.set_machine(&shape).await?;
        let on_drive = matches!(parts.rootfs, Rootfs::Drive(_));
        let arguments = if on_drive {
            format!("{} root=/dev/vda ro flagbase.drive=/dev/vdb", config.boot_args)
        } else {
            config.boot_args.clone()
        };
        let source = BootSource {
            kernel_image_path: jail::KERNEL,
            initrd_path: (!on_drive).then_some(jail::ROOTFS),
            boot_args: &arguments,
        };
        self.api.set_boot_source(&source).await?;
        if on_drive {
            self.api.set_drive(&drive("rootfs", jail::ROOTFS, true)).await?;
        }
        self.api.set_drive(&drive("code", jail::CODE, false)).await?;
        self.api.set_vsock(&Vsock { guest_cid: CID, uds_path: jail::VSOCK }).await?;
        Ok(self.api.set_entropy().await?)
    }

    /// Waits until the API answers.
    async fn answers(&self, within: Duration) -> Result<(), MachineError> {
        let socket = self.jail.root.join(jail::API);
        let connects = async {
            while tokio::net::UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        self.in_time(within, connects).await
    }

    /// Waits until the agent has the function and waits for an identity.
    async fn booted(&self, within: Duration) -> Result<(), MachineError> {
        let ready = async {
            loop {
                match self.agent.health(within).await {
                    Ok(Health { state: State::Booted, function: Some(_), .. }) => return Ok(()),
                    Ok(Health { function: None, .. }) => return Err(MachineError::NoFunction),
                    _ => tokio::time::sleep(GLANCE).await,
                }
            }
        };
        self.in_time(within, ready).await?
    }

    async fn in_time<T>(&self, within: Duration, work: impl Future<Output = T>) -> Result<T, MachineError> {
        match tokio::time::timeout(within, self.unless_exited(work)).await {
            Ok(done) => done,
            Err(_) => Err(MachineError::NotReady { within, console: self.console() }),
        }
    }

    async fn unless_exited<T>(&self, work: impl Future<Output = T>) -> Result<T, MachineError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.exited.cancelled() => Err(MachineError::Exited(self.console())),
        }
    }
}

const fn drive<'a>(id: &'a str, path: &'a str, is_root: bool) -> Drive<'a> {
    Drive { drive_id: id, path_on_host: path, is_root_device: is_root, is_read_only: true }
}

fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_told_from_a_file_system() {
        let home = tempfile::TempDir::new().unwrap();
        let file = |name: &str, head: &[u8]| {
            let path = home.path().join(name);
            std::fs::write(&path, [head, &[0; 64]].concat()).unwrap();
            path
        };
        for head in [&b"070701"[..], b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"] {
            let path = file("archive", head);
            assert_eq!(Rootfs::at(&path).unwrap(), Rootfs::Initrd(path));
        }
        let path = file("drive", b"hsqs");
        assert_eq!(Rootfs::at(&path).unwrap(), Rootfs::Drive(path));
        let missing = Rootfs::at(Path::new("/nowhere/rootfs")).unwrap_err();
        assert!(missing.to_string().starts_with("`/nowhere/rootfs`"), "{missing}");
    }
}
