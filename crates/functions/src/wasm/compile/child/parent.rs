//! Ends this process when the one that started it has ended: nobody would take what it makes, and it would make it for
//! minutes.
//!
//! The kernel can do the same by a signal, but for it the parent is the *thread* that started the child, and threads of a
//! pool come and go. What a pipe tells, too, is told only to who writes or reads just then.

use std::{io, os::unix::process::parent_id, thread, time::Duration};

use rustix::process::{Signal, getpid, kill_process};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// It does next to nothing, and what it needs counts against the memory for compiling.
const STACK: usize = 64 << 10;

/// Starts the thread that looks.
pub(super) fn live_no_longer_than(parent: u32) -> io::Result<()> {
    let look = move || {
        while parent_id() == parent {
            thread::sleep(LOOK_EVERY);
        }
        // At once: there is nothing to tidy up, and nobody to tell.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    thread::Builder::new().name("parent".to_owned()).stack_size(STACK).spawn(look).map(drop)
}
