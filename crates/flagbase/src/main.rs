//! `flagbase`: the one binary. Configuration, command line, wiring, lifecycle.
#![forbid(unsafe_code)]

mod app;
mod cli;
mod config;
mod exit;
mod output;
mod place;
mod private_file;
mod progress;
mod signing;

use std::process::ExitCode;

/// Many small, short-lived allocations on many threads: what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
