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
    // A child of the server, which compiles: it has nothing to do with the command line that people use.
    if std::env::args_os().nth(1).is_some_and(|command| command == app::functions::COMPILE) {
        let arguments = std::env::args_os().skip(2).filter_map(|argument| argument.into_string().ok());
        return flagbase_functions::compile_child(&arguments.collect::<Vec<_>>());
    }
    cli::main()
}
