//! What the driver did so far, as totals.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the start of this process.
#[derive(Debug, Default)]
pub struct Figures {
    booted: AtomicU64,
    restored: AtomicU64,
    restores_failed: AtomicU64,
    died: AtomicU64,
}

impl Figures {
    /// Boots from a kernel.
    pub fn boots(&self) -> u64 {
        self.booted.load(Ordering::Relaxed)
    }

    /// Restores from a snapshot.
    pub fn restores(&self) -> u64 {
        self.restored.load(Ordering::Relaxed)
    }

    /// Restores that failed, and were made good by a boot.
    pub fn failed_restores(&self) -> u64 {
        self.restores_failed.load(Ordering::Relaxed)
    }

    /// Ends of microVMs that nobody asked for.
    pub fn deaths(&self) -> u64 {
        self.died.load(Ordering::Relaxed)
    }

    pub(super) fn booted(&self) {
        self.booted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn restored(&self) {
        self.restored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn restore_failed(&self) {
        self.restores_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn died(&self) {
        self.died.fetch_add(1, Ordering::Relaxed);
    }
}
