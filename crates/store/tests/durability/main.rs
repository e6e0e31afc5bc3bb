//! Whatever was acknowledged is there: after the process is killed, after the power is cut, after the disk failed to
//! confirm a write.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "all of it is a test, its helpers and its child process included"
)]

mod found;
mod kill;
#[cfg(target_os = "linux")]
mod power_cut;
#[cfg(target_os = "linux")]
mod sync_error;
mod writing;
