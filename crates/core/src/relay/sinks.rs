//! All sinks together: how far each of them is behind.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use serde::Serialize;

use super::{PassedOver, Relay};
use crate::{catalog::Revision, tasks::Tasks};

/// The relays of this node.
#[derive(Default)]
pub struct Sinks(RwLock<Vec<Arc<Relay>>>);

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sink {
    /// What it is called: `embedded`, `nats`, `kafka`, …
    pub name: String,
    /// The last change that it has.
    pub revision: Revision,
    /// The last change there is.
    pub head: Revision,
    /// How many changes it does not have yet.
    pub behind: u64,
    /// How long ago the oldest of those was made, seconds; 0 when it has all.
    pub behind_seconds: f64,
    /// Why it does not take what is there; null when it does.
    pub error: Option<String>,
    /// How many events it refused for good, ever.
    pub passed_over: u64,
    /// The last of those.
    pub last_passed_over: Option<PassedOver>,
}

impl Sinks {
    /// Starts a relay, and looks after it from now on.
    pub fn start(&self, relay: Relay, tasks: &Tasks) {
        let relay = Arc::new(relay);
        self.0.write().push(Arc::clone(&relay));
        relay.start(tasks);
    }

    /// How far each sink is, in the order they were started.
    pub fn all(&self) -> Vec<Sink> {
        self.0.read().iter().map(|relay| relay.sink()).collect()
    }

    /// Sets the gauges of what is measured.
    pub fn measure(&self) {
        for relay in self.0.read().iter() {
            let sink = relay.sink();
            relay.meters.behind(&sink.name, sink.behind, sink.behind_seconds);
        }
    }
}

impl Relay {
    /// How far this sink is.
    pub fn sink(&self) -> Sink {
        let state = self.state.lock().clone();
        let head = self.feed.snapshots().load().revision;
        let place = state.place.unwrap_or_default();
        let behind = head.saturating_sub(place.revision);
        let age = state.waiting_since.filter(|_| behind > 0).map(|since| {
            let age = self.feed.clock().now().duration_since(since);
            Duration::try_from(age).unwrap_or_default().as_secs_f64()
        });
        Sink {
            name: self.name.clone(),
            revision: place.revision,
            head,
            behind,
            behind_seconds: age.unwrap_or_default(),
            error: state.trouble,
            passed_over: place.passed_over,
            last_passed_over: place.last_passed_over,
        }
    }
}
