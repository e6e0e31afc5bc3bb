//! What runs in a microVM of the double: an agent, and a function that does what its path says.
//!
//! The drive with the function holds text. Lines `name=value` change how the guest behaves: `boot_ms=50`,
//! `panic=boot` (the kernel panics), `function=none` (nothing on the drive), `init=refuse`, `init_ms=50`,
//! `drain=never`.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agent;

/// A guest that runs, or stands still.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    shared: Arc<Shared>,
}

/// What a snapshot keeps of a guest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) script: String,
    pub(super) booted: bool,
    pub(super) identity: Option<Value>,
    pub(super) calls: u32,
}

/// A guest as its agent sees it.
#[derive(Debug)]
pub(super) struct Shared {
    /// How large its memory is.
    pub(super) memory_mib: usize,
    pub(super) memory: Mutex<Memory>,
    pub(super) changed: Condvar,
}

/// What is in its memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) saved: Saved,
    pub(super) paused: bool,
    pub(super) draining: bool,
    pub(super) running: u32,
    pub(super) lines: Vec<(String, Option<String>, String)>,
}

impl Saved {
    /// A guest that is about to boot with `script` on its drive.
    pub(super) fn booting(script: &str) -> Self {
        Self { script: script.to_owned(), ..Self::default() }
    }

    /// What the script says of `name`.
    pub(super) fn says(&self, name: &str) -> Option<&str> {
        self.script
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The same as a number of milliseconds.
    pub(super) fn pause(&self, name: &str) -> Duration {
        Duration::from_millis(self.says(name).and_then(|value| value.parse().ok()).unwrap_or(0))
    }
}

impl Guest {
    /// Boots, or goes on where it was saved; listens behind `vsock`.
    pub(super) fn run(saved: Saved, memory_mib: usize, vsock: Option<UnixListener>) -> Self {
        let memory = Memory { saved, ..Memory::default() };
        let shared = Arc::new(Shared { memory_mib, memory: Mutex::new(memory), changed: Condvar::new() });
        let guest = Self { shared };
        let booting = guest.clone();
        start("guest", move || {
            booting.boot();
            for stream in vsock.iter().flat_map(UnixListener::incoming).flatten() {
                let shared = Arc::clone(&booting.shared);
                start("vsock", move || connected(stream, &shared));
            }
        });
        guest
    }

    fn boot(&self) {
        let saved = self.shared.memory.lock().saved.clone();
        if !saved.booted {
            thread::sleep(saved.pause("boot_ms"));
            if saved.says("panic") == Some("boot") {
                println!("Kernel panic - not syncing: No working init found.");
                std::process::exit(0);
            }
            println!("agent: waiting on vsock port 1024");
        }
        self.shared.memory.lock().saved.booted = true;
        self.shared.changed.notify_all();
    }

    pub(super) fn pause(&self, paused: bool) {
        self.shared.memory.lock().paused = paused;
        self.shared.changed.notify_all();
    }

    pub(super) fn is_paused(&self) -> bool {
        self.shared.memory.lock().paused
    }

    pub(super) fn saved(&self) -> Saved {
        self.shared.memory.lock().saved.clone()
    }
}

impl Shared {
    /// Waits while the guest stands still.
    pub(super) fn awake(&self) {
        let mut memory = self.memory.lock();
        while memory.paused {
            self.changed.wait(&mut memory);
        }
    }
}

/// A connection from the host: `CONNECT 1024`, then HTTP. Nobody listens elsewhere.
fn connected(mut stream: UnixStream, shared: &Arc<Shared>) {
    use std::io::{Read as _, Write as _};
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|length| length == 1) && byte != *b"\n" {
        line.extend_from_slice(&byte);
    }
    shared.awake();
    if line != b"CONNECT 1024" {
        return;
    }
    if stream.write_all(b"OK 1073741824\n").is_ok() {
        agent::serve(stream, shared);
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap();
}
