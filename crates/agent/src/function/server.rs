//! A function that is a server: started once, asked over HTTP/1.1.

mod exchange;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::process::Signal;
use socket2::{Domain, SockAddr, Socket, Type};

use self::exchange::{Relay, head, is_idempotent, relay, send, was_first};
use super::{Call, Ground, fault_of_body};
use crate::http::{Connection, write_all};
use crate::manifest::Manifest;
use crate::protocol::{Fault, Stream};

/// Connections that are kept for the next call.
const IDLE: usize = 32;
/// How long after a start that failed nobody tries again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(1);
/// How long it may take to learn that the process behind a broken connection has ended.
const NEWS: Duration = Duration::from_millis(100);

/// A server and the way to it.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    manifest: Manifest,
    variables: BTreeMap<String, String>,
    program: PathBuf,
    /// Held while it is being started.
    starting: Mutex<()>,
    idle: Mutex<Vec<Upstream>>,
}

#[derive(Debug)]
struct Shared {
    ground: Arc<Ground>,
    run: Mutex<Run>,
}

/// Its process.
#[derive(Debug, Default)]
struct Run {
    id: Option<u32>,
    address: Option<Address>,
    starts: u64,
    last_start: Option<Instant>,
    last_exit: Option<String>,
}

#[derive(Debug, Clone)]
enum Address {
    Port(u16),
    Socket(PathBuf),
}

/// A connection to it.
#[derive(Debug)]
struct Upstream {
    socket: Arc<Socket>,
    connection: Connection,
}

/// Why an exchange came to nothing.
enum Failure {
    /// The connection was closed before anything happened on it.
    Stale,
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Server {
    /// Starts it, and waits until it listens.
    pub(super) fn start(
        ground: &Arc<Ground>,
        manifest: &Manifest,
        mut variables: BTreeMap<String, String>,
    ) -> Result<Self, Fault> {
        let program = ground.entry(manifest)?;
        let shared = Arc::new(Shared { ground: Arc::clone(ground), run: Mutex::default() });
        variables.insert("PORT".to_owned(), manifest.port.to_string());
        let socket = shared.socket().to_string_lossy().into_owned();
        variables.insert("FLAGBASE_SOCKET".to_owned(), socket);
        let manifest = manifest.clone();
        let server =
            Self { shared, manifest, variables, program, starting: Mutex::default(), idle: Mutex::default() };
        server.ensure()?;
        Ok(server)
    }

    /// The address of the running process; starts it when there is none.
    fn ensure(&self) -> Result<Address, Fault> {
        let _one_at_a_time = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let run = self.shared.run();
            if let (Some(_), Some(address)) = (run.id, &run.address) {
                return Ok(address.clone());
            }
            if let (Some(last), Some(how)) = (run.last_start, &run.last_exit)
                && last.elapsed() < PAUSE
            {
                return Err(Fault::Exited(how.clone()));
            }
        }
        self.idle().clear();
        let id = self.spawn().map_err(|error| Fault::Unstartable(error.to_string()))?;
        self.listening(id)
    }

    fn spawn(&self) -> io::Result<u32> {
        let ground = &self.shared.ground;
        let _ = fs::remove_file(self.shared.socket());
        let mut command = ground.command(&self.program, &self.variables);
        command.args(&self.manifest.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = self.shared.run();
        let child = ground.children.spawn(&mut command)?;
        let id = child.id();
        run.starts += 1;
        run.id = Some(id);
        run.address = None;
        run.last_start = Some(Instant::now());
        drop(run);
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name("function".to_owned()).spawn(move || shared.watch(child))?;
        Ok(id)
    }

    /// Waits until process `id` listens.
    fn listening(&self, id: u32) -> Result<Address, Fault> {
        let until = Instant::now() + Duration::from_millis(self.manifest.start_timeout_ms);
        let mut pause = Duration::from_millis(1);
        while Instant::now() < until {
            if let Some(address) = self.found() {
                self.shared.run().address = Some(address.clone());
                return Ok(address);
            }
            let run = self.shared.run();
            if run.id != Some(id) {
                let how = run.last_exit.clone().unwrap_or_default();
                return Err(Fault::Unstartable(format!("its process {how} before it listened")));
            }
            drop(run);
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        self.shared.ground.children.signal(id, Signal::KILL);
        let Manifest { port, start_timeout_ms, .. } = self.manifest;
        Err(Fault::Unstartable(format!(
            "it did not listen on port {port} (in `PORT`) or the socket in `FLAGBASE_SOCKET` within \
             {start_timeout_ms} ms"
        )))
    }

    fn found(&self) -> Option<Address> {
        let path = self.shared.socket();
        if fs::metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
            let address = Address::Socket(path);
            return address.connect(PAUSE).is_ok().then_some(address);
        }
        let address = Address::Port(self.manifest.port);
        address.connect(PAUSE).is_ok().then_some(address)
    }

    /// Carries a call to it.
    pub(super) fn call(&self, mut call: Call<'_>) -> Result<(), Fault> {
        if let Some(kept) = self.kept() {
            let before = self.shared.run().starts;
            match self.exchange(&mut call, kept) {
                // It may have been closed a moment ago, for being idle. What does no harm twice goes again, once.
                Err(Failure::Stale) if is_idempotent(&call.request.method) && self.still_runs(before) => {}
                Err(Failure::Stale) => return Err(self.exited()),
                Err(Failure::Fault(fault)) => return Err(fault),
                Ok(()) => return Ok(()),
            }
        }
        let address = self.ensure()?;
        let left = call.until.saturating_duration_since(Instant::now());
        let socket = address.connect(left.max(Duration::from_millis(1))).map_err(|_| self.exited())?;
        let socket = Arc::new(socket);
        let upstream = Upstream { connection: Connection::new(Arc::clone(&socket)), socket };
        match self.exchange(&mut call, upstream) {
            Err(Failure::Stale) => Err(self.exited()),
            Err(Failure::Fault(fault)) => Err(fault),
            Ok(()) => Ok(()),
        }
    }

    /// Whether the process of that start has not ended.
    fn still_runs(&self, start: u64) -> bool {
        thread::sleep(GRACE / 100);
        let run = self.shared.run();
        run.id.is_some() && run.starts == start
    }

    fn kept(&self) -> Option<Upstream> {
        let mut idle = self.idle();
        while let Some(upstream) = idle.pop() {
            if upstream.connection.is_idle() {
                return Some(upstream);
            }
        }
        None
    }

    /// One request and its answer.
    fn exchange(&self, call: &mut Call<'_>, mut upstream: Upstream) -> Result<(), Failure> {
        let has_body = !call.body.is_done();
        if write_all(&upstream.socket, &head(call)).is_err() {
            return Err(Failure::Stale);
        }
        let stop = AtomicBool::new(false);
        let Call { request, body, from, answer, until, limits, .. } = call;
        let (until, limits, stop, socket) = (*until, *limits, &stop, Arc::clone(&upstream.socket));
        let (relayed, fed) = thread::scope(|scope| {
            let feeder = has_body.then(|| {
                scope.spawn(move || {
                    let fed = send(body, from, (until, stop), &socket);
                    if fed.is_err() && !stop.load(Ordering::Acquire) {
                        // Whoever waits for the answer shall not wait for it any more.
                        let _ = socket.shutdown(std::net::Shutdown::Both);
                    }
                    fed
                })
            });
            let relayed = relay(&request.method, answer, &mut upstream.connection, (until, limits));
            stop.store(true, Ordering::Release);
            (relayed, feeder.and_then(|feeder| feeder.join().ok()))
        });
        match (relayed, fed) {
            (Ok(keeps), fed) => {
                if keeps && !matches!(fed, Some(Err(_))) && call.body.is_done() {
                    self.keep(upstream);
                }
                Ok(())
            }
            (Err(Relay::Closed), None) => Err(Failure::Stale),
            (Err(Relay::Fault(_) | Relay::Closed), Some(Err(error))) if was_first(&error) => {
                Err(fault_of_body(&error, limits).into())
            }
            (Err(Relay::Closed), _) => Err(self.exited().into()),
            (Err(Relay::Fault(fault)), _) => Err(fault.into()),
        }
    }

    fn keep(&self, upstream: Upstream) {
        let mut idle = self.idle();
        if idle.len() < IDLE && upstream.connection.is_idle() {
            idle.push(upstream);
        }
    }

    /// Why a connection broke: the process ended, and how, or it only hung up.
    fn exited(&self) -> Fault {
        let until = Instant::now() + NEWS;
        while Instant::now() < until {
            let run = self.shared.run();
            if let (None, Some(how)) = (run.id, &run.last_exit) {
                return Fault::Exited(how.clone());
            }
            drop(run);
            thread::sleep(Duration::from_millis(5));
        }
        Fault::Exited("closed the connection without an answer".to_owned())
    }

    /// Whether it runs, how often it was started, how it ended last.
    pub(super) fn health(&self) -> (bool, u64, Option<String>) {
        let run = self.shared.run();
        (run.id.is_some(), run.starts, run.last_exit.clone())
    }

    /// Ends it: politely, then not.
    pub(super) fn stop(&self) {
        let _nobody_starts_it_again = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = self.shared.run().id else {
            return;
        };
        let children = &self.shared.ground.children;
        children.signal(id, Signal::TERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until && self.shared.run().id == Some(id) {
            thread::sleep(Duration::from_millis(5));
        }
        children.signal(id, Signal::KILL);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Upstream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket(&self) -> PathBuf {
        self.ground.work.join("function.sock")
    }

    /// Copies what a process writes, until it has ended.
    fn watch(&self, mut child: Child) {
        let Ground { children, logs, .. } = &*self.ground;
        let out_of_memory = kills();
        thread::scope(|scope| {
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            scope.spawn(|| stdout.map(|stdout| logs.copy(stdout, Stream::Stdout, None)));
            scope.spawn(|| stderr.map(|stderr| logs.copy(stderr, Stream::Stderr, None)));
            let ended = children.wait(&mut child);
            let mut how = ended.map_or_else(|error| error.to_string(), |ended| ended.to_string());
            if kills() > out_of_memory {
                how.push_str(": the machine is out of memory");
            }
            logs.write(Stream::Agent, None, &format!("the function's process {how}"));
            let mut run = self.run();
            run.id = None;
            run.address = None;
            run.last_exit = Some(how);
        });
    }
}

/// How many processes this machine has ended because it had no memory left.
fn kills() -> u64 {
    let counters = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.parse().ok()).unwrap_or_default()
}

impl Address {
    fn connect(&self, within: Duration) -> io::Result<Socket> {
        match self {
            Self::Port(port) => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                socket.connect_timeout(&address.into(), within)?;
                socket.set_tcp_nodelay(true)?;
                Ok(socket)
            }
            Self::Socket(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.connect(&SockAddr::unix(path)?)?;
                Ok(socket)
            }
        }
    }
}
