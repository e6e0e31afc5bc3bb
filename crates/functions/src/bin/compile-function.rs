//! Compiles what comes on its standard input: the child process of the WebAssembly driver, as a program of its own, for
//! tests and for whoever embeds this crate without a command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    flagbase_functions::compile_child(&arguments)
}
