//! The port behind which code runs, and what passes through it.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;

use super::{Artifact, Digest, Grants, Limits, Prepared, Settings, Shape};
use crate::{caller::Caller, catalog::Actor, trace::TraceParent};

/// Runs code. Every implementation passes `testkit::compute`.
///
/// Dropping the future of any call stops the work behind it.
#[async_trait]
pub trait Compute: Send + Sync {
    /// `wasm` or `firecracker`.
    fn driver(&self) -> &'static str;

    /// Recognises, checks and builds what was uploaded, so that its first call starts at once. `tell` hears a line for
    /// people at each step.
    ///
    /// # Errors
    /// Says what is wrong with the code: an import that is not granted, a limit of size or of work to build it.
    async fn prepare(
        &self,
        artifact: &Artifact,
        terms: (&Grants, &Limits),
        tell: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError>;

    /// Answers a request. Its target is the path below the function.
    async fn serve(&self, visit: Visit, request: http::Request<Body>) -> Result<http::Response<Body>, Fault>;

    /// Hands over an event or a moment of a schedule. Done when it returns `Ok`.
    async fn deliver(&self, visit: Visit, occasion: Occasion) -> Result<(), Fault>;

    /// Forgets everything kept for code that is not `alive` any more, in memory and on disk.
    async fn retain(&self, alive: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync));

    /// Stops what still runs, and gives everything back.
    async fn stop(&self);

    /// What it did since it was opened, for whoever watches it, beside calls: those are counted by whoever asks for them.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}

/// A total that only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Small letters and `_`, such as `microvm_boots`.
    pub name: &'static str,
    /// What is counted, for people.
    pub help: &'static str,
    /// How many there were.
    pub total: u64,
}

/// A step of preparing code, as people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is being done, such as `compiling`.
    pub doing: String,
    /// How far it is, 0 to 100; `None` when that cannot be said.
    pub percent: Option<u8>,
}

/// Why code cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is something wrong with the code; the sentence says what, and what to do.
    #[error("{0}")]
    Rejected(String),
    /// Building it takes more than is allowed: size, time or memory. The sentence says which.
    #[error("{0}")]
    TooMuch(String),
    /// What builds it is not available now.
    #[error("the code cannot be built now")]
    Unavailable(#[source] crate::catalog::BoxError),
}

/// One version with what it runs with. Part of the snapshot; immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The environment's key.
    pub environment: Arc<str>,
    /// The function's name.
    pub function: Arc<str>,
    /// The version's number, from 1.
    pub version: u32,
    /// Its code.
    pub digest: Digest,
    /// What kind of code it is.
    pub shape: Shape,
    /// What it runs with.
    pub settings: Arc<Settings>,
}

/// One call: of what, by whom, on which occasion.
#[derive(Debug, Clone)]
pub struct Visit {
    /// What runs.
    pub deployed: Arc<Deployed>,
    /// Who is calling; nobody for schedules.
    pub caller: Arc<Caller>,
    /// Unique; goes with everything that is logged.
    pub id: Arc<str>,
    /// The trace it belongs to.
    pub trace: Option<TraceParent>,
    /// Attributes that rules see beside the caller, such as declared headers: name and value.
    pub attributes: Arc<[(Box<str>, Box<str>)]>,
}

impl Visit {
    /// Who the function is in the change log.
    pub fn actor(&self) -> Actor {
        let name = &self.deployed.function;
        Actor { kind: "function".into(), id: Arc::clone(name), name: Arc::clone(name) }
    }
}

/// Why there is a call without a request.
#[derive(Debug, Clone)]
pub enum Occasion {
    /// Something happened.
    Event(Event),
    /// A schedule came to a moment.
    Tick {
        /// As it is written in the trigger.
        schedule: Arc<str>,
        /// The moment that was meant.
        at: Timestamp,
    },
}

/// Something that happened, as a function is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same each time it is offered.
    pub id: String,
    /// The subject it was published on.
    pub subject: String,
    /// The type of the `CloudEvent`; empty for messages of programs.
    pub kind: String,
    /// When.
    pub time: Timestamp,
    /// Media type of the data; may be empty.
    pub content_type: String,
    /// The data.
    pub data: Bytes,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// A body: there at once, or coming in parts.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// All of it.
    Whole(Bytes),
    /// In parts, and how many bytes it will be, when that is known.
    Stream(BodyStream, Option<u64>),
}

/// The parts of a body.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyFault>> + Send>>;

/// Why a body ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Whoever sends it stopped, or sent what cannot be read.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// It pauses for too long.
    #[error("the body does not arrive in time")]
    TooSlow,
    /// It is larger than so many bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_, length) => write!(f, "Stream({length:?})"),
        }
    }
}

impl Body {
    /// Its parts.
    pub fn into_stream(self) -> BodyStream {
        match self {
            Self::Empty => Box::pin(futures_util::stream::empty()),
            Self::Whole(bytes) => Box::pin(futures_util::stream::iter([Ok(bytes)])),
            Self::Stream(parts, _) => parts,
        }
    }

    /// All of it, when it is at most `most` bytes.
    pub async fn collect(self, most: u64) -> Result<Bytes, BodyFault> {
        use futures_util::StreamExt as _;
        let mut parts = match self {
            Self::Empty => return Ok(Bytes::new()),
            Self::Whole(bytes) if bytes.len() as u64 > most => return Err(BodyFault::TooLarge(most)),
            Self::Whole(bytes) => return Ok(bytes),
            Self::Stream(_, Some(length)) if length > most => return Err(BodyFault::TooLarge(most)),
            Self::Stream(parts, _) => parts,
        };
        let mut whole = Vec::new();
        while let Some(part) = parts.next().await {
            let part = part?;
            if (whole.len() + part.len()) as u64 > most {
                return Err(BodyFault::TooLarge(most));
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }
}

/// Why a call came to nothing. Each has a stable code, and one status at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It took longer than it may.
    #[error("the function did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It needed more than it may have: the sentence says of what, and how much there is.
    #[error("the function ran into its limit: {0}")]
    LimitReached(String),
    /// It broke: the sentence says how, without anything from its memory.
    #[error("the function failed: {0}")]
    Trapped(String),
    /// It said itself that it did not succeed.
    #[error("the function reported an error: {0}")]
    Reported(String),
    /// It answered with something that is no answer.
    #[error("the function's answer cannot be used: {0}")]
    BadAnswer(String),
    /// The body of the request: too large, broken off, too slow.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// So many calls are under way, and so many are waiting.
    #[error("the function has {running} calls under way and {waiting} waiting; try again later")]
    Busy {
        /// Under way.
        running: u32,
        /// Waiting.
        waiting: u32,
    },
    /// The node has no room for another instance now.
    #[error("there is no room for another call on this node; try again later")]
    Exhausted,
    /// This version does not serve what it is asked for, such as events.
    #[error("version {version} of the function does not serve {what}")]
    NotServed {
        /// The version's number.
        version: u32,
        /// `requests`, `events`, `schedules`.
        what: &'static str,
    },
    /// The code cannot be loaded now: the sentence says why.
    #[error("the function cannot be started: {0}")]
    Unstartable(String),
}

impl Fault {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "function_timeout",
            Self::LimitReached(_) => "function_limit",
            Self::Trapped(_) => "function_failed",
            Self::Reported(_) => "function_error",
            Self::BadAnswer(_) => "function_bad_answer",
            Self::Body(BodyFault::TooLarge(_)) => "body_too_large",
            Self::Body(BodyFault::TooSlow) => "request_timeout",
            Self::Body(BodyFault::Broken(_)) => "bad_body",
            Self::Busy { .. } => "function_busy",
            Self::Exhausted => "functions_exhausted",
            Self::NotServed { .. } => "function_not_served",
            Self::Unstartable(_) => "function_unavailable",
        }
    }

    /// How it broke, or what it reported, in words that may be its own.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Trapped(detail) | Self::Reported(detail) => {
                Some(detail.as_str()).filter(|it| !it.is_empty())
            }
            _ => None,
        }
    }

    /// Whether the code is to blame, so that a guard should know.
    pub const fn is_of_code(&self) -> bool {
        matches!(
            self,
            Self::TimedOut(_)
                | Self::LimitReached(_)
                | Self::Trapped(_)
                | Self::Reported(_)
                | Self::BadAnswer(_)
                | Self::NotServed { .. }
        )
    }
}
