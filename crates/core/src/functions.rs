//! Functions: code that people bring, run for a request, an event or a moment of a schedule.
//!
//! [`Compute`] is the port behind which code runs.

mod code;
mod compute;
mod settings;
pub mod vault;

pub use code::{Artifact, Digest, Prepared, Serves, Shape};
pub use compute::{
    Body, BodyFault, BodyStream, Compute, Deployed, Event, Fault, Occasion, PrepareError, Step, Visit,
};
pub use settings::{Grants, Limits, Settings};
