//! Moves traffic: the built-in reverse proxy.
//!
//! [`Server`] accepts connections, checks every request, and either proxies it or hands it to a fallback service (the
//! API). What becomes of a request is decided by [`flagbase_core::gateway::decide`] and nowhere else.
#![forbid(unsafe_code)]

mod body;
mod callers;
mod front;
mod functions;
mod gateway;
mod headers;
mod health;
mod hygiene;
mod inspect;
mod pool;
mod problem;
mod proxy;
mod server;
mod sites;
mod workers;

pub use callers::Callers;
pub use front::Fallback;
pub use gateway::{Gateway, Parts};
pub use server::{Limits, Server};
pub use workers::Workers;
