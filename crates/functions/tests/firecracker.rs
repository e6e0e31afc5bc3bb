//! The driver with a real Firecracker. Nothing brings one with it: these tests are ignored, and `cargo xtask test` says
//! so, unless `FLAGBASE_FIRECRACKER_BIN` names one.
//!
//! ```text
//! FLAGBASE_FIRECRACKER_BIN=… cargo test -p flagbase-functions --features firecracker --test firecracker -- --ignored --nocapture
//! ```
//! A guest of Linux runs when `FLAGBASE_FIRECRACKER_KERNEL`, `…_ROOTFS` and `…_CODE` (the agent's example `echo`, as a static
//! executable) are set as well, behind the jailer when `…_JAILER` is. With `…_MEASURE` set to anything, what is measured is held
//! to its targets; use a quiet machine, and a Firecracker that was built for release.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends at the first thing that is not as it should be, and says what it measured"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    caller::Caller,
    clock::{Clock as _, SystemClock},
    functions::{Artifact, Body, Compute as _, Deployed, Digest, Level, Limits, Settings, Stream, Visit},
    random::SystemRandom,
    tasks::Tasks,
};
use flagbase_functions::firecracker::{
    Config, Firecracker, Home,
    api::{
        Api, ApiError,
        bodies::{
            Action, BootSource, Machine, Memory, Run, SnapshotCreate, SnapshotLoad, SnapshotType, State,
        },
    },
    image,
};
use tempfile::TempDir;

/// How often a snapshot is restored to measure it.
const ROUNDS: usize = 50;
/// Set when what is measured is to be held to these two.
const MEASURE: &str = "FLAGBASE_FIRECRACKER_MEASURE";
/// From process to running guest, the median.
const RESTORE: Duration = Duration::from_millis(20);
/// What Firecracker itself takes of memory that is nobody else's, beside its guest's: KiB.
const OVERHEAD: u64 = 5 << 10;
/// Any one call takes less.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `variable` names; says loudly that a test is skipped when it names nothing.
#[expect(clippy::disallowed_methods, reason = "tests are told where programs are by the environment")]
fn named(variable: &str) -> Option<PathBuf> {
    let path = env::var(variable).ok().map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: `{variable}` is not set");
    }
    path
}

/// A Firecracker process with a directory of its own.
struct Process {
    child: Child,
    api: Api,
}

impl Process {
    async fn start(binary: &Path, directory: &Path, name: &str) -> Self {
        let socket = directory.join(format!("{name}.socket"));
        let log = fs::File::create(directory.join(format!("{name}.log"))).unwrap();
        let child = Command::new(binary)
            .args(["--id", name, "--api-sock"])
            .arg(&socket)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not answer");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Self { child, api: Api::new(&socket, PATIENCE, &Tasks::new()) }
    }

    /// Memory in KiB: all that is resident, and what this process alone has of it beside its guest's.
    fn memory(&self) -> (u64, u64) {
        let text = fs::read_to_string(format!("/proc/{}/smaps", self.child.id())).unwrap();
        beside_guest(&text)
    }
}

/// Adds up mappings. The guest's memory is the file of the snapshot, mapped for this process alone.
fn beside_guest(smaps: &str) -> (u64, u64) {
    let (mut resident, mut own, mut is_guest) = (0, 0, false);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let kib: u64 = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        match name.strip_suffix(':') {
            None => is_guest = line.ends_with("/memory"),
            Some("Rss") => resident += kib,
            Some("Private_Clean" | "Private_Dirty") if !is_guest => own += kib,
            Some(_) => {}
        }
    }
    (resident, own)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A guest that halts for ever: an ELF header, one segment at 1 MiB, `hlt` and a jump back to it.
fn halting_kernel() -> Vec<u8> {
    let (entry, code) = (0x10_0000_u64, [0xf4, 0xeb, 0xfd, 0x90]);
    let mut image = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| image.extend_from_slice(bytes);
    for half in [2_u16, 62] {
        put(&half.to_le_bytes());
    }
    put(&1_u32.to_le_bytes());
    for word in [entry, 64, 0] {
        put(&word.to_le_bytes());
    }
    put(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        put(&half.to_le_bytes());
    }
    for half in [1_u32, 5] {
        put(&half.to_le_bytes());
    }
    for word in [120, entry, entry, 4, 4, 0x1000] {
        put(&u64::to_le_bytes(word));
    }
    put(&code);
    image
}

async fn booted(binary: &Path, directory: &Path) -> Process {
    fs::write(directory.join("kernel"), halting_kernel()).unwrap();
    let process = Process::start(binary, directory, "first").await;
    let api = &process.api;
    api.set_machine(&Machine { vcpu_count: 1, mem_size_mib: 128, smt: false }).await.unwrap();
    let source = BootSource { kernel_image_path: "kernel", initrd_path: None, boot_args: "" };
    api.set_boot_source(&source).await.unwrap();
    api.set_entropy().await.unwrap();
    api.act(Action::InstanceStart).await.unwrap();
    process
}

async fn snapshot(process: &Process) {
    process.api.run(Run::Paused).await.unwrap();
    let create =
        SnapshotCreate { snapshot_path: "state", mem_file_path: "memory", snapshot_type: SnapshotType::Full };
    process.api.create_snapshot(&create).await.unwrap();
}

const LOAD: SnapshotLoad<'static> = SnapshotLoad {
    snapshot_path: "state",
    mem_backend: Memory::File("memory"),
    resume_vm: true,
    clock_realtime: false,
    network_overrides: &[],
    vsock_override: None,
};

#[tokio::test]
#[ignore = "needs FLAGBASE_FIRECRACKER_BIN"]
async fn a_real_firecracker_understands_our_client_in_every_state() {
    let Some(binary) = named("FLAGBASE_FIRECRACKER_BIN") else { return };
    let home = TempDir::new().unwrap();
    let fresh = Process::start(&binary, home.path(), "fresh").await;
    assert_eq!(fresh.api.instance().await.unwrap().state, State::NotStarted);
    assert!(fresh.api.version().await.unwrap().starts_with("1."));
    assert_eq!(fresh.api.machine().await.unwrap().mem_size_mib, 128);
    let refused = fresh.api.act(Action::InstanceStart).await.unwrap_err();
    let ApiError::Refused { status: 400, fault_message, .. } = refused else { panic!("{refused}") };
    assert!(fault_message.contains("without kernel configuration"), "{fault_message}");

    let process = booted(&binary, home.path()).await;
    assert_eq!(process.api.instance().await.unwrap().state, State::Running);
    assert!(process.api.set_entropy().await.is_err(), "configuration is over");
    snapshot(&process).await;
    assert_eq!(process.api.instance().await.unwrap().state, State::Paused);
    process.api.run(Run::Resumed).await.unwrap();
    drop(process);

    let mut broken = Process::start(&binary, home.path(), "broken").await;
    let missing = SnapshotLoad { snapshot_path: "nothing", ..LOAD };
    assert!(broken.api.load_snapshot(&missing).await.is_err());
    let ended = tokio::task::spawn_blocking(move || broken.child.wait().map(|status| status.code()));
    assert_eq!(ended.await.unwrap().unwrap(), Some(1), "a process whose load failed ends");
}

#[tokio::test]
#[ignore = "needs FLAGBASE_FIRECRACKER_BIN"]
async fn restoring_is_measured() {
    let Some(binary) = named("FLAGBASE_FIRECRACKER_BIN") else { return };
    let home = TempDir::new().unwrap();
    snapshot(&booted(&binary, home.path()).await).await;
    let mut took = Vec::new();
    let mut memory = (0, 0);
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let process = Process::start(&binary, home.path(), &format!("vm-{round}")).await;
        process.api.load_snapshot(&LOAD).await.unwrap();
        took.push(begun.elapsed());
        assert_eq!(process.api.instance().await.unwrap().state, State::Running);
        memory = process.memory();
    }
    took.sort();
    let (least, median) = (took[0], took[ROUNDS / 2]);
    println!("restore, from process to running guest: least {least:?}, median {median:?} of {ROUNDS}");
    println!("memory of a restored microVM: {} KiB resident, {} KiB beside its guest's", memory.0, memory.1);
    if named(MEASURE).is_none() {
        return;
    }
    assert!(median <= RESTORE, "restoring takes {median:?}, and should take {RESTORE:?}");
    assert!(memory.1 <= OVERHEAD, "{} KiB beside the guest's memory, and {OVERHEAD} are allowed", memory.1);
}

/// Functions without secrets, whose code is in one file.
struct OneFunction(Bytes);

#[async_trait]
impl Home for OneFunction {
    async fn code(&self, _: &Digest) -> Result<Option<Bytes>, String> {
        Ok(Some(self.0.clone()))
    }

    async fn secrets(&self, _: &Visit) -> Result<BTreeMap<String, String>, String> {
        Ok(BTreeMap::new())
    }

    fn log(&self, _: &Visit, (level, _): (Level, Stream), message: &str) {
        println!("{level:?} {message}");
    }
}

/// The whole driver, with one function deployed.
struct Driver {
    compute: Firecracker,
    deployed: Arc<Deployed>,
    _home: TempDir,
}

impl Driver {
    /// `None`, loudly, when something of it is not named.
    async fn open() -> Option<Self> {
        let part = |name: &str| named(&format!("FLAGBASE_FIRECRACKER_{name}"));
        let (binary, kernel, rootfs, code) = (part("BIN")?, part("KERNEL")?, part("ROOTFS")?, part("CODE")?);
        let home = TempDir::new().unwrap();
        let config = Config {
            binary,
            jailer: part("JAILER"),
            kernel,
            rootfs,
            chroot_base: home.path().join("jails"),
            state: home.path().join("notes"),
            ..Config::default()
        };
        let code = Bytes::from(fs::read(code).unwrap());
        let sources = (Arc::new(SystemClock) as _, Arc::new(SystemRandom) as _);
        let one = Arc::new(OneFunction(code.clone()));
        let driver = Firecracker::open(config, one, sources, image::build).await.unwrap();
        let settings =
            Settings { limits: Limits { timeout: PATIENCE, ..Limits::default() }, ..Settings::default() };
        let artifact = Artifact::new("function", code);
        let terms = (&settings.grants, &settings.limits);
        let prepared = driver.prepare(&artifact, terms, &|step| println!("{}", step.doing)).await.unwrap();
        let deployed = Arc::new(Deployed {
            environment: "default".into(),
            function: "function".into(),
            version: 1,
            digest: artifact.digest,
            shape: prepared.shape,
            settings: Arc::new(settings),
        });
        Some(Self { compute: driver, deployed, _home: home })
    }

    /// What the function answers.
    async fn get(&self, target: &str) -> String {
        let visit = Visit {
            deployed: Arc::clone(&self.deployed),
            caller: Caller::nobody(),
            id: "call".into(),
            trace: None,
            attributes: Arc::new([]),
        };
        let begun = Instant::now();
        let request = http::Request::get(target).body(Body::Empty).unwrap();
        let answer = self.compute.serve(visit, request).await.unwrap();
        println!("{target}: {} in {:?}", answer.status(), begun.elapsed());
        assert!(!answer.status().is_server_error(), "{answer:?}");
        String::from_utf8(answer.into_body().collect(1 << 20).await.unwrap().to_vec()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FLAGBASE_FIRECRACKER_BIN, _KERNEL, _ROOTFS and _CODE"]
async fn a_real_guest_answers_behind_the_whole_driver() {
    let Some(driver) = Driver::open().await else { return };
    for _ in 0..3 {
        assert!(driver.get("/").await.starts_with("GET /"));
    }
    assert_eq!(driver.compute.figures().restores(), 1);
    driver.compute.stop().await;
}

/// The clock of the host, in milliseconds since 1970.
fn now() -> i64 {
    SystemClock.now().as_millisecond()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FLAGBASE_FIRECRACKER_BIN, _KERNEL, _ROOTFS and _CODE"]
async fn two_clones_of_one_snapshot_differ_in_chance_and_name_and_know_the_time() {
    let Some(driver) = Driver::open().await else { return };
    // A machine takes one call at a time, so that two at once are answered by two machines.
    let both = async |what: &str| tokio::join!(driver.get(what), driver.get(what));
    let (one, other) = both("/random").await;
    assert!(one.starts_with("Ok") && other.starts_with("Ok") && one != other, "{one} and {other}");
    let (one, other) = both("/variable?FLAGBASE_INSTANCE").await;
    assert!(!one.is_empty() && !other.is_empty() && one != other, "`{one}` and `{other}`");
    let before = now();
    let (one, other) = both("/time").await;
    for time in [one, other] {
        let time: i64 = time.parse().unwrap();
        // The snapshot is older than this; clocks of two machines are never quite the same.
        assert!((before - 2000..=now() + 2000).contains(&time), "{time}, and here it was {before}");
    }
    assert!(driver.compute.figures().restores() >= 2);
    driver.compute.stop().await;
}

#[test]
fn the_halting_kernel_is_one_segment_with_its_code_at_the_end() {
    let image = halting_kernel();
    assert_eq!(image.len(), 64 + 56 + 4);
    assert_eq!(image.get(120..), Some(&[0xf4, 0xeb, 0xfd, 0x90][..]));
}

#[test]
fn memory_of_the_guest_is_not_counted_as_firecrackers_own() {
    let smaps = "55d0-55e0 r-xp 00000000 fe:00 12 /usr/bin/firecracker\nRss: 900 kB\nPrivate_Clean: 40 kB\n\
        Private_Dirty: 0 kB\nVmFlags: rd ex\n7f00-7f80 rw-p 00000000 fe:00 13 /tmp/x/memory\nRss: 3000 kB\n\
        Private_Clean: 2000 kB\nPrivate_Dirty: 1000 kB\n7ff0-7ff8 rw-p 00000000 00:00 0 [stack]\nRss: 60 kB\n\
        Private_Clean: 0 kB\nPrivate_Dirty: 60 kB\n";
    assert_eq!(beside_guest(smaps), (3960, 100));
}
