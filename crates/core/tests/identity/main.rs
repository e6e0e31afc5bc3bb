//! Identity through its use cases, on the fakes: each fault of the first Flagbase that concerned it is a test here.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod access_keys;
mod administering;
mod house;
mod invitations;
mod keys;
mod limits;
mod memory;
mod registering;
mod roles;
mod setup;
mod slow;
