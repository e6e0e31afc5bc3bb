//! The use of a microVM for one call.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{Member, Pool};
use crate::firecracker::machine::Machine;

/// A microVM for one call. When it is dropped without [`Lease::done`], the call was given up, and the microVM with it:
/// nobody knows what it is doing.
pub(in crate::firecracker) struct Lease {
    pool: Arc<Pool>,
    member: Arc<Member>,
    whole: bool,
    _slot: OwnedSemaphorePermit,
}

impl Lease {
    pub(super) fn new(pool: &Arc<Pool>, member: Arc<Member>, slot: OwnedSemaphorePermit) -> Self {
        Self { pool: Arc::clone(pool), member, whole: false, _slot: slot }
    }

    /// The microVM.
    pub(in crate::firecracker) fn machine(&self) -> &Machine {
        &self.member.machine
    }

    /// The call has ended, and the guest can take another one.
    pub(in crate::firecracker) fn done(mut self) {
        self.whole = true;
    }

    /// The microVM ended by itself during the call.
    pub(in crate::firecracker) fn died(self) {
        self.pool.mourn(&self.member);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(&self.member, self.whole);
    }
}
