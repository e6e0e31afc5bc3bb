//! What was acknowledged is there, and what is there is whole: after the process is killed, after the power is cut, after
//! the disk was full.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of it is a test, its helpers and its child process included")]

mod full;
mod kill;
mod power_cut;
mod writing;
