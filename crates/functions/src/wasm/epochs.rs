//! The engine's clock: a thread that counts milliseconds while guests compute, and sleeps while none does.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use wasmtime::EngineWeak;

/// One epoch.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Ticks without a guest after which the thread goes to sleep: waking it costs more than a few idle ticks.
const IDLE_TICKS: u32 = 50;

/// Counts epochs of one engine.
pub(crate) struct Epochs {
    computing: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// While this lives, epochs pass.
pub(crate) struct Passing<'a>(&'a Epochs);

impl Epochs {
    /// Starts the thread, which sleeps.
    pub(crate) fn start(engine: EngineWeak) -> io::Result<Arc<Self>> {
        let epochs = Arc::new(Self {
            computing: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let clock = Arc::clone(&epochs);
        let thread = Builder::new().name("function-clock".to_owned()).spawn(move || clock.run(&engine))?;
        *epochs.thread.lock() = Some(thread);
        Ok(epochs)
    }

    /// Epochs pass until what is returned is dropped.
    pub(crate) fn pass(&self) -> Passing<'_> {
        self.computing.fetch_add(1, SeqCst);
        if self.asleep.load(SeqCst) {
            self.wake();
        }
        Passing(self)
    }

    fn wake(&self) {
        self.asleep.store(false, SeqCst);
        if let Some(thread) = &*self.thread.lock() {
            thread.thread().unpark();
        }
    }

    fn run(&self, engine: &EngineWeak) {
        let mut idle = 0;
        while !self.stopped.load(SeqCst) {
            idle = if self.computing.load(SeqCst) == 0 { idle + 1 } else { 0 };
            if idle <= IDLE_TICKS {
                std::thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
                continue;
            }
            self.asleep.store(true, SeqCst);
            // Whoever began before this saw no sleep, whoever begins after it wakes us.
            if self.computing.load(SeqCst) == 0 && !self.stopped.load(SeqCst) {
                std::thread::park();
            }
            self.asleep.store(false, SeqCst);
            idle = 0;
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, SeqCst);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }

    #[cfg(test)]
    fn is_asleep(&self) -> bool {
        self.asleep.load(SeqCst)
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;

    fn until(what: impl Fn() -> bool) -> bool {
        (0..2000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            what()
        })
    }

    #[test]
    fn the_clock_sleeps_while_nothing_computes_and_wakes_when_something_does() {
        let engine = Engine::default();
        let epochs = Epochs::start(engine.weak()).unwrap();
        assert!(until(|| epochs.is_asleep()), "it never went to sleep");
        let passing = epochs.pass();
        assert!(!epochs.is_asleep());
        drop(passing);
        assert!(until(|| epochs.is_asleep()), "it never went back to sleep");
        epochs.stop();
        assert!(epochs.thread.lock().is_none());
    }

    #[test]
    fn the_clock_does_not_sleep_while_something_computes() {
        let engine = Engine::default();
        let epochs = Epochs::start(engine.weak()).unwrap();
        let _passing = epochs.pass();
        std::thread::sleep(TICK * (IDLE_TICKS + 50));
        assert!(!epochs.is_asleep());
        epochs.stop();
    }
}
