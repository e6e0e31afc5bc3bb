//! Functions: code that people bring, run for a request, an event or a moment of a schedule.
//!
//! [`Compute`] is the port behind which code runs.

mod code;
mod compiled;
mod compute;
mod definition;
mod grants;
mod host;
mod life;
mod logs;
mod runner;
mod settings;
pub mod triggers;
pub mod vault;

pub use code::{Artifact, Digest, Prepared, Serves, Shape};
pub use compiled::{CompiledFunction, named_version};
pub use compute::{
    Body, BodyFault, BodyStream, Compute, Deployed, Event, Fault, Figure, Occasion, PrepareError, Step, Visit,
};
pub use definition::{Definition, MOST_VERSIONS, On, Trigger, Version, is_name as is_function_name};
pub use grants::OutboundRule;
pub use host::{Bucket, Evaluator, GuestObjects, GuestSecrets, Host, HostError, HostParts, Store};
pub(crate) use host::{CODE, code_name};
pub use life::{
    Deployment, Download, Functions, FunctionsParts, Invocation, Invoked, Outcome, Upload, not_found, view,
};
pub use logs::{Level, LogLine, Logs, LogsAsked, Stream};
pub(crate) use runner::ShownCalls;
pub use runner::{Calls, Runner, RunnerParts, Under, VersionCalls};
pub use settings::{Grants, Limits, Settings};
