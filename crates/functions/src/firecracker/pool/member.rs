//! A microVM that takes calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use flagbase_core::functions::Visit;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::firecracker::{agent::State, machine::Machine, notes::Notes};

/// How long a guest may take to say how it is, and to give its last lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// A microVM with its identity. Counts change only while its pool is locked.
pub(in crate::firecracker) struct Member {
    pub(in crate::firecracker) machine: Machine,
    pub(in crate::firecracker) notes: Arc<Notes>,
    busy: AtomicU32,
    /// Calls that it may still take.
    left: AtomicU32,
    broken: AtomicBool,
    mourned: AtomicBool,
    since: Mutex<Instant>,
}

impl Member {
    /// May take `calls` calls in its life.
    pub(super) fn new(machine: Machine, notes: Arc<Notes>, calls: u32) -> Self {
        Self {
            machine,
            notes,
            busy: AtomicU32::new(0),
            left: AtomicU32::new(calls),
            broken: AtomicBool::new(false),
            mourned: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
        }
    }

    /// Calls under way.
    pub(super) fn busy(&self) -> u32 {
        self.busy.load(Relaxed)
    }

    /// Whether it can take one more call, when there may be `at_once`.
    pub(super) fn takes(&self, at_once: u32) -> bool {
        !self.is_spent() && self.busy() < at_once && !self.machine.exited().is_cancelled()
    }

    /// A call begins.
    pub(super) fn enter(&self, visit: &Visit) {
        self.busy.fetch_add(1, Relaxed);
        let left = self.left.load(Relaxed);
        self.left.store(left.saturating_sub(1), Relaxed);
        self.notes.expect(visit);
    }

    /// A call has ended; `whole` says that the guest can take another one.
    pub(super) fn leave(&self, whole: bool) {
        self.busy.fetch_sub(1, Relaxed);
        if !whole {
            self.broken.store(true, Relaxed);
        }
        *self.since.lock() = Instant::now();
    }

    /// It takes no more calls.
    pub(super) fn spend(&self) {
        self.left.store(0, Relaxed);
    }

    /// Whether it takes no more calls.
    pub(super) fn is_spent(&self) -> bool {
        self.broken.load(Relaxed) || self.left.load(Relaxed) == 0
    }

    /// Whether it had nothing to do for that long.
    pub(super) fn is_idle_for(&self, long: Duration) -> bool {
        self.busy() == 0 && self.since.lock().elapsed() >= long
    }

    /// Whether its end was told already. From now on it was.
    pub(super) fn is_mourned(&self) -> bool {
        self.mourned.swap(true, Relaxed)
    }

    /// Whether the guest says that it takes calls.
    pub(super) async fn is_well(&self) -> bool {
        self.machine.agent.health(PATIENCE).await.is_ok_and(|health| health.state == State::Ready)
    }

    /// Lets what is under way end `within`, reads the last lines, and lets go of the microVM.
    pub(super) async fn end(self: Arc<Self>, within: Duration) {
        if !within.is_zero() {
            // A guest that does not drain is killed all the same.
            let _ = self.machine.agent.drain(within).await;
        }
        self.notes.finish.cancel();
        let _ = tokio::time::timeout(PATIENCE, self.notes.finished.cancelled()).await;
    }
}
