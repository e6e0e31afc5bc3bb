//! Calling a function by hand, in whatever version.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;

use super::{Class, Functions, Refusal, not_found};
use crate::{
    caller::Caller,
    functions::{Body, CompiledFunction, Deployed, Event, Fault, LogLine, LogsAsked, Occasion, Visit},
    permissions::Permission,
    snapshot::EnvironmentSnapshot,
    trace::TraceParent,
};

/// Log lines of one call that are shown, at most.
const MOST_LINES: usize = 200;

/// What a function is called with.
#[derive(Debug)]
pub enum Invocation {
    /// A request.
    Request(http::Request<Bytes>),
    /// An event.
    Event(Event),
    /// A moment of a schedule.
    Tick {
        /// As it is written in the trigger.
        schedule: String,
        /// The moment.
        at: Timestamp,
    },
}

/// What a call came to.
#[derive(Debug)]
pub struct Invoked {
    /// The version that ran.
    pub version: u32,
    /// The answer, or why there is none.
    pub outcome: Result<Outcome, Fault>,
    /// How long it took, with waiting for a place.
    pub duration: Duration,
    /// What the call said.
    pub logs: Vec<Arc<LogLine>>,
}

/// What a function did.
#[derive(Debug)]
pub enum Outcome {
    /// It answered.
    Answered(http::Response<Bytes>),
    /// It took the event, or came to the end of its work.
    Done,
}

impl Functions {
    /// Calls a function: the version of this number, or else the one that the caller gets.
    ///
    /// What goes wrong is told to the caller and not to guards: whoever tries out a version that others do not have yet
    /// must not take it from those who have.
    pub async fn invoke(
        &self,
        caller: &Arc<Caller>,
        environment: &str,
        (name, number): (&str, Option<u32>),
        invocation: Invocation,
    ) -> Result<Invoked, Refusal> {
        let deployed = self.chosen(caller, environment, (name, number))?;
        let version = deployed.version;
        let random = self.feed.random();
        let visit = Visit {
            deployed: Arc::clone(&deployed),
            caller: Arc::clone(caller),
            id: random.uuid7(self.feed.clock()).to_string().into(),
            trace: TraceParent::current(),
            attributes: Arc::default(),
        };
        let id = Arc::clone(&visit.id);
        let begun = std::time::Instant::now();
        let outcome = self.call(visit, invocation).await;
        let asked = LogsAsked { version: Some(version), call: Some(&id), after: None };
        let logs = self.runner.logs().read(environment, name, asked, MOST_LINES);
        Ok(Invoked { version, outcome, duration: begun.elapsed(), logs })
    }

    fn chosen(
        &self,
        caller: &Caller,
        environment: &str,
        (name, number): (&str, Option<u32>),
    ) -> Result<Arc<Deployed>, Refusal> {
        let snapshot = self.feed.permitted(caller, environment, Permission::FunctionInvoke)?;
        let environment = snapshot.require_environment(environment)?;
        let function = environment.functions.get(name).ok_or_else(|| not_found(environment, name))?;
        let deployed = match number {
            Some(number) => function.version(number),
            None => mine(environment, function, caller),
        };
        deployed.map(Arc::clone).ok_or_else(|| {
            if let Some(number) = number {
                let message = format!("function `{name}` has no version {number}");
                Refusal::not_found("version_not_found", message)
            } else {
                let message =
                    format!("no version of function `{name}` was promoted yet; promote one, or name one");
                Refusal::new(Class::Conflict, "no_current_version", message)
            }
        })
    }

    async fn call(&self, visit: Visit, invocation: Invocation) -> Result<Outcome, Fault> {
        let most = visit.deployed.settings.limits.response_body;
        match invocation {
            Invocation::Request(request) => {
                let response = self.runner.serve(visit, Vec::new(), request.map(Body::Whole)).await?;
                let (head, body) = response.into_parts();
                let body = body.collect(most).await.map_err(|fault| Fault::BadAnswer(fault.to_string()))?;
                Ok(Outcome::Answered(http::Response::from_parts(head, body)))
            }
            Invocation::Event(event) => {
                self.runner.deliver(visit, Vec::new(), Occasion::Event(event)).await?;
                Ok(Outcome::Done)
            }
            Invocation::Tick { schedule, at } => {
                let tick = Occasion::Tick { schedule: schedule.into(), at };
                self.runner.deliver(visit, Vec::new(), tick).await?;
                Ok(Outcome::Done)
            }
        }
    }
}

/// The version that this caller gets.
fn mine<'f>(
    environment: &EnvironmentSnapshot,
    function: &'f CompiledFunction,
    caller: &Caller,
) -> Option<&'f Arc<Deployed>> {
    let context = || caller.context_without_headers(environment);
    function.choose(environment, caller, context).map(|(deployed, ..)| deployed)
}
