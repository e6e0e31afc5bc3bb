//! What functions cost: one JSON line per figure, with subject, unit, value and the limit it is held to.
//!
//! `cargo run --profile dist -p flagbase-functions --features wasm --example bench_functions -- 5`
//!
//! Times are processor time of this process, by the kernel's account; only starts are by the wall clock, too.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench ends at the first thing that is not as it should be"
)]

mod cases;
#[path = "../../tests/wasm/guests.rs"]
#[expect(dead_code, reason = "the contract's guests are for tests")]
mod guests;
#[path = "../../tests/wasm/host.rs"]
#[expect(dead_code, reason = "nobody reads what guests log here")]
mod host;

use std::process::ExitCode;

/// What makes this program the compiler of its own parent.
const COMPILE: &str = "compile-function";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == COMPILE) {
        return flagbase_functions::compile_child(&arguments);
    }
    let rounds = arguments.get(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..rounds {
            cases::all().await;
        }
        cases::thousand().await;
    });
    ExitCode::SUCCESS
}
