//! The WebAssembly driver with guests of our own interfaces, written as text.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod building;
mod calls;
mod contract;
mod guests;
#[expect(dead_code, reason = "what stands behind a host is changed by the bench only")]
mod host;
mod orphans;
mod place;
mod scripts;
mod web;
