//! The driver against the double: real processes, real sockets, no virtual machine.

mod calls;
mod contract;
mod crash;
mod life;
mod real_guest;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use flagbase_core::{
    blobs::Blobs,
    caller::Caller,
    clock::SystemClock,
    functions::{Body, Deployed, Level, Settings, Shape, Stream},
    random::SystemRandom,
};
use flagbase_testkit::firecracker::Programs;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;

/// The test that is a process of the double.
const DOUBLE: &str = "firecracker::tests::this_binary_can_be_a_firecracker";

/// Far longer than anything here takes; a test that hangs is ended by it.
const FOR_EVER: Duration = Duration::from_mins(2);

#[test]
fn this_binary_can_be_a_firecracker() {
    assert!(!flagbase_testkit::firecracker::process());
}

/// What the driver gets from, and gives to, a test.
#[derive(Default)]
struct TestHome {
    blobs: Option<Arc<dyn Blobs>>,
    code: Mutex<BTreeMap<String, Bytes>>,
    secrets: Mutex<BTreeMap<String, String>>,
    lines: Mutex<Vec<(String, Level, Stream, String)>>,
}

#[async_trait]
impl Home for TestHome {
    async fn code(&self, digest: &Digest) -> Result<Option<Bytes>, String> {
        let Some(blobs) = &self.blobs else { return Ok(self.code.lock().get(&digest.hex()).cloned()) };
        let found = blobs.whole(&format!("functions/{}", digest.hex()), 64 << 20).await;
        match found.map_err(|error| error.to_string())? {
            Some(bytes) if Digest::of(&bytes) != *digest => Err("it was altered".to_owned()),
            found => Ok(found),
        }
    }

    async fn secrets(&self, _: &Visit) -> Result<BTreeMap<String, String>, String> {
        Ok(self.secrets.lock().clone())
    }

    fn log(&self, visit: &Visit, (level, stream): (Level, Stream), message: &str) {
        self.lines.lock().push((visit.id.to_string(), level, stream, message.to_owned()));
    }
}

/// A driver with the double as its programs.
struct Place {
    directory: TempDir,
    home: Arc<TestHome>,
    config: Config,
}

impl Place {
    fn new() -> Self {
        Self::with(TestHome::default())
    }

    fn with(home: TestHome) -> Self {
        let directory = TempDir::new().unwrap();
        let config = config(directory.path());
        Self { directory, home: Arc::new(home), config }
    }

    async fn open(&self) -> Firecracker {
        let home = Arc::clone(&self.home) as Arc<dyn Home>;
        Firecracker::open(self.config.clone(), home, (Arc::new(SystemClock), Arc::new(SystemRandom)), build)
            .await
            .unwrap()
    }

    /// Version 1 of a function whose drive holds `script`.
    async fn deploy(&self, driver: &Firecracker, script: &str, settings: Settings) -> Arc<Deployed> {
        let artifact = Artifact::new("hello", Bytes::copy_from_slice(script.as_bytes()));
        self.home.code.lock().insert(artifact.digest.hex(), artifact.bytes.clone());
        let terms = (&settings.grants, &settings.limits);
        let prepared = driver.prepare(&artifact, terms, &|_| {}).await.unwrap();
        deployed(artifact.digest, prepared.shape, settings)
    }

    /// Directories of microVMs that are there.
    fn places(&self) -> usize {
        let listed = |name: &str| fs::read_dir(self.directory.path().join("jails").join(name));
        listed("firecracker").map_or(0, Iterator::count) + listed("direct").map_or(0, Iterator::count)
    }

    /// Lines that `call` wrote, as soon as there is one.
    async fn lines_of(&self, call: &str) -> Vec<(Level, Stream, String)> {
        let found = || {
            let lines = self.home.lines.lock();
            let of_call = lines.iter().filter(|(id, ..)| id == call);
            of_call.map(|(_, level, stream, text)| (*level, *stream, text.clone())).collect::<Vec<_>>()
        };
        eventually(|| !found().is_empty()).await;
        found()
    }
}

/// A configuration below `directory`.
fn config(directory: &Path) -> Config {
    let programs = Programs::install(directory, DOUBLE);
    let file = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    Config {
        binary: programs.firecracker,
        jailer: Some(programs.jailer),
        kernel: file("vmlinux", b"\x7fELF of a kernel"),
        rootfs: file("initrd", b"070701 and so on"),
        chroot_base: directory.join("jails"),
        state: directory.join("notes"),
        cgroups: programs.cgroups,
        pool: 0,
        tend: Duration::from_millis(50),
        boot_timeout: FOR_EVER,
        api_timeout: FOR_EVER,
        ..Config::default()
    }
}

/// Drives that hold the code as it is. What begins with `#!` is refused.
fn build(artifact: &Artifact, to: &Path) -> Result<Shape, ImageError> {
    if artifact.bytes.starts_with(b"#!") {
        return Err(ImageError::Rejected("a script is no program; bring a static executable".to_owned()));
    }
    fs::write(to, &artifact.bytes)?;
    Ok(Shape::Binary)
}

fn deployed(digest: Digest, shape: Shape, settings: Settings) -> Arc<Deployed> {
    Arc::new(Deployed {
        environment: "production".into(),
        function: "hello".into(),
        version: 1,
        digest,
        shape,
        settings: Arc::new(settings),
    })
}

fn visit(deployed: &Arc<Deployed>, id: &str) -> Visit {
    Visit {
        deployed: Arc::clone(deployed),
        caller: Caller::nobody(),
        id: id.into(),
        trace: None,
        attributes: Arc::new([]),
    }
}

/// What `GET target` is answered.
async fn get(driver: &Firecracker, deployed: &Arc<Deployed>, target: &str) -> Result<(u16, String), Fault> {
    let request = http::Request::get(target).body(Body::Empty).unwrap();
    let answer = driver.serve(visit(deployed, target), request).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect(64 << 20).await.unwrap();
    Ok((head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
}

/// Settings with a limit of time that no busy machine reaches.
fn patient() -> Settings {
    Settings { limits: Limits { timeout: FOR_EVER, ..Limits::default() }, ..Settings::default() }
}

/// Waits until `holds`.
async fn eventually(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(FOR_EVER, wait).await.is_ok(), "it never came to that");
}
