//! Development only: fakes, one contract suite per port, a recording backend and a running server.
//!
//! Fakes pass the same suites as the real adapters, so that a test against a fake says something about
//! the product. Everything here panics freely: it runs in tests.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test ends at the first thing that is not as it should be"
)]

pub mod accounts;
pub mod backend;
pub mod blobs;
pub mod bus;
pub mod catalog;
pub mod clock;
pub mod compute;
pub mod contract;
pub mod deliveries;
pub mod disk;
pub mod external;
pub mod firecracker;
pub mod keyvalue;
pub mod ledger;
pub mod memory;
pub mod model;
pub mod objects;
pub mod occasions;
pub mod random;
pub mod server;
pub mod uploads;
pub mod vault;

pub use self::{
    backend::{Backend, Received},
    blobs::MemoryBlobs,
    bus::BusUnderTest,
    clock::FixedClock,
    compute::{ComputeUnderTest, FakeCompute},
    contract::Stores,
    external::ExternalServer,
    memory::{Memory, MemoryAccounts, MemoryCatalog, MemoryLedger},
    random::SeededRandom,
    server::{Reply, TestServer},
};
