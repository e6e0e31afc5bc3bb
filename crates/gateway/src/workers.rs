//! Threads that serve connections, one per processor, each with a scheduler of its own.
//!
//! A connection stays on the thread that got it, and so do the connections to upstreams that it opened: no request
//! wakes another thread. With one scheduler for all threads about a sixth of the processor time of a small request went
//! into threads that woke each other.

use std::{
    cell::Cell,
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// The number of the worker this runs on; 0 on any other thread.
pub(crate) fn current() -> usize {
    WORKER.get()
}

/// The threads; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Workers {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    turn: AtomicUsize,
    stop: CancellationToken,
}

impl Workers {
    /// Starts `count` threads. With none, connections run where the server does.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut workers = Self::default();
        for number in 1..=count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.handles.push(runtime.handle().clone());
            let stop = workers.stop.clone();
            let thread = thread::Builder::new().name(format!("connections-{number}")).spawn(move || {
                WORKER.set(number);
                runtime.block_on(stop.cancelled());
                // What blocks for longer than a graceful stop allows does not hold the process up.
                runtime.shutdown_background();
            })?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Whose turn it is to take a connection; `None` when there are no workers.
    pub(crate) fn next(&self) -> Option<&Handle> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.handles.get(turn.checked_rem(self.handles.len())?)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        let here = thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != here) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_turns_and_each_knows_its_number() {
        let workers = Workers::start(2).unwrap();
        let numbers: Vec<_> = (0..4)
            .map(|_| {
                let (tell, told) = std::sync::mpsc::channel();
                drop(workers.next().unwrap().spawn(async move { tell.send(current()).unwrap() }));
                told.recv().unwrap()
            })
            .collect();
        assert_eq!(numbers, [1, 2, 1, 2]);
        assert_eq!(current(), 0);
    }

    #[test]
    fn without_workers_nobody_has_a_turn() {
        assert!(Workers::start(0).unwrap().next().is_none());
    }
}
