//! Running functions: whoever has something for a function to do hands it over here.
//!
//! In front of the adapter stands a gate per function, so that one function cannot take a node's whole room, and behind
//! it everything is counted: calls by outcome, durations, and, for guards, what failed under a flag.

mod calls;
mod gate;
mod shown;
mod signals;
mod streamed;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Instant,
};

use papaya::{Equivalent, HashMap};

use super::{Body, BodyFault, Compute, Deployed, Fault, Level, Logs, Occasion, Stream, Visit};
use crate::{clock::Clock, ledger::Ledger, metrics::Meters, random::Random, tasks::Tasks};

pub use calls::{Calls, VersionCalls};
use calls::{Cell, Outcome};
use gate::{Gate, Permit};
pub(crate) use shown::Shown as ShownCalls;
use signals::Signals;

/// Runs functions, so that none takes more than its share and everything is counted.
pub struct Runner {
    compute: Arc<dyn Compute>,
    logs: Arc<Logs>,
    meters: Arc<Meters>,
    gates: HashMap<Name, Arc<Gate>, foldhash::fast::RandomState>,
    signals: Arc<Signals>,
}

/// What a [`Runner`] needs.
pub struct RunnerParts {
    /// Runs code.
    pub compute: Arc<dyn Compute>,
    /// Is told of faults.
    pub logs: Arc<Logs>,
    /// Counts calls.
    pub meters: Arc<Meters>,
    /// Keeps what guards look at.
    pub ledger: Arc<dyn Ledger>,
    /// Stamps what guards look at.
    pub clock: Arc<dyn Clock>,
    /// Names what guards look at.
    pub random: Arc<dyn Random>,
}

/// A flag that had a say in what runs, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Under {
    /// The flag's key.
    pub flag: Arc<str>,
    /// The variant's name.
    pub variant: Arc<str>,
}

impl Runner {
    /// Runs functions with `parts`.
    pub fn new(parts: RunnerParts) -> Self {
        let RunnerParts { compute, logs, meters, ledger, clock, random } = parts;
        meters.functions().watch(&compute);
        let signals = Arc::new(Signals::new(ledger, Arc::clone(&meters), clock, random));
        Self { compute, logs, meters, gates: HashMap::default(), signals }
    }

    /// Starts the task that tells guards of faults.
    pub fn start(&self, tasks: &Tasks) {
        let (signals, stop) = (Arc::clone(&self.signals), tasks.stopping());
        tasks.spawn("functions.signals", async move { signals.run(stop).await });
    }

    /// What runs code.
    pub fn compute(&self) -> &Arc<dyn Compute> {
        &self.compute
    }

    /// What functions say.
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// What was counted.
    pub fn calls(&self) -> &Arc<Calls> {
        self.meters.functions()
    }

    /// Answers a request: waits for a place, which is given back when the answer's body has ended. `under` are the flags
    /// that chose the version: what goes wrong is told to their guards.
    ///
    /// Whoever drops the future, or the body, gives his place back at once.
    pub async fn serve(
        &self,
        visit: Visit,
        under: Vec<Under>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Fault> {
        fits(&visit.deployed, request.body())?;
        let mut call = self.enter(&visit, under).await?;
        let answered = self.compute.serve(visit, request).await;
        match answered {
            Err(fault) => {
                call.failed(&fault);
                Err(fault)
            }
            Ok(response) => {
                call.answered(response.status());
                let (head, body) = response.into_parts();
                let body = match body {
                    Body::Stream(parts, length) => Body::Stream(streamed::guarded(parts, call), length),
                    whole => whole,
                };
                Ok(http::Response::from_parts(head, body))
            }
        }
    }

    /// Hands over an event or a moment of a schedule. Done when it returns `Ok`.
    pub async fn deliver(&self, visit: Visit, under: Vec<Under>, occasion: Occasion) -> Result<(), Fault> {
        let mut call = self.enter(&visit, under).await?;
        let delivered = self.compute.deliver(visit, occasion).await;
        match &delivered {
            Ok(()) => call.outcome = Outcome::Ok,
            Err(fault) => call.failed(fault),
        }
        delivered
    }

    /// Tells the guard of a flag that what it chose failed, where that is no function: the gateway could not give what a
    /// release should hold.
    pub fn failed_under(&self, environment: &Arc<str>, under: &Under) {
        self.signals.send(environment, under);
    }

    /// Calls of a function that are under way, and those that wait.
    pub fn load(&self, environment: &str, function: &str) -> (u32, u32) {
        self.gates.pin().get(&Borrowed(environment, function)).map_or((0, 0), |gate| gate.load())
    }

    /// Forgets what one function said and what was counted of it: it is gone, and another one may get its name.
    pub(super) fn forget(&self, environment: &str, function: &str) {
        self.logs.forget(environment, function);
        self.calls().retain(&|of, called| (of, called) != (environment, function));
    }

    /// Forgets functions that are not `alive`.
    pub fn retain(&self, alive: &(dyn Fn(&str, &str) -> bool + Send + Sync)) {
        self.gates.pin().retain(|Name(environment, function), gate| {
            alive(environment, function) || gate.load() != (0, 0)
        });
        self.calls().retain(alive);
        self.logs.retain(alive);
    }

    async fn enter(&self, visit: &Visit, mut under: Vec<Under>) -> Result<Call, Fault> {
        // A route and its function may ask the same flag: a fault is one fault of it.
        under.dedup();
        let gate = self.gate(&visit.deployed);
        let cell = self.calls().cell(&visit.deployed);
        match gate.enter(&visit.deployed.settings.limits).await {
            Ok(permit) => Ok(Call {
                permit,
                cell,
                begun: Instant::now(),
                outcome: Outcome::Gone,
                under,
                visit: visit.clone(),
                logs: Arc::clone(&self.logs),
                signals: Arc::clone(&self.signals),
            }),
            Err(fault) => {
                cell.refused(Outcome::of(&fault));
                Err(fault)
            }
        }
    }

    fn gate(&self, deployed: &Deployed) -> Arc<Gate> {
        let gates = self.gates.pin();
        if let Some(gate) = gates.get(&Borrowed(&deployed.environment, &deployed.function)) {
            return Arc::clone(gate);
        }
        let name = Name(Arc::clone(&deployed.environment), Arc::clone(&deployed.function));
        let size = deployed.settings.limits.concurrency;
        Arc::clone(gates.get_or_insert_with(name, || Arc::new(Gate::new(size))))
    }
}

/// A body that says that it is too large need not wait for a place to be told so.
fn fits(deployed: &Deployed, body: &Body) -> Result<(), Fault> {
    let most = deployed.settings.limits.request_body;
    let length = match body {
        Body::Empty => 0,
        Body::Whole(bytes) => bytes.len() as u64,
        Body::Stream(_, length) => length.unwrap_or(0),
    };
    if length > most { Err(BodyFault::TooLarge(most).into()) } else { Ok(()) }
}

/// A call under way: holds its place, and is counted when it ends, however it ends.
struct Call {
    cell: Arc<Cell>,
    begun: Instant,
    outcome: Outcome,
    under: Vec<Under>,
    visit: Visit,
    logs: Arc<Logs>,
    signals: Arc<Signals>,
    /// Last, so that the place is free only after the call was counted.
    #[expect(dead_code, reason = "held, and given back when the call ends")]
    permit: Permit,
}

impl Call {
    fn failed(&mut self, fault: &Fault) {
        self.outcome = Outcome::of(fault);
        if fault.is_of_code() {
            // What the code said itself, with the place, is worth more than the same once more.
            if !fault.detail().is_some_and(|detail| self.logs.told(&self.visit, detail)) {
                self.logs.write(&self.visit, (Level::Error, Stream::Host), &fault.to_string(), Vec::new());
            }
            self.signal();
        }
    }

    fn answered(&mut self, status: http::StatusCode) {
        if status.is_server_error() {
            self.outcome = Outcome::Error;
            self.signal();
        } else {
            self.outcome = Outcome::Ok;
        }
    }

    /// The code failed, or said that it did.
    fn signal(&self) {
        for under in &self.under {
            self.signals.send(&self.visit.deployed.environment, under);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cell.ended(self.outcome, self.begun.elapsed());
    }
}

/// Environment and function.
#[derive(Debug, PartialEq, Eq)]
struct Name(Arc<str>, Arc<str>);

/// The same, borrowed, so that looking up copies nothing.
struct Borrowed<'a>(&'a str, &'a str);

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrowed(&self.0, &self.1).hash(state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<Name> for Borrowed<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self.0 == *name.0 && *self.1 == *name.1
    }
}
