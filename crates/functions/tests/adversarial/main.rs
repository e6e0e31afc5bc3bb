//! Guests of every shape, good and bad: what they are answered, what stops them, and what is left afterwards.
#![cfg(feature = "wasm")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod commands;
mod components;
mod drafts;
mod growth;
mod limits;
mod modules;
mod neighbours;
mod outside;
mod own;
mod powerless;
mod reach;
mod soak;
mod world;
