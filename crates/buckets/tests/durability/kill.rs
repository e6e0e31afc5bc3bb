//! A process that writes is killed, again and again.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use flagbase_testkit::SeededRandom;

use super::writing::{BASE, ROUND, assert_whole};

const ROUNDS: u64 = 16;

/// Starts the process, kills it after `acknowledgements`, and returns all it had said by then.
fn run_and_kill(base: &Path, round: u64, acknowledgements: u64) -> Vec<String> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["writing::writer_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(BASE, base)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let (mut said, mut line) = (Vec::new(), String::new());
    // A line cut short by the kill has no end and says nothing.
    while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        if let Some((_, acknowledged)) = line.trim_end().split_once("ack ") {
            said.push(acknowledged.to_owned());
        }
        if said.len() as u64 == acknowledgements {
            process.kill().unwrap();
        }
        line.clear();
    }
    assert!(!process.wait().unwrap().success(), "it was killed, it did not end");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_blob_survives_being_killed_and_none_is_half() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("blobs");
    let random = SeededRandom::new(9);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let (there, limit) = (base.clone(), 1 + random.below(60));
        let run = move || run_and_kill(&there, round, limit);
        let said = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(said.len() as u64 >= limit);
        acknowledged += said.len();
        assert_whole(&base, &said).await;
    }
    println!("{ROUNDS} kills, {acknowledged} acknowledged blobs, none lost");
}
