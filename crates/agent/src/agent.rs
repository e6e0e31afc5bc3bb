//! The life of a machine: booted, told who it is, ready, draining, stopping.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::children::Children;
use crate::function::{self, Call, Function, Ground};
use crate::logs::Logs;
use crate::protocol::{Calls, Fault, Health, Init, Limits, Page, State, Stream, VERSION};
use crate::{clock, drive, machine};

/// Longest wait for a line of the log.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Fewest and most bytes of a seed.
const SEED: std::ops::RangeInclusive<usize> = 32..=512;

/// Where an agent works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether this is the first process of a machine of its own, whose clock and random numbers it sets, whose
    /// orphans it waits for, and which ends with it.
    pub machine: bool,
    /// The drive with the function; `None` when its files are in `home` already.
    pub drive: Option<PathBuf>,
    /// Where the function's files are, or are put.
    pub home: PathBuf,
    /// A directory that the function may write to.
    pub work: PathBuf,
    /// The agent's own program, through which a function gives its rights away before it begins.
    pub launcher: Option<PathBuf>,
    /// Who the function runs as; as the agent itself when `None`.
    pub user: Option<u32>,
}

/// The agent of one machine.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    children: Arc<Children>,
    logs: Arc<Logs>,
    started: Instant,
    kernel: String,
    life: Mutex<Life>,
    changed: Condvar,
}

#[derive(Debug)]
struct Life {
    state: State,
    /// Whether [`Agent::init`] is at work.
    beginning: bool,
    function: Option<Arc<Function>>,
    limits: Arc<Limits>,
    calls: Calls,
}

/// Why a machine does not take an [`Init`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    #[error("this machine knows already who it is; start another one")]
    Twice,
    #[error("{0}")]
    Senseless(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Agent {
    /// An agent that has read its drive, as far as there is one, and has started what shall be part of a snapshot.
    pub fn new(settings: Settings) -> Self {
        let life = Life {
            state: State::Booted,
            beginning: false,
            function: None,
            limits: Arc::default(),
            calls: Calls::default(),
        };
        let agent = Self {
            children: Arc::new(Children::new(settings.machine)),
            logs: Arc::default(),
            started: Instant::now(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            life: Mutex::new(life),
            changed: Condvar::new(),
            settings,
        };
        agent.begin();
        agent
    }

    /// What can be done before the machine knows who it is. What fails now is tried again then, and told then.
    fn begin(&self) {
        if self.settings.machine {
            let children = Arc::clone(&self.children);
            let adopt = thread::Builder::new().name("orphans".to_owned()).spawn(move || children.adopt());
            self.note(adopt.map(drop), "orphans are not waited for");
        }
        match self.load() {
            Ok(function) => {
                let begun = function.prestart();
                if let Err(fault) = begun {
                    self.log(&fault.to_string());
                }
                self.life().function = Some(function);
            }
            Err(fault) => self.log(&fault.to_string()),
        }
    }

    fn load(&self) -> Result<Arc<Function>, Fault> {
        let unstartable = |why: String| Fault::Unstartable(why);
        let Settings { drive, home, work, launcher, user, machine } = &self.settings;
        let digest = match drive {
            None => String::new(),
            Some(path) => {
                let file = fs::File::open(path)
                    .map_err(|error| unstartable(format!("`{}`: {error}", path.display())))?;
                let room = if *machine { machine::room(home) } else { Ok(()) };
                room.map_err(|error| unstartable(error.to_string()))?;
                let digest = drive::read(file, &mut |name, found| function::place(home, name, found))
                    .map_err(|error| unstartable(error.to_string()))?;
                if *machine {
                    self.note(machine::close(home), "the function's files stay writable");
                }
                digest
            }
        };
        let ground = Ground {
            home: home.clone(),
            work: work.clone(),
            launcher: launcher.clone(),
            user: *user,
            children: Arc::clone(&self.children),
            logs: Arc::clone(&self.logs),
        };
        Function::load(ground, digest).map(Arc::new)
    }

    /// How the machine is.
    pub fn health(&self) -> Health {
        let life = self.life();
        Health {
            state: life.state,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: VERSION,
            kernel: self.kernel.clone(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            function: life.function.as_ref().map(|function| function.health()),
            calls: life.calls,
        }
    }

    /// Takes an identity, once, and starts the function.
    pub(crate) fn init(&self, init: &Init) -> Result<Health, InitError> {
        let seed = hex::decode(&init.seed).ok().filter(|seed| SEED.contains(&seed.len()));
        let seed = seed.ok_or_else(|| {
            InitError::Senseless("`seed` must be 32 to 512 bytes in hexadecimal digits".to_owned())
        })?;
        {
            let mut life = self.life();
            if life.state != State::Booted || life.beginning {
                return Err(InitError::Twice);
            }
            life.beginning = true;
        }
        let started = self.become_unique(&seed, init.now_ms).and_then(|()| self.start(init));
        let mut life = self.life();
        life.beginning = false;
        let function = started?;
        life.function = Some(function);
        life.limits = Arc::new(init.limits.clone());
        if life.state == State::Booted {
            life.state = State::Ready;
        }
        drop(life);
        Ok(self.health())
    }

    /// Machines of one snapshot stop being the same here.
    fn become_unique(&self, seed: &[u8], now_ms: u64) -> Result<(), Fault> {
        if !self.settings.machine {
            return Ok(());
        }
        // Without it two machines would make the same keys: then it must not run.
        machine::reseed(seed)
            .map_err(|error| Fault::Unstartable(format!("random numbers cannot be seeded: {error}")))?;
        self.note(clock::set_ms(now_ms), "the clock is not set");
        Ok(())
    }

    fn start(&self, init: &Init) -> Result<Arc<Function>, Fault> {
        let loaded = self.life().function.clone();
        let function = loaded.map_or_else(|| self.load(), Ok)?;
        function.start(init)?;
        Ok(function)
    }

    /// A place among the calls that are under way.
    pub(crate) fn admit(&self) -> Result<Admitted<'_>, Fault> {
        let mut life = self.life();
        match life.state {
            State::Booted => return Err(Fault::NotReady),
            State::Draining | State::Stopping => return Err(Fault::Draining),
            State::Ready => {}
        }
        let function = life.function.clone().ok_or(Fault::NotReady)?;
        let most = life.limits.concurrency;
        if life.calls.running >= u64::from(most) {
            return Err(Fault::Busy(most));
        }
        life.calls.running += 1;
        life.calls.total += 1;
        Ok(Admitted { agent: self, function, limits: Arc::clone(&life.limits), succeeded: false })
    }

    /// Takes no more calls; waits until none runs, or time is over.
    pub(crate) fn drain(&self, within: Duration) -> Health {
        let until = Instant::now() + within;
        let mut life = self.life();
        if matches!(life.state, State::Ready | State::Booted) {
            life.state = State::Draining;
        }
        while life.calls.running > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            life = self.changed.wait_timeout(life, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(life);
        self.health()
    }

    /// Ends the function.
    pub fn stop(&self) {
        let mut life = self.life();
        life.state = State::Stopping;
        let function = life.function.clone();
        drop(life);
        if let Some(function) = function {
            function.stop();
        }
    }

    /// Ends what this agent is the agent of, after [`Agent::stop`].
    pub(crate) fn end(&self) {
        if self.settings.machine {
            machine::restart();
        }
    }

    /// Lines of the log.
    pub(crate) fn page(&self, after: u64, limit: usize, wait: Duration) -> Page {
        self.logs.page(after, limit, wait.min(LONGEST_WAIT))
    }

    /// Writes a line of the agent's own.
    pub fn log(&self, text: &str) {
        self.logs.write(Stream::Agent, None, text);
    }

    fn note(&self, result: io::Result<()>, what: &str) {
        if let Err(error) = result {
            self.log(&format!("{what}: {error}"));
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way; it has ended when this is dropped.
pub(crate) struct Admitted<'a> {
    agent: &'a Agent,
    function: Arc<Function>,
    pub(crate) limits: Arc<Limits>,
    succeeded: bool,
}

impl Admitted<'_> {
    pub(crate) fn call(&mut self, call: Call<'_>) -> Result<(), Fault> {
        let outcome = self.function.call(call);
        self.succeeded = outcome.is_ok();
        outcome
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut life = self.agent.life();
        life.calls.running = life.calls.running.saturating_sub(1);
        life.calls.failed += u64::from(!self.succeeded);
        drop(life);
        self.agent.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(home: &std::path::Path) -> Agent {
        Agent::new(Settings {
            machine: false,
            drive: None,
            home: home.to_owned(),
            work: home.to_owned(),
            launcher: None,
            user: None,
        })
    }

    fn seeded() -> Init {
        Init { seed: "ab".repeat(32), ..Init::default() }
    }

    #[test]
    fn a_machine_that_was_told_nothing_takes_no_calls() {
        let home = tempfile::tempdir().unwrap();
        let agent = agent(home.path());
        assert_eq!(agent.health().state, State::Booted);
        assert_eq!(agent.admit().err(), Some(Fault::NotReady));
    }

    #[test]
    fn a_seed_that_is_too_short_is_refused_before_anything_happens() {
        let home = tempfile::tempdir().unwrap();
        let agent = agent(home.path());
        for seed in ["", "ab", "zz", &"ab".repeat(513)] {
            let init = Init { seed: seed.to_owned(), ..Init::default() };
            assert!(matches!(agent.init(&init), Err(InitError::Senseless(_))), "{seed}");
        }
    }

    #[test]
    fn after_a_start_that_failed_it_can_be_tried_again() {
        let home = tempfile::tempdir().unwrap();
        let agent = agent(home.path());
        for _ in 0..2 {
            let error = agent.init(&seeded()).unwrap_err();
            assert!(matches!(error, InitError::Fault(Fault::Unstartable(_))), "{error}");
        }
    }

    #[test]
    fn a_machine_is_told_once_who_it_is_and_takes_so_many_calls() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("function"), "#!/bin/sh\n").unwrap();
        fs::write(home.path().join("manifest.json"), r#"{"mode":"cgi"}"#).unwrap();
        let agent = agent(home.path());
        let mut init = seeded();
        init.limits.concurrency = 2;
        assert_eq!(agent.init(&init).unwrap().state, State::Ready);
        assert!(matches!(agent.init(&init), Err(InitError::Twice)));
        let (one, _two) = (agent.admit().unwrap(), agent.admit().unwrap());
        assert_eq!(agent.admit().err(), Some(Fault::Busy(2)));
        drop(one);
        assert!(agent.admit().is_ok());
    }

    #[test]
    fn draining_waits_for_calls_and_takes_no_new_ones() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("function"), "").unwrap();
        fs::write(home.path().join("manifest.json"), r#"{"mode":"cgi"}"#).unwrap();
        let agent = agent(home.path());
        agent.init(&seeded()).unwrap();
        let call = agent.admit().unwrap();
        assert_eq!(agent.drain(Duration::ZERO).calls.running, 1);
        assert_eq!(agent.admit().err(), Some(Fault::Draining));
        thread::scope(|scope| {
            let drained = scope.spawn(|| agent.drain(Duration::from_secs(30)));
            drop(call);
            assert_eq!(drained.join().unwrap().calls.running, 0);
        });
    }
}
