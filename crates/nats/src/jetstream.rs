//! Streams that keep messages, consumers that read them at their own pace, and what answers for them under `$JS.API.`.
//!
//! One task owns all of it. Messages and requests queue up for it; it takes what is there, changes its indexes,
//! commits all changes together, and only then answers. So nothing is acknowledged that is not kept, many publishers
//! share one commit, and whoever publishes never waits for the disk.
//!
//! ```text
//! receivers ─► queue ─► api, publish, acks ─► commit ─► answers ─► deliveries
//!                            │                   │
//!                     indexes in memory        Store
//! ```

mod acks;
mod api;
mod config;
mod consumer;
mod consumers;
mod delivery;
mod engine;
mod error;
mod gets;
mod intake;
mod log;
mod memory;
mod publish;
mod pulls;
mod requests;
mod store;
mod stream;
mod streams;
mod wire;

pub use memory::Memory;
pub use store::{Change, Record, Store, StoreError, StoredStream, Summary};

pub(crate) use engine::start;
