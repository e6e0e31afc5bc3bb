//! What Firecracker does with each call, in each state: configuration before the start, little after it.

use std::{
    fs::{self, File},
    io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Description, Reply, VERSION,
    bodies::{
        ActionBody, ActionType, BootSource, Drive, Entropy, Logger, MachineConfiguration, Metrics,
        SnapshotCreate, SnapshotLoad, VmBody, VmState, Vsock,
    },
    guest::{Guest, Saved},
};

const BEFORE: &str = "The requested operation is not supported before starting the microVM.";
const AFTER: &str = "The requested operation is not supported after starting the microVM.";

/// One Firecracker process.
#[derive(Debug)]
pub struct Vmm {
    id: String,
    root: Root,
    description: Description,
    configured: bool,
    machine: MachineConfiguration,
    boot: Option<BootSource>,
    drives: Vec<Drive>,
    vsock: Option<(Vsock, UnixListener)>,
    entropy: Option<Entropy>,
    metrics: bool,
    guest: Option<Guest>,
}

/// What is answered, and whether the process ends after that.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub reply: Reply,
    /// The code it ends with.
    pub exit: Option<i32>,
}

/// Where paths in bodies lead.
#[derive(Debug, Clone)]
struct Root {
    directory: PathBuf,
    /// Whether there is nothing above it.
    jailed: bool,
}

/// The state of a machine in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    machine: MachineConfiguration,
    drives: Vec<Drive>,
    vsock: Option<Vsock>,
    guest: Saved,
}

/// Why a call is refused: the sentence, without what the caller wraps round it.
type Refusal = String;

impl Root {
    fn path(&self, name: &str) -> PathBuf {
        let path = Path::new(name);
        match path.strip_prefix("/") {
            Ok(below) if self.jailed => self.directory.join(below),
            _ => self.directory.join(path),
        }
    }
}

impl Vmm {
    /// The microVM `id`, for which relative paths begin at `directory`; `jailed`: absolute ones as well.
    pub fn new(id: &str, directory: &Path, jailed: bool) -> Self {
        Self {
            id: id.to_owned(),
            root: Root { directory: directory.to_owned(), jailed },
            description: Description::published(),
            configured: false,
            machine: MachineConfiguration::default(),
            boot: None,
            drives: Vec::new(),
            vsock: None,
            entropy: None,
            metrics: false,
            guest: None,
        }
    }

    /// Answers one call.
    pub fn handle(&mut self, method: &str, path: &str, body: Option<&str>) -> Outcome {
        let trimmed = path.trim_start_matches('/');
        let mut parts = trimmed.split_terminator('/');
        let first = parts.next().unwrap_or_default();
        let done = match (method, first, body) {
            ("GET", "", None) => Ok(Some(self.instance())),
            ("GET", "version", None) => Ok(Some(json!({"firecracker_version": VERSION}).to_string())),
            ("GET", "machine-config", None) => Ok(Some(text(&self.machine))),
            ("GET", "vm", None) if parts.next() == Some("config") => Ok(Some(self.configuration())),
            ("GET" | "DELETE", _, Some(_)) => Err(format!("{} request cannot have a body.", capital(method))),
            ("PUT" | "PATCH", _, None) => Err(format!("Empty {method} request.")),
            ("PUT", "snapshot", Some(body)) => match parts.next() {
                Some("load") => return self.load(path, body),
                Some("create") => self.read(method, path, body).and_then(|body| self.create_snapshot(&body)),
                Some(other) => Err(invalid(method, &format!("/snapshot/{other}"))),
                None => Err("Missing snapshot operation type.".to_owned()),
            },
            ("PUT", "drives", Some(body)) => self.put_drive(path, parts.next(), body),
            ("PUT", _, Some(body)) => self.put(first, path, body),
            ("PATCH", "vm", Some(body)) => self.read(method, path, body).and_then(|body| self.run(&body)),
            _ => Err(invalid(method, first)),
        };
        Outcome { reply: Reply::of(done), exit: None }
    }

    fn put(&mut self, first: &str, path: &str, body: &str) -> Result<Option<String>, Refusal> {
        match first {
            "machine-config" => self.read("PUT", path, body).and_then(|body| self.set_machine(body)),
            "boot-source" => self.read("PUT", path, body).and_then(|body| self.set_boot(body)),
            "vsock" => self.read("PUT", path, body).and_then(|body| self.set_vsock(body)),
            "entropy" => self.read("PUT", path, body).and_then(|body| self.set_entropy(body)),
            "logger" => self.read::<Logger>("PUT", path, body).map(|_| None),
            "metrics" => self.read::<Metrics>("PUT", path, body).and_then(|_| self.set_metrics()),
            "actions" => self.read("PUT", path, body).and_then(|body| self.act(&body)),
            _ => Err(invalid("PUT", first)),
        }
    }

    /// Reads a body as Firecracker does, and holds it to the description.
    fn read<T: DeserializeOwned>(&self, method: &str, path: &str, body: &str) -> Result<T, Refusal> {
        let unread = |error: &dyn std::fmt::Display| {
            format!("An error occurred when deserializing the json body of a request: {error}.")
        };
        let typed = serde_json::from_str(body).map_err(|error| unread(&error))?;
        let value: Value = serde_json::from_str(body).map_err(|error| unread(&error))?;
        self.description.check(method, path, Some(&value)).map_err(|error| unread(&error))?;
        Ok(typed)
    }

    /// Configuration is possible before the start only, and makes loading a snapshot impossible.
    fn configure(&mut self) -> Result<(), Refusal> {
        if self.guest.is_some() {
            return Err(AFTER.to_owned());
        }
        self.configured = true;
        Ok(())
    }

    fn set_machine(&mut self, machine: MachineConfiguration) -> Result<Option<String>, Refusal> {
        self.configure()?;
        let odd = machine.smt && machine.vcpu_count > 1 && machine.vcpu_count % 2 == 1;
        if machine.vcpu_count == 0 || machine.vcpu_count > 32 || odd {
            return Err("Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or \
                        an even number if SMT is enabled."
                .to_owned());
        }
        if machine.mem_size_mib == 0 {
            return Err("Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured \
                        page size."
                .to_owned());
        }
        self.machine = machine;
        Ok(None)
    }

    fn set_boot(&mut self, boot: BootSource) -> Result<Option<String>, Refusal> {
        self.configure()?;
        File::open(self.root.path(&boot.kernel_image_path))
            .map_err(|error| format!("Boot source error: The kernel file cannot be opened: {error}"))?;
        if let Some(path) = &boot.initrd_path {
            File::open(self.root.path(path)).map_err(|error| {
                format!("Boot source error: The initrd file cannot be opened due to invalid path or invalid permissions. {error}")
            })?;
        }
        self.boot = Some(boot);
        Ok(None)
    }

    fn put_drive(&mut self, path: &str, name: Option<&str>, body: &str) -> Result<Option<String>, Refusal> {
        let name = name.ok_or("The ID cannot be empty.")?;
        if !name.chars().all(|sign| sign == '_' || sign.is_alphanumeric()) {
            return Err(
                "API Resource IDs can only contain alphanumeric characters and underscores.".to_owned()
            );
        }
        let drive: Drive = self.read("PUT", path, body)?;
        if drive.drive_id != name {
            return Err("The id from the path does not match the id from the body!".to_owned());
        }
        self.configure()?;
        let others = self.drives.iter().filter(|other| other.drive_id != name);
        if drive.is_root_device && others.into_iter().any(|other| other.is_root_device) {
            return Err("Drive config error: A root block device already exists!".to_owned());
        }
        self.open_drive(&drive).map_err(|error| {
            format!("Drive config error: Unable to create the virtio block device: {error}")
        })?;
        self.drives.retain(|other| other.drive_id != name);
        // The root device comes first.
        let at = if drive.is_root_device { 0 } else { self.drives.len() };
        self.drives.insert(at, drive);
        Ok(None)
    }

    fn open_drive(&self, drive: &Drive) -> Result<(), String> {
        let path = drive.path_on_host.as_deref().unwrap_or_default();
        let writes = drive.is_read_only != Some(true);
        File::options().read(true).write(writes).open(self.root.path(path)).map(drop).map_err(|error| {
            format!("Virtio backend error: Error manipulating the backing file: {error} {path}")
        })
    }

    fn set_vsock(&mut self, vsock: Vsock) -> Result<Option<String>, Refusal> {
        self.configure()?;
        let refused = |error: io::Error| {
            format!(
                "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: {error}"
            )
        };
        if let Some((old, listener)) = self.vsock.take() {
            // The device removes its socket when it goes; removing it once more is what fails.
            let path = self.root.path(&old.uds_path);
            drop(listener);
            fs::remove_file(&path).map_err(refused)?;
            fs::remove_file(&path).map_err(refused)?;
        }
        let listener = UnixListener::bind(self.root.path(&vsock.uds_path)).map_err(refused)?;
        self.vsock = Some((vsock, listener));
        Ok(None)
    }

    fn set_entropy(&mut self, entropy: Entropy) -> Result<Option<String>, Refusal> {
        self.configure()?;
        self.entropy = Some(entropy);
        Ok(None)
    }

    fn set_metrics(&mut self) -> Result<Option<String>, Refusal> {
        if self.guest.is_some() {
            return Err(AFTER.to_owned());
        }
        if self.metrics {
            return Err("Metrics error: Cannot initialize the metrics system due to bad user input: Metrics system is already initialized.".to_owned());
        }
        self.metrics = true;
        Ok(None)
    }

    fn act(&mut self, body: &ActionBody) -> Result<Option<String>, Refusal> {
        match (body.action_type, &self.guest) {
            (ActionType::InstanceStart, Some(_)) => Err(AFTER.to_owned()),
            (ActionType::InstanceStart, None) => self.start(),
            (_, None) => Err(BEFORE.to_owned()),
            (_, Some(_)) => Ok(None),
        }
    }

    fn start(&mut self) -> Result<Option<String>, Refusal> {
        let boot = self.boot.as_ref();
        let boot = boot.ok_or("Start microvm error: Cannot start microvm without kernel configuration.")?;
        let kernel = fs::read(self.root.path(&boot.kernel_image_path)).unwrap_or_default();
        if !kernel.starts_with(b"\x7fELF") {
            return Err("Start microvm error: System configuration error: Cannot load kernel due to invalid memory \
                        configuration or invalid kernel image: Kernel Loader: failed to load ELF kernel image: Kernel \
                        Loader: Invalid Elf magic number"
                .to_owned());
        }
        let saved = Saved::booting(&self.code());
        self.guest = Some(Guest::run(saved, self.machine.mem_size_mib, self.listener()));
        Ok(None)
    }

    /// The text of the function's drive: the last one.
    fn code(&self) -> String {
        let path = self.drives.last().and_then(|drive| drive.path_on_host.as_deref());
        path.and_then(|path| fs::read(self.root.path(path)).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn listener(&self) -> Option<UnixListener> {
        self.vsock.as_ref().and_then(|(_, listener)| listener.try_clone().ok())
    }

    fn run(&mut self, body: &VmBody) -> Result<Option<String>, Refusal> {
        let guest = self.guest.as_ref().ok_or(BEFORE)?;
        guest.pause(body.state == VmState::Paused);
        Ok(None)
    }

    fn create_snapshot(&mut self, body: &SnapshotCreate) -> Result<Option<String>, Refusal> {
        let guest = self.guest.as_ref().ok_or(BEFORE)?;
        if !guest.is_paused() {
            return Err(
                "Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore \
                        unavailable while running"
                    .to_owned(),
            );
        }
        let stored = Stored {
            machine: self.machine.clone(),
            drives: self.drives.clone(),
            vsock: self.vsock.as_ref().map(|(vsock, _)| vsock.clone()),
            guest: guest.saved(),
        };
        let refused =
            |error: io::Error| format!("Create snapshot error: Cannot save the microVM state: {error}");
        fs::write(self.root.path(&body.snapshot_path), text(&stored)).map_err(refused)?;
        let memory = File::create(self.root.path(&body.mem_file_path)).map_err(refused)?;
        memory.set_len((self.machine.mem_size_mib as u64) << 20).map_err(refused)?;
        Ok(None)
    }

    /// A process whose load went wrong ends.
    fn load(&mut self, path: &str, body: &str) -> Outcome {
        let unread = "An error occurred when deserializing the json body of a request";
        let asked = self.read::<SnapshotLoad>("PUT", path, body).and_then(|load| {
            match (&load.mem_backend, &load.mem_file_path) {
                (Some(_), Some(_)) => Err(format!(
                    "{unread}: too many fields: either `mem_backend` or `mem_file_path` exclusively is required."
                )),
                (None, None) => {
                    Err(format!("{unread}: missing field: either `mem_backend` or `mem_file_path` is required."))
                }
                _ if self.guest.is_some() => Err(AFTER.to_owned()),
                _ if self.configured => Err("Load snapshot error: Loading a microVM snapshot not allowed after \
                                             configuring boot-specific resources."
                    .to_owned()),
                _ => Ok(load),
            }
        });
        let load = match asked {
            Ok(load) => load,
            Err(refusal) => return Outcome { reply: Reply::of(Err(refusal)), exit: None },
        };
        match self.restore(&load) {
            Ok(()) => Outcome { reply: Reply::of(Ok(None)), exit: None },
            Err(error) => {
                let refusal = format!("Load snapshot error: Failed to restore from snapshot: {error}");
                Outcome { reply: Reply::of(Err(refusal)), exit: Some(1) }
            }
        }
    }

    fn restore(&mut self, load: &SnapshotLoad) -> Result<(), String> {
        let state = fs::read_to_string(self.root.path(&load.snapshot_path)).map_err(|error| {
            format!("Failed to get snapshot state from file: Failed to open snapshot file: {error}")
        })?;
        let stored: Stored = serde_json::from_str(&state).map_err(|_| {
            "Failed to get snapshot state from file: Failed to load snapshot state from file: An error occurred during \
             bitcode serialization: bitcode error"
        })?;
        let memory =
            load.mem_backend.as_ref().map(|backend| &backend.backend_path).or(load.mem_file_path.as_ref());
        let memory = fs::metadata(self.root.path(memory.map_or("", String::as_str))).map_err(|error| {
            format!("Failed to load guest memory: Error creating guest memory from file: {error}")
        })?;
        if memory.len() != (stored.machine.mem_size_mib as u64) << 20 {
            return Err("Failed to load guest memory: Error creating guest memory from file: File too short"
                .to_owned());
        }
        for drive in &stored.drives {
            self.open_drive(drive)
                .map_err(|error| format!("Failed to build microVM from snapshot: {error}"))?;
        }
        self.machine = stored.machine;
        self.drives = stored.drives;
        if let Some(mut vsock) = stored.vsock {
            if let Some(other) = &load.vsock_override {
                vsock.uds_path.clone_from(&other.uds_path);
            }
            let listener = UnixListener::bind(self.root.path(&vsock.uds_path))
                .map_err(|error| format!("Failed to build microVM from snapshot: Error binding to the host-side Unix socket: {error}"))?;
            self.vsock = Some((vsock, listener));
        }
        let guest = Guest::run(stored.guest, self.machine.mem_size_mib, self.listener());
        guest.pause(!load.resume_vm);
        self.guest = Some(guest);
        Ok(())
    }

    fn instance(&self) -> String {
        let state = match &self.guest {
            None => "Not started",
            Some(guest) if guest.is_paused() => "Paused",
            Some(_) => "Running",
        };
        format!(
            r#"{{"id":"{}","state":"{state}","vmm_version":"{VERSION}","app_name":"Firecracker"}}"#,
            self.id
        )
    }

    /// All of the configuration, in the order in which Firecracker writes it.
    fn configuration(&self) -> String {
        let drives: Vec<String> = self.drives.iter().map(drive_text).collect();
        let vsock = self.vsock.as_ref().map(|(vsock, _)| vsock);
        format!(
            r#"{{"balloon":null,"drives":[{}],"boot-source":{},"cpu-config":null,"logger":null,"machine-config":{},"metrics":null,"mmds-config":null,"network-interfaces":[],"vsock":{},"entropy":{},"pmem":[],"memory-hotplug":null}}"#,
            drives.join(","),
            text(&self.boot.clone().unwrap_or_default()),
            text(&self.machine),
            text(&vsock),
            text(&self.entropy),
        )
    }
}

/// A drive with everything that was left out.
fn drive_text(drive: &Drive) -> String {
    text(&Drive {
        is_read_only: Some(drive.is_read_only.unwrap_or(false)),
        io_engine: Some(drive.io_engine.unwrap_or_default()),
        ..drive.clone()
    })
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn invalid(method: &str, path: &str) -> Refusal {
    format!("Invalid request method and/or path: {method} {path}.")
}

fn capital(method: &str) -> String {
    method.chars().take(1).chain(method.chars().skip(1).flat_map(char::to_lowercase)).collect()
}
