//! Instances that answer one request after the other, for functions that ask for it.
//!
//! An instance is kept for exactly one function, version and set of settings, and never goes to another one. It is given
//! up after a fault, after many calls, when it has been idle, and when its memory is nearly full.

use std::{sync::Arc, time::Duration};

use flagbase_core::functions::{Deployed, Digest, Settings};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{call::Call, own::Running};

/// Calls that one instance answers.
const USES: u32 = 10_000;
/// How long it is kept without a call.
const IDLE: Duration = Duration::from_secs(30);

/// Whose instance it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owner {
    environment: Arc<str>,
    function: Arc<str>,
    version: u32,
    /// A function that was deleted and made again counts its versions from 1 again.
    digest: Digest,
}

struct Kept {
    running: Running,
    settings: Arc<Settings>,
    uses: u32,
    since: Instant,
}

/// An instance that was taken out, with how often it was used.
pub(crate) struct Taken {
    /// The instance, turned to the call.
    pub(crate) running: Running,
    uses: u32,
}

/// Instances between two calls, at most so many.
pub(crate) struct Warm {
    most: usize,
    kept: Mutex<(usize, HashMap<Owner, Vec<Kept>>)>,
}

impl Warm {
    /// Keeps at most `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// An instance for `call`, the one used last.
    pub(crate) fn take(&self, call: &Arc<Call>) -> Option<Taken> {
        let deployed = &call.visit.deployed;
        let mut dropped = Vec::new();
        let found = {
            let mut kept = self.kept.lock();
            let (count, owners) = &mut *kept;
            let instances = owners.get_mut(&Owner::of(deployed))?;
            let mut found = None;
            while let Some(instance) = instances.pop() {
                *count -= 1;
                if *instance.settings == *deployed.settings && instance.since.elapsed() < IDLE {
                    found = Some(instance);
                    break;
                }
                dropped.push(instance);
            }
            found
        };
        // Giving memory back takes longer than the lock should be held.
        drop(dropped);
        let Kept { mut running, uses, .. } = found?;
        running.turn_to(Arc::clone(call));
        Some(Taken { running, uses })
    }

    /// Keeps an instance after a call that ended well.
    pub(crate) fn put(&self, taken: Taken) {
        let Taken { running, uses } = taken;
        if uses + 1 >= USES || running.is_nearly_full() {
            return;
        }
        let deployed = Arc::clone(running.deployed());
        let most = deployed.settings.limits.concurrency as usize;
        let instance =
            Kept { settings: Arc::clone(&deployed.settings), running, uses: uses + 1, since: Instant::now() };
        let mut kept = self.kept.lock();
        let (count, owners) = &mut *kept;
        if *count >= self.most {
            return;
        }
        let instances = owners.entry(Owner::of(&deployed)).or_default();
        if instances.len() < most {
            instances.push(instance);
            *count += 1;
        }
    }

    /// Drops what has been idle for too long.
    pub(crate) fn sweep(&self) {
        self.keep_only(|instance| instance.since.elapsed() < IDLE);
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.keep_only(|_| false);
    }

    fn keep_only(&self, keep: impl Fn(&Kept) -> bool) {
        let mut dropped = Vec::new();
        {
            let mut kept = self.kept.lock();
            let (count, owners) = &mut *kept;
            for instances in owners.values_mut() {
                dropped.extend(instances.extract_if(.., |instance| !keep(instance)));
            }
            owners.retain(|_, instances| !instances.is_empty());
            *count -= dropped.len();
        }
        drop(dropped);
    }
}

impl Owner {
    fn of(deployed: &Deployed) -> Self {
        Self {
            environment: Arc::clone(&deployed.environment),
            function: Arc::clone(&deployed.function),
            version: deployed.version,
            digest: deployed.digest,
        }
    }
}

impl Taken {
    /// An instance that was never used.
    pub(crate) fn fresh(running: Running) -> Self {
        Self { running, uses: 0 }
    }
}
