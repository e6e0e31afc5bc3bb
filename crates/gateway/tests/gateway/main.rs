//! The gateway over real sockets, in front of backends that record what they see.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests end at the first thing that is not as it should be"
)]

mod code;
mod corpus;
mod deciding;
mod failing;
mod functions;
mod hygiene;
mod raw;
mod sites;
mod streaming;
mod support;
mod upstreams;
mod websocket;
