//! What every `Compute` does.
//!
//! An adapter brings guests that behave as [`Guest`] says, in whatever form it runs. A case whose guest an adapter does
//! not have says so, and passes.

#![expect(missing_docs, reason = "the name of a case says what it is about")]

mod cases;
mod fake;
mod faults;

use std::{any::Any, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::{
    blobs::Blobs,
    caller::Caller,
    functions::{
        Artifact, Body, Compute, Deployed, Event, Fault, Grants, Limits, PrepareError, Prepared, Settings,
        Shape, Visit,
    },
};

pub use self::{cases::*, fake::FakeCompute, faults::*};

/// How a guest behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guest {
    /// Answers any request with 200, the header `x-guest: echo`, and a body: the method, a blank, the target, a line
    /// feed, the body of the request. Serves requests and nothing else.
    Echo,
    /// Answers with the status that its target says: `/503`.
    Status,
    /// Runs for ever.
    Loop,
    /// Breaks.
    Trap,
    /// Answers with a body of 4 MiB.
    Flood,
    /// Touches 512 MiB of memory, and answers with 200 if it gets them.
    Memory,
    /// Answers with the number of requests that this instance has answered, as decimal text.
    Count,
    /// Takes events whose data is `ok`; for others it reports an error, and that is the data.
    Events,
    /// Runs on schedules.
    Ticks,
    /// Imports the interface of buckets, or what stands for it.
    Ungranted,
    /// Is no code.
    Garbage,
}

/// Where guests come from.
type Guests = Box<dyn Fn(Guest) -> Option<Artifact> + Send + Sync>;

/// A fresh adapter to test.
pub struct ComputeUnderTest {
    pub compute: Arc<dyn Compute>,
    /// Where the adapter reads code from.
    pub blobs: Arc<dyn Blobs>,
    guests: Guests,
    /// How long a call may take that is meant to take too long.
    pub patience: Duration,
    _keep: Box<dyn Any + Send + Sync>,
}

impl ComputeUnderTest {
    /// An adapter that reads code from `blobs`; `keep` (a temporary directory, say) lives as long as it is tested.
    pub fn new(
        compute: Arc<dyn Compute>,
        blobs: Arc<dyn Blobs>,
        guests: impl Fn(Guest) -> Option<Artifact> + Send + Sync + 'static,
        keep: impl Any + Send + Sync,
    ) -> Self {
        let patience = Duration::from_millis(300);
        Self { compute, blobs, guests: Box::new(guests), patience, _keep: Box::new(keep) }
    }

    /// The guest's code; `None`, loudly, when the adapter has none.
    #[expect(
        clippy::print_stderr,
        reason = "whoever reads the output of the tests must see what was not tested"
    )]
    pub fn artifact(&self, guest: Guest) -> Option<Artifact> {
        let artifact = (self.guests)(guest);
        if artifact.is_none() {
            eprintln!("skipped: `{}` has no guest that behaves as {guest:?}", self.compute.driver());
        }
        artifact
    }

    pub async fn prepare(&self, artifact: &Artifact, settings: &Settings) -> Result<Prepared, PrepareError> {
        self.store(artifact.digest.hex().as_str(), artifact.bytes.clone()).await;
        self.compute.prepare(artifact, (&settings.grants, &settings.limits), &|_| {}).await
    }

    async fn store(&self, digits: &str, bytes: Bytes) {
        self.blobs.put(&format!("functions/{digits}"), crate::blobs::whole(bytes)).await.unwrap();
    }

    /// Deploys a guest with `settings`.
    pub async fn deploy(&self, guest: Guest, settings: Settings) -> Option<Arc<Deployed>> {
        let artifact = self.artifact(guest)?;
        let prepared = self.prepare(&artifact, &settings).await.unwrap();
        Some(deployed(&artifact, prepared.shape, settings))
    }

    /// What a request of `method` and `target` is answered: status and body.
    pub async fn ask(
        &self,
        deployed: &Arc<Deployed>,
        (method, target): (&str, &str),
        body: Body,
    ) -> Result<(u16, Bytes), Fault> {
        let request = http::Request::builder().method(method).uri(target).body(body).unwrap();
        let response = self.compute.serve(visit(deployed), request).await?;
        let (head, body) = response.into_parts();
        let whole = body.collect(64 << 20).await.map_err(|fault| Fault::BadAnswer(fault.to_string()))?;
        Ok((head.status.as_u16(), whole))
    }

    /// The answer to `GET /`, as text.
    pub async fn get(&self, deployed: &Arc<Deployed>) -> Result<String, Fault> {
        let (_, body) = self.ask(deployed, ("GET", "/"), Body::Empty).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

impl fmt::Debug for ComputeUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComputeUnderTest").field("driver", &self.compute.driver()).finish_non_exhaustive()
    }
}

/// Version 1 of a function called `guest` in the environment `default`.
pub fn deployed(artifact: &Artifact, shape: Shape, settings: Settings) -> Arc<Deployed> {
    Arc::new(Deployed {
        environment: "default".into(),
        function: "guest".into(),
        version: 1,
        digest: artifact.digest,
        shape,
        settings: Arc::new(settings),
    })
}

/// Nobody's visit.
pub fn visit(deployed: &Arc<Deployed>) -> Visit {
    Visit {
        deployed: Arc::clone(deployed),
        caller: Caller::nobody(),
        id: "call-1".into(),
        trace: None,
        attributes: Arc::default(),
    }
}

/// What a function gets that says nothing: flags, and a store.
pub fn common() -> Settings {
    let grants = Grants { flags: true, keyvalue: vec!["default".into()], ..Grants::default() };
    Settings { grants, ..Settings::default() }
}

/// The same with limits of its own.
pub fn limited(limits: Limits) -> Settings {
    Settings { limits, ..common() }
}

/// An event with this data.
pub fn event(data: &str) -> Event {
    Event {
        id: "event-1".into(),
        subject: "orders.created".into(),
        kind: String::new(),
        time: jiff::Timestamp::UNIX_EPOCH,
        content_type: "text/plain".into(),
        data: Bytes::copy_from_slice(data.as_bytes()),
        attempt: 1,
    }
}

/// One test per case of this suite. `$fresh` names an `async fn() -> ComputeUnderTest`.
#[macro_export]
macro_rules! compute_cases {
    ($fresh:path) => {
        $crate::contract_cases!(
            $fresh,
            compute,
            [
                what_is_no_code_is_rejected_in_a_sentence,
                what_is_imported_and_not_granted_is_rejected_by_name,
                what_is_granted_may_be_imported,
                preparing_says_what_code_serves,
                preparing_again_gives_the_same,
                a_request_is_answered,
                a_body_in_parts_arrives_whole,
                the_status_is_that_of_the_function,
                nothing_is_left_for_the_next_instance,
                events_are_taken_or_what_is_wrong_is_reported,
                moments_of_a_schedule_are_run,
                what_is_not_served_is_said,
                what_was_forgotten_is_loaded_again,
                code_that_is_gone_or_altered_is_never_run,
                many_are_answered_at_once,
                an_endless_loop_ends_in_time,
                a_trap_is_a_fault_and_no_more,
                a_request_that_is_too_large_is_refused,
                a_request_that_breaks_off_is_told_so,
                an_answer_that_is_too_large_is_cut_off,
                memory_beyond_the_limit_is_not_given,
                a_call_that_nobody_waits_for_is_stopped,
                neighbours_of_a_loop_are_answered,
            ]
        );
    };
}
