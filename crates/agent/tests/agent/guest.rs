//! The agent as the first process of a real guest: a kernel of Debian in QEMU's `microvm` machine, with the vsock
//! device of `vhost-device-vsock`, whose host side takes `CONNECT` as Firecracker's does.
//!
//! `cargo xtask test --only microvm` gets everything that is needed; without it these tests say that they were skipped.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flagbase_agent::archive::Archive;
use flagbase_agent::drive;
use flagbase_agent::protocol::{PORT, State};

use crate::client::Way;
use crate::scenes;

/// How long a guest may take to boot under emulation, on a busy machine.
const BOOT: Duration = Duration::from_mins(4);
/// Guests are heavy: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// What `cargo xtask` has prepared.
struct Kit {
    root: PathBuf,
    kernel: PathBuf,
    initrd: PathBuf,
    vsock: PathBuf,
    function: PathBuf,
}

impl Kit {
    fn find() -> Option<Self> {
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
struct Guest {
    way: Way,
    machine: Child,
    device: Child,
    directory: tempfile::TempDir,
}

impl Guest {
    /// Starts a machine whose drive is this file; returns when its agent answers.
    fn boot(kit: &Kit, drive: &[u8]) -> Self {
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
        wait_for("the vsock device", Duration::from_secs(20), || path("device").exists());
        let machine = qemu(kit, directory.path());
        let way = Way { socket: path("vsock"), port: Some(PORT) };
        let mut guest = Self { way, machine, device, directory };
        guest.answers(started);
        guest
    }

    /// Waits for the first answer. Nobody may knock before somebody is there: this device does not survive that.
    fn answers(&mut self, started: Instant) {
        while !self.console().contains("ready on vsock port") {
            let ended = self.machine.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < BOOT, "{ended:?}\n{}", self.console());
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.way.get("/health").status, 200);
        println!("first answer of a real guest {} ms after its start", started.elapsed().as_millis());
    }

    fn console(&self) -> String {
        ["console.log", "qemu.log", "device.err"]
            .map(|name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default())
            .join("\n")
    }

    /// Waits until the machine has ended by itself.
    fn ends(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if self.machine.try_wait().unwrap().is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
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

fn wait_for(what: &str, within: Duration, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + within;
    while !there() {
        assert!(Instant::now() < until, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

fn drive(kit: &Kit, manifest: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.file("function", true, fs::read(&kit.function).unwrap()).unwrap();
    archive.file("manifest.json", false, manifest.as_bytes().to_vec()).unwrap();
    drive::write(&archive).unwrap()
}

/// Limits for a machine that is emulated.
const SLOW: &str = r#","limits":{"timeout_ms":20000,"request_body":8000000,"response_body":8000000}"#;

#[test]
fn a_server_runs_in_a_real_guest_from_boot_to_end() {
    let Some(kit) = Kit::find() else { return };
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut guest = Guest::boot(&kit, &drive(&kit, "{}"));
    let way = guest.way.clone();
    let before = scenes::health(&way);
    assert_eq!(before.state, State::Booted);
    assert!(before.kernel.starts_with("6."), "{}", before.kernel);
    assert!(before.function.unwrap().digest.starts_with("sha256:"));
    scenes::begins(&way, SLOW);
    scenes::calls(&way);
    scenes::keeps_connections(&way);
    scenes::large_bodies(&way);
    scenes::limits(&way);
    scenes::concurrency(&way, 16);
    scenes::logs(&way);
    isolation(&way);
    clock(&way);
    scenes::crash(&way);
    out_of_memory(&way);
    figures(&way);
    scenes::drains(&way);
    assert_eq!(way.post("/stop", "").status, 202);
    assert!(guest.ends(), "the machine goes on after its end\n{}", guest.console());
}

#[test]
fn a_program_for_each_call_runs_in_a_real_guest() {
    let Some(kit) = Kit::find() else { return };
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let guest = Guest::boot(&kit, &drive(&kit, r#"{"mode":"cgi"}"#));
    scenes::begins(&guest.way, SLOW);
    scenes::calls(&guest.way);
    scenes::large_bodies(&guest.way);
    scenes::concurrency(&guest.way, 8);
    scenes::crash(&guest.way);
    scenes::drains(&guest.way);
}

#[test]
fn a_guest_without_a_function_boots_and_says_why_it_cannot_start() {
    let Some(kit) = Kit::find() else { return };
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut broken = drive(&kit, "{}");
    broken[drive::HEADER + 5000] ^= 1;
    let guest = Guest::boot(&kit, &broken);
    assert_eq!(scenes::health(&guest.way).function, None);
    let refused = guest.way.post("/init", &scenes::init(""));
    assert_eq!((refused.status, refused.fault()), (503, Some("unstartable")));
    assert!(refused.text().contains("header says"), "{}", refused.text());
}

/// The function is nobody, and can write only where nothing stays.
fn isolation(way: &Way) {
    let status = way.get("/call/file?/proc/self/status").text();
    assert!(status.contains("Uid:\t1000\t1000\t1000\t1000"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    for path in ["/x", "/function/function", "/function/x", "/run/x", "/sys/x", "/dev/vda"] {
        let tried = way.get(&format!("/call/write?{path}")).text();
        assert_ne!(tried, "written", "{path}");
    }
    assert_eq!(way.get("/call/write?/tmp/x").text(), "written");
    let drive = way.get("/call/file?/dev/vda").text();
    assert!(drive.contains("ermission denied"), "{drive}");
    let one = way.get("/call/random").text();
    assert!(one.starts_with("Ok") && one != way.get("/call/random").text(), "{one}");
}

/// The machine knows what time it is, because it was told.
fn clock(way: &Way) {
    let page: flagbase_agent::protocol::Page = way.get("/logs?after=0").json();
    way.get("/call/print?time");
    let page: flagbase_agent::protocol::Page =
        way.get(&format!("/logs?after={}&wait_ms=20000", page.next)).json();
    let here = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let there = page.lines.last().unwrap().time_ms;
    assert!(here.abs_diff(there) < 60_000, "here it is {here}, there {there}");
}

/// A function that takes all memory ends; the agent stays, and says why.
fn out_of_memory(way: &Way) {
    let answer = way.get("/call/memory?1000");
    assert_eq!(answer.fault(), Some("exited"), "{}", answer.text());
    assert!(answer.text().contains("out of memory"), "{}", answer.text());
    wait_for("the function", Duration::from_mins(1), || way.post("/call/echo", "again").text() == "again");
}

/// What a call costs, for whoever reads the log.
fn figures(way: &Way) {
    const CALLS: u32 = 200;
    let mut line = way.dial().unwrap();
    let started = Instant::now();
    for _ in 0..CALLS {
        assert_eq!(line.ask("POST", "/call/echo", b"x").unwrap().status, 200);
    }
    println!(
        "a call of a real guest on a kept connection: {} µs",
        started.elapsed().as_micros() / u128::from(CALLS)
    );
}
