//! The first process inside a microVM: it prepares the machine, starts a function and carries calls to it.
//!
//! The host talks to it over HTTP/1.1 on a vsock port ([`protocol`] says what is asked and answered); tests on any
//! machine talk to it over a Unix socket. What a machine boots from is written here too ([`pack`], [`drive`]), so
//! that the one who writes and the one who reads cannot disagree. Blocking threads, no runtime: it shall be small.
#![forbid(unsafe_code)]

mod agent;
pub mod archive;
mod children;
mod clock;
pub mod drive;
mod function;
mod http;
pub mod kernel;
pub mod launch;
mod logs;
pub mod machine;
pub mod manifest;
pub mod pack;
pub mod protocol;
pub mod server;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use agent::{Agent, Settings};
