//! A real guest on any machine: a kernel of Debian in QEMU's `microvm` machine, emulated, with the vsock device of
//! `vhost-device-vsock`, whose host side takes `CONNECT` as Firecracker's does.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a guest may take to boot under emulation, on a busy machine.
const BOOT: Duration = Duration::from_mins(4);
/// Guests are heavy: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// What `cargo xtask` has prepared.
pub(crate) struct Kit {
    root: PathBuf,
    kernel: PathBuf,
    initrd: PathBuf,
    vsock: PathBuf,
    /// A static executable that answers.
    pub(crate) function: PathBuf,
}

impl Kit {
    /// `None`, loudly, when nothing was prepared.
    pub(crate) fn find() -> Option<Self> {
        let variable = |name: &str| Some(PathBuf::from(std::env::var_os(format!("FLAGBASE_GUEST_{name}"))?));
        let kit = (|| {
            Some(Self {
                root: variable("ROOT")?,
                kernel: variable("KERNEL")?,
                initrd: variable("INITRD")?,
                vsock: variable("VSOCK")?,
                function: variable("FUNCTION")?,
            })
        })();
        if kit.is_none() {
            eprintln!("SKIPPED: no real guest; `cargo xtask test --only microvm` gets what it needs");
        }
        kit
    }
}

/// A machine that ends with the test.
pub(crate) struct Guest {
    /// When it was.
    pub(crate) started: Instant,
    /// The process of the machine.
    pub(crate) machine: Child,
    device: Child,
    directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Guest {
    /// Starts a machine with this drive; returns when its agent listens.
    pub(crate) fn boot(kit: &Kit, drive: &[u8]) -> Self {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("drive"), drive).unwrap();
        let started = Instant::now();
        let device = Command::new(&kit.vsock)
            .arg("--vm")
            .arg(format!(
                "guest-cid=3,socket={},uds-path={}",
                path("device").display(),
                path("vsock").display()
            ))
            .stdout(fs::File::create(path("device.log")).unwrap())
            .stderr(fs::File::create(path("device.err")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        while !path("device").exists() {
            assert!(started.elapsed() < BOOT, "the vsock device does not come");
            thread::sleep(Duration::from_millis(5));
        }
        let machine = qemu(kit, directory.path());
        let mut guest = Self { started, machine, device, directory, _alone: alone };
        guest.listens();
        guest
    }

    /// Nobody may knock before somebody is there: this device does not survive that.
    fn listens(&mut self) {
        while !self.console().contains("ready on vsock port") {
            let ended = self.machine.try_wait().unwrap();
            assert!(ended.is_none() && self.started.elapsed() < BOOT, "{ended:?}\n{}", self.console());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The host side of its vsock device.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("vsock")
    }

    /// What it and its programs have written.
    pub(crate) fn console(&self) -> String {
        ["console.log", "qemu.log", "device.err"]
            .map(|name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default())
            .join("\n")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.console());
        }
        for process in [&mut self.machine, &mut self.device] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn qemu(kit: &Kit, directory: &Path) -> Child {
    let path = |name: &str| directory.join(name).display().to_string();
    let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|below| kit.root.join(below));
    let libraries: OsString = std::env::join_paths(libraries).unwrap();
    let data = kit.root.join("usr/share/qemu");
    let words = [
        // The devices as Firecracker has them: virtio over memory, found by ACPI.
        "-M",
        "microvm,acpi=on,pit=on,pic=on,rtc=on,isa-serial=on,memory-backend=memory",
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "1",
        "-m",
        "256M",
        "-no-reboot",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-object",
        "memory-backend-memfd,id=memory,size=256M,share=on",
        "-global",
        "virtio-mmio.force-legacy=false",
        "-device",
        "vhost-user-vsock-device,chardev=vsock",
        "-device",
        "virtio-blk-device,drive=function",
    ];
    let mut command = Command::new(kit.root.join("usr/bin/qemu-system-x86_64"));
    command
        .env("LD_LIBRARY_PATH", libraries)
        .arg("-L")
        .arg(&data)
        .args(words)
        .arg("-append")
        .arg(format!("console=ttyS0 reboot=t panic=-1 quiet tsc_early_khz={}", frequency_khz()))
        .arg("-kernel")
        .arg(&kit.kernel)
        .arg("-initrd")
        .arg(&kit.initrd)
        .arg("-serial")
        .arg(format!("file:{}", path("console.log")))
        .arg("-chardev")
        .arg(format!("socket,id=vsock,path={}", path("device")))
        .arg("-drive")
        .arg(format!("id=function,format=raw,readonly=on,if=none,file={}", path("drive")))
        .stdin(Stdio::null())
        .stdout(fs::File::create(path("qemu.out")).unwrap())
        .stderr(fs::File::create(path("qemu.log")).unwrap())
        .process_group(0);
    command.spawn().unwrap()
}

/// How fast the processor's clock ticks. An emulated machine sees the host's, and has no other to compare it with.
fn frequency_khz() -> u64 {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = processors.lines().find(|line| line.starts_with("cpu MHz"));
    let megahertz = line.and_then(|line| line.split(": ").nth(1)?.split('.').next()?.parse::<u64>().ok());
    megahertz.unwrap_or(2000) * 1000
}
