//! Development tasks: `cargo xtask test`, `cargo xtask tidy`, `cargo xtask bench`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks on the terminal")]

mod bench;
mod guests;
mod microvm;
mod process;
mod servers;
mod suite;
mod tidy;
mod tool;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything a contributor runs, as one small program.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check: format, lints, house rules, licences, docs, tests, SDKs
    Test(suite::Options),
    /// Check the house rules that no compiler knows
    Tidy,
    /// Measure Flagbase beside its peers; without a name, list the benches
    Bench(bench::Options),
    /// Install the servers that tests and benches run against, and print where they are
    Servers(servers::Options),
    /// Build the guests that the tests of functions run, from their C sources
    Guests(guests::Options),
    /// Write the file system that microVMs boot from: the guest agent, and modules of a kernel
    GuestImage(microvm::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(options) => suite::run(&options),
        Task::Tidy => tidy::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Servers(options) => servers::run(&options),
        Task::Guests(options) => guests::run(&options),
        Task::GuestImage(options) => microvm::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
