//! The same bytes go to this server and to the real one, and both have to say the same.
//!
//! The real server is found through the environment variable `NATS_SERVER`, which the checks of the repository set, or
//! where they install it. Everything is derived from a seed, so that what fails once fails again; `DIFFERENTIAL_SEED` sets
//! another one, to look further.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at the first thing that is not as it should be, and says what it leaves out"
)]

#[path = "differential/cases.rs"]
mod cases;
#[path = "differential/replies.rs"]
mod replies;
#[path = "differential/servers.rs"]
mod servers;

use cases::Cases;
use servers::{Ours, Real};

const SEED: u64 = 0x5eed_0001;
/// Sequences of sensible operations.
const SENSIBLE: usize = 600;
/// The same with bytes changed, lost, doubled and mixed up.
const MUTATED: usize = 1800;
/// Bytes out of the blue.
const RANDOM: usize = 400;

#[test]
fn both_servers_answer_the_same_to_sensible_clients() {
    compare(0, SENSIBLE, Cases::sensible);
}

#[test]
fn both_servers_answer_the_same_to_broken_clients() {
    compare(1, MUTATED, Cases::mutated);
}

#[test]
fn both_servers_answer_the_same_to_noise() {
    compare(2, RANDOM, Cases::random);
}

#[test]
fn both_servers_answer_the_same_however_the_bytes_are_cut() {
    compare_with(3, 60, Cases::sensible, 7);
}

fn compare(part: u64, count: usize, make: fn(&mut Cases) -> Vec<u8>) {
    compare_with(part, count, make, usize::MAX);
}

/// Sends `count` cases in pieces of `piece` bytes, and tells of all that were answered differently.
fn compare_with(part: u64, count: usize, make: fn(&mut Cases) -> Vec<u8>, piece: usize) {
    let Some(real) = Real::start() else { return };
    let seed = servers::seed().unwrap_or(SEED).wrapping_add(part);
    let ours = Ours::start();
    let mut cases = Cases::new(seed);
    let mut different = Vec::new();
    for number in 0..count {
        let case = make(&mut cases);
        let expected = replies::normal(&servers::talk(real.port, &case, piece));
        let answered = replies::normal(&servers::talk(ours.port(), &case, piece));
        if expected != answered {
            different.push(format!(
                "case {number}\n  sent     {}\n  expected {}\n  answered {}",
                case.escape_ascii(),
                expected.join(" | "),
                answered.join(" | "),
            ));
        }
    }
    let shown = different.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{} of {count} cases differ, seed {seed:#x}\n{shown}", different.len());
}
