//! Threads that serve connections, each with a scheduler of its own.
//!
//! A connection stays on the thread that got it. Whoever publishes writes to the sockets of its subscribers itself, so
//! that threads rarely wake each other.

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The threads; they and all that runs on them end with [`Workers::stop`] or when this is dropped.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    turn: AtomicUsize,
    stop: CancellationToken,
}

impl Workers {
    /// Starts `count` threads, or one per processor when it is 0.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let count = if count == 0 { thread::available_parallelism().map_or(1, usize::from) } else { count };
        let mut workers = Self {
            handles: Vec::new(),
            threads: Mutex::default(),
            turn: AtomicUsize::new(0),
            stop: CancellationToken::new(),
        };
        for number in 1..=count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.handles.push(runtime.handle().clone());
            let stop = workers.stop.clone();
            let thread = thread::Builder::new().name(format!("nats-{number}")).spawn(move || {
                runtime.block_on(stop.cancelled());
                runtime.shutdown_background();
            })?;
            workers.threads.get_mut().push(thread);
        }
        Ok(workers)
    }

    /// Runs a task on the next thread. It ends with the thread at the latest, so nobody has to hold it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let Some(handle) = turn.checked_rem(self.handles.len()).and_then(|turn| self.handles.get(turn)) {
            handle.spawn(task);
        }
    }

    /// Ends all threads with what runs on them.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        let here = thread::current().id();
        for thread in self.threads.lock().drain(..).filter(|thread| thread.thread().id() != here) {
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns_and_end_with_their_tasks() {
        let workers = Workers::start(2).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        for _ in 0..4 {
            let tell = tell.clone();
            workers.spawn(async move {
                tell.send(thread::current().name().map(str::to_owned)).unwrap();
                std::future::pending::<()>().await;
            });
        }
        drop(tell);
        let mut names: Vec<_> = told.iter().take(4).flatten().collect();
        names.sort();
        assert_eq!(names, ["nats-1", "nats-1", "nats-2", "nats-2"]);
        workers.stop();
        assert!(told.recv().is_err());
    }
}
