//! The gateway's decisions: which route a request takes, who may take it, and to which upstream.
//!
//! [`decide`] is pure and synchronous: the built-in proxy calls it in process, other proxies reach it through their own
//! doors, and all of them get the same answer. [`decide_function`] does the same for functions that are called by name.
//! [`Routes`] is how routes are read and changed.

mod addresses;
mod buckets;
mod compiled;
mod config;
mod decide;
mod duration;
mod forwarded;
mod functions;
mod parse;
mod path;
mod preview;
mod route;
mod routes;
mod table;
mod upstream;

pub use addresses::{AddressPolicy, Denied};
pub use buckets::{BucketTarget, ToBucket};
pub use compiled::{Answer, CompiledRoute, Target, Upstream};
pub use config::{GatewayConfig, TrustedProxy};
use decide::context as decide_context;
pub use decide::{Admission, Choice, Decision, Head, ToFunction, decide};
pub(crate) use duration::show as show_duration;
pub use forwarded::Forwarded;
pub use functions::{Chosen, FunctionDecision, FunctionTarget, Said, Why, decide_function, visit_attributes};
pub(crate) use parse::{Reader, require as read_require};
pub use path::{PathFault, clean};
pub use preview::{Preview, Question};
pub use route::{
    HeaderMatch, HealthCheck, MatchValue, OffAnswer, PathMatch, Require, Route, StripPrefix, Timeouts,
};
pub(crate) use routes::nearest;
pub use routes::{Registered, Routes, view};
pub use table::{Found, RouteTable};
pub use upstream::{Scheme, UpstreamUrl};
