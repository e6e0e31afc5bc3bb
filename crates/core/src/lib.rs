//! The product: domain types, use cases, ports and the snapshot the request path reads.
//!
//! This crate knows no driver, no socket and no HTTP server. Ports (`Catalog`, `Accounts`, `Ledger`,
//! `EventBus`) live beside the use cases that need them; adapters live in other crates.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod blobs;
pub mod buckets;
pub mod caller;
pub mod catalog;
pub mod clock;
mod documents;
pub mod environments;
pub mod events;
pub mod feed;
pub mod flags;
pub mod functions;
pub mod gateway;
pub mod guards;
pub mod identity;
pub mod keys;
pub mod keyvalue;
pub mod ledger;
pub mod metrics;
pub mod overrides;
pub mod permissions;
pub mod random;
pub mod refusal;
pub mod relay;
pub mod roles;
pub mod segments;
pub mod shape;
pub mod snapshot;
pub mod tasks;
pub mod trace;
pub mod webhooks;

pub use flagbase_engine as engine;
