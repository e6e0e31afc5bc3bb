//! Flags, for whoever called the function.

use std::sync::Arc;

use super::HostParts;
use crate::{
    caller::Caller,
    engine::{Context, Slot, Value},
    flags::Seen,
    functions::Visit,
    metrics::Recorder,
    snapshot::EnvironmentSnapshot,
};

/// Evaluates flags for one visit.
///
/// A visit sees the flags as they were when it first asked: two questions of one call never contradict each other.
pub struct Evaluator {
    environment: Option<Arc<EnvironmentSnapshot>>,
    caller: Arc<Caller>,
    attributes: Arc<[(Box<str>, Box<str>)]>,
    /// Where the values of `attributes` go, by position; looked up once.
    slots: Box<[(Slot, usize)]>,
    recorder: Arc<Recorder>,
}

impl Evaluator {
    pub(super) fn new(parts: &HostParts, visit: &Visit) -> Self {
        let granted = visit.deployed.settings.grants.flags;
        let snapshot = parts.snapshots.load();
        let environment =
            snapshot.environment(&visit.deployed.environment).filter(|_| granted).map(Arc::clone);
        let slots = environment.as_ref().map_or_else(Box::default, |environment| {
            let places = visit.attributes.iter().enumerate();
            places.filter_map(|(at, (name, _))| Some((fillable(environment, name)?, at))).collect()
        });
        Self {
            environment,
            caller: Arc::clone(&visit.caller),
            attributes: Arc::clone(&visit.attributes),
            slots,
            recorder: Arc::clone(&parts.recorder),
        }
    }

    /// What the caller gets of the flag called `key`; `None` when there is no such flag, or flags are not granted.
    /// Counted as an exposure. Allocates nothing.
    pub fn evaluate(&self, key: &str) -> Option<Seen<'_>> {
        let environment = self.environment.as_ref()?;
        let context = self.context(environment);
        let seen = self.recorder.timed(|| environment.see(&self.caller, key, &context))?;
        self.recorder.exposure(&seen);
        Some(seen)
    }

    fn context<'a>(&'a self, environment: &'a EnvironmentSnapshot) -> Context<'a> {
        let mut context = self.caller.context_without_headers(environment);
        for (slot, at) in &self.slots {
            if let Some((_, value)) = self.attributes.get(*at) {
                context.set(*slot, Value::Str(value));
            }
        }
        context
    }
}

/// Where an attribute goes that a request may fill: a declared header's, or the address it came from. Nothing that was
/// verified can be overwritten so.
fn fillable(environment: &EnvironmentSnapshot, name: &str) -> Option<Slot> {
    let slot = environment.rules.attributes().slot(name)?;
    let declared = environment.headers.iter().any(|(_, declared)| *declared == slot);
    (declared || slot == Slot::IP).then_some(slot)
}
