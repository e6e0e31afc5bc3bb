//! The server from outside, over raw sockets.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "core/access.rs"]
mod access;
#[path = "core/errors.rs"]
mod errors;
#[path = "core/groups.rs"]
mod groups;
#[path = "core/inside.rs"]
mod inside;
#[path = "core/lies.rs"]
mod lies;
#[path = "core/life.rs"]
mod life;
#[path = "core/messages.rs"]
mod messages;
#[path = "core/slow.rs"]
mod slow;
#[path = "core/wire.rs"]
mod wire;
