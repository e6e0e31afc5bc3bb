//! The server alone, as a program.
#![forbid(unsafe_code)]

mod standalone;

use std::process::ExitCode;

fn main() -> ExitCode {
    standalone::run(std::env::args().skip(1))
}
