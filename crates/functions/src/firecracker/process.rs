//! What the kernel knows of processes: enough to be sure that one is ours before it is killed.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process that cannot be taken for another one: numbers are used again, starts are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// In ticks of the kernel since the machine started.
    pub(super) started: u64,
}

impl Identity {
    /// The process `pid` as it is now; `None` when there is none.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program is in parentheses and may have anything in it, also parentheses.
        let (_, after) = stat.rsplit_once(')')?;
        let started = after.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// This process.
    pub(super) fn own() -> Option<Self> {
        i32::try_from(std::process::id()).ok().and_then(Self::of)
    }

    /// Whether that very process is still there, and is more than the remains of one.
    pub(super) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self) && !is_zombie(self.pid)
    }
}

/// Whether one of the words that process `pid` was started with has `word` in it.
pub(super) fn was_started_with(pid: i32, word: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
        line.split(|byte| *byte == 0).any(|each| String::from_utf8_lossy(each).contains(word))
    })
}

/// All processes that were started with `word`, except this one.
pub(super) fn started_with(word: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(own) && was_started_with(*pid, word))
        .collect()
}

/// Kills process `pid` when it was started with `word`. Looks while it holds on to the process, so that no other one
/// can have taken its number. Returns whether it was killed.
pub(super) fn kill_if_started_with(pid: i32, word: &str) -> bool {
    let Some(number) = Pid::from_raw(pid) else { return false };
    let Ok(held) = pidfd_open(number, PidfdFlags::empty()) else { return false };
    was_started_with(pid, word) && pidfd_send_signal(&held, Signal::KILL).is_ok()
}

/// Kills the process group that child `pid` leads. Only for children that were not waited for yet: their number is
/// still theirs.
pub(super) fn kill_group(pid: u32) {
    if let Some(leader) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself: then there is nothing left to do.
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, after)| after.trim_start().starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own }.is_alive(), "the number was used again");
        assert_eq!(Identity::of(i32::MAX), None);
    }

    #[test]
    fn only_the_process_that_was_started_with_the_word_is_killed() {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", "read line", "word-5501"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // The child is itself only after it has become the other program.
        while !was_started_with(pid, "word-5501") {
            std::thread::yield_now();
        }
        assert!(!kill_if_started_with(pid, "vm-0123456789"));
        assert!(child.try_wait().unwrap().is_none());
        assert!(started_with("word-5501").contains(&pid));
        assert!(kill_if_started_with(pid, "word-5501"));
        assert!(!child.wait().unwrap().success());
        assert!(!kill_if_started_with(pid, "word-5501"), "it is gone");
    }
}
