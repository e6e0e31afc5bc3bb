//! A process that writes is killed, again and again.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use flagbase_testkit::SeededRandom;

use super::{
    found::read_back,
    writing::{DATABASE, ROUND},
};

const ROUNDS: u64 = 24;

/// Starts the process, kills it after `acknowledgements`, and returns all it had said by then.
fn run_and_kill(path: &Path, round: u64, acknowledgements: u64) -> Vec<String> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["writing::writer_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DATABASE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut line = String::new();
    // A line cut short by the kill has no end and says nothing.
    while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        // The test harness may have begun the line.
        if let Some((_, acknowledged)) = line.trim_end().split_once("ack ") {
            said.push(acknowledged.to_owned());
        }
        if said.len() as u64 == acknowledgements {
            process.kill().unwrap();
        }
        line.clear();
    }
    let status = process.wait().unwrap();
    assert!(!status.success(), "it was killed, it did not end");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path: Arc<Path> = directory.path().join("flagbase.db").into();
    let random = SeededRandom::new(9);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let (path_there, limit) = (Arc::clone(&path), 1 + random.below(150));
        let run = move || run_and_kill(&path_there, round, limit);
        let said = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(said.len() as u64 >= limit);
        acknowledged += said.len();

        let found = read_back(&path).await;
        for line in &said {
            found.assert_holds(line).await;
        }
        found.assert_consistent().await;
        found.store.close().await;
    }
    println!("{ROUNDS} kills, {acknowledged} acknowledged writes, none lost");
}
