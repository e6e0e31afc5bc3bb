//! Processes of the function: started, waited for, ended.
//!
//! The first process of a machine inherits every orphan and must wait for it. It cannot wait for "any child" while
//! others wait for a certain one, so in a machine one thread waits for all and tells those who ask.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::process::{Child, Command};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, wait, waitid};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// Whether it says that all went well.
    pub(crate) fn is_success(self) -> bool {
        self == Self::Status(0)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
        }
    }
}

/// All processes that were started here.
#[derive(Debug)]
pub(crate) struct Children {
    /// Whether orphans come here.
    adopts: bool,
    /// `None` while a process runs.
    known: Mutex<HashMap<u32, Option<Ended>>>,
    changed: Condvar,
}

impl Children {
    pub(crate) fn new(adopts: bool) -> Self {
        Self { adopts, known: Mutex::default(), changed: Condvar::new() }
    }

    /// Starts a process. [`Children::wait`] must be called for it.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        // Held while starting: whoever reaps must not meet a child that is not known yet.
        let mut known = self.lock();
        let child = command.spawn()?;
        known.insert(child.id(), None);
        drop(known);
        self.changed.notify_all();
        Ok(child)
    }

    /// Waits until a process that was started here has ended.
    pub(crate) fn wait(&self, child: &mut Child) -> io::Result<Ended> {
        let id = child.id();
        if !self.adopts {
            let status = child.wait()?;
            self.lock().remove(&id);
            return Ok(ended_with(status));
        }
        let mut known = self.lock();
        loop {
            match known.get(&id) {
                None => return Err(io::Error::from(Errno::CHILD)),
                Some(None) => known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner),
                Some(Some(ended)) => {
                    let ended = *ended;
                    known.remove(&id);
                    return Ok(ended);
                }
            }
        }
    }

    /// Sends a signal to a process and everything it started, unless it has ended.
    pub(crate) fn signal(&self, id: u32, signal: Signal) {
        let known = self.lock();
        let runs = known.get(&id).is_some_and(Option::is_none);
        if let (true, Some(group)) = (runs, pid(id)) {
            // It may end between the look and the signal; then there is nothing left to end.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits for every process of the machine, for ever.
    pub(crate) fn adopt(&self) {
        loop {
            let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let known = self.lock();
            match any {
                Ok(_) => self.reap(known),
                Err(Errno::INTR) => {}
                Err(_) => {
                    // Nobody is there to wait for: until the next one is started.
                    let pause = Duration::from_mins(1);
                    drop(self.changed.wait_timeout(known, pause));
                }
            }
        }
    }

    fn reap(&self, mut known: MutexGuard<'_, HashMap<u32, Option<Ended>>>) {
        let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) else {
            return;
        };
        let ended = match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Ended::Status(status),
            (None, Some(signal)) => Ended::Signal(signal),
            (None, None) => return,
        };
        let id = pid.as_raw_nonzero().get().unsigned_abs();
        if let Some(state) = known.get_mut(&id) {
            *state = Some(ended);
            drop(known);
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Option<Ended>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended_with(status: std::process::ExitStatus) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;
    match status.code() {
        Some(code) => Ended::Status(code),
        None => Ended::Signal(status.signal().unwrap_or_default()),
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).process_group(0);
        command
    }

    #[test]
    fn it_is_known_how_a_process_ended() {
        let children = Children::new(false);
        let mut child = children.spawn(&mut shell("exit 3")).unwrap();
        let ended = children.wait(&mut child).unwrap();
        assert_eq!(ended, Ended::Status(3));
        assert!(!ended.is_success());
        assert_eq!(ended.to_string(), "exited with status 3");
    }

    #[test]
    fn a_signal_reaches_the_whole_group_and_is_told() {
        let children = Children::new(false);
        let mut child = children.spawn(&mut shell("sleep 100 & wait")).unwrap();
        children.signal(child.id(), Signal::KILL);
        assert_eq!(children.wait(&mut child).unwrap(), Ended::Signal(9));
    }

    #[test]
    fn a_process_that_has_ended_gets_no_signal() {
        let children = Children::new(false);
        let mut child = children.spawn(&mut shell("true")).unwrap();
        assert!(children.wait(&mut child).unwrap().is_success());
        children.signal(child.id(), Signal::KILL);
        assert!(children.lock().is_empty());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(Children::new(false).spawn(&mut Command::new("/no/such/program")).is_err());
    }
}
