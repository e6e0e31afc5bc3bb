//! The agent as its host meets it: as a process of this machine, and as the first process of a real guest.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail loudly, and say what they measured and skipped"
)]

mod client;
mod emulator;
mod guest;
mod local;
mod scenes;
