//! What the driver did so far, as totals.

use std::sync::atomic::{AtomicU64, Ordering};

use flagbase_core::functions::Figure;

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

    /// All of them, as they are shown.
    pub(super) fn all(&self) -> Vec<Figure> {
        let figure = |name, help, total| Figure { name, help, total };
        vec![
            figure("microvm_boots", "MicroVMs booted from a kernel", self.boots()),
            figure("microvm_restores", "MicroVMs restored from a snapshot", self.restores()),
            figure("microvm_failed_restores", "Restores that failed", self.failed_restores()),
            figure("microvm_deaths", "MicroVMs that ended unasked", self.deaths()),
        ]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_shown_under_its_name() {
        let figures = Figures::default();
        figures.booted();
        figures.restored();
        figures.restored();
        figures.restore_failed();
        let shown: Vec<_> = figures.all().iter().map(|figure| (figure.name, figure.total)).collect();
        let expected = [
            ("microvm_boots", 1),
            ("microvm_restores", 2),
            ("microvm_failed_restores", 1),
            ("microvm_deaths", 0),
        ];
        assert_eq!(shown, expected);
    }
}
