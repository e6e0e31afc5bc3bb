//! Speaks to the world: REST, streams and their OpenAPI description.
//!
//! Handlers extract, call a use case of `flagbase_core`, and translate; nothing else. What a use case refuses becomes
//! an HTTP problem in `problem.rs` and nowhere else.
#![forbid(unsafe_code)]

mod auth;
mod body;
mod buckets;
mod docs;
mod documents;
mod environments;
mod events;
mod flags;
mod functions;
mod guards;
mod health;
mod keys;
mod metrics;
mod overrides;
mod parameters;
mod problem;
mod request;
mod roles;
mod router;
mod routes;
mod segments;
mod users;
mod webhooks;

pub use buckets::is_transfer;
pub use functions::is_laborious;
pub use router::{ApiSettings, Services, openapi, router};
