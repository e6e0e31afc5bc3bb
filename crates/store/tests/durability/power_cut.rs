//! The power fails at some moment, and what had not been synced is gone, or part of it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use flagbase_testkit::{
    SeededRandom,
    disk::{Disk, Operation, Platter},
};

use super::{
    found::read_back,
    writing::{DATABASE, ROUND, TIMES},
};

const FILE: &str = "flagbase.db";
/// Writes per task: enough for the log to be folded into the database and begun again.
const WRITES: u64 = 60;
const CUTS: u64 = 80;

/// A child process of this test binary, watched by `disk`, that runs `test` in `directory`.
pub(super) fn child(disk: &Disk, directory: &Path, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .current_dir(directory)
        .env(DATABASE, FILE)
        .envs(disk.environment());
    command
}

/// Writes until it has written enough, then ends without a word to the database.
pub(super) fn write(disk: &Disk, directory: &Path, round: &str, times: u64) {
    let mut command = child(disk, directory, "writing::writer_process");
    command.env(ROUND, round).env(TIMES, times.to_string()).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
}

/// What was acknowledged by these operations.
pub(super) fn acknowledged(operations: &[Operation]) -> Vec<String> {
    let said: String = operations
        .iter()
        .filter_map(
            |operation| if let Operation::Said(text) = operation { Some(text.as_str()) } else { None },
        )
        .collect();
    said.lines().filter_map(|line| Some(line.split_once("ack ")?.1.to_owned())).collect()
}

/// Cuts the power at these places of what happened, and looks each time whether everything is there that had been
/// acknowledged by then. Returns the sum of what was.
pub(super) async fn assert_nothing_is_lost(
    operations: &[Operation],
    mut places: Vec<usize>,
    seed: u64,
) -> usize {
    let random = SeededRandom::new(seed);
    places.push(operations.len());
    places.sort_unstable();
    let (mut platter, mut before, mut sum) = (Platter::default(), 0, 0);
    let directory = tempfile::tempdir().unwrap();
    for place in places {
        for operation in &operations[before..place] {
            platter.apply(operation);
        }
        before = place;
        // Nothing of what is under way gets there, or half of it, or nearly all.
        let odds = [0, 5, 9][usize::try_from(random.below(3)).unwrap()];
        platter.cut(&mut || random.below(10) < odds, directory.path());
        let said = acknowledged(&operations[..place]);
        let found = read_back(&directory.path().join(FILE)).await;
        for line in &said {
            found.assert_holds(line).await;
        }
        found.assert_consistent().await;
        found.store.close().await;
        sum += said.len();
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_a_power_cut_at_any_moment() {
    let (disk, place) = (Disk::new(), tempfile::tempdir().unwrap());
    write(&disk, place.path(), "1", WRITES);
    write(&disk, place.path(), "2", WRITES / 4);
    let operations = disk.operations();
    let folded = operations.iter().filter(|operation| matches!(operation, Operation::Sync(_))).count();
    let random = SeededRandom::new(7);
    let anywhere = |_| usize::try_from(random.below(operations.len() as u64)).unwrap();
    let sum = assert_nothing_is_lost(&operations, (0..CUTS).map(anywhere).collect(), 8).await;
    println!("{CUTS} power cuts, {folded} syncs, {sum} acknowledged writes looked for, none lost");
    assert!(acknowledged(&operations).len() as u64 > WRITES * 6, "the test did something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_a_write_and_its_acknowledgement_the_log_is_synced() {
    let (disk, place) = (Disk::new(), tempfile::tempdir().unwrap());
    write(&disk, place.path(), "1", 5);
    let operations = disk.operations();
    let log = operations.iter().find_map(|operation| match operation {
        Operation::Create { inode, name } if name.ends_with("-wal") => Some(*inode),
        _ => None,
    });
    let log = log.expect("there is a write-ahead log");
    let (mut synced_after_a_write, mut written, mut seen) = (false, false, 0);
    for operation in &operations {
        match operation {
            Operation::Write { inode, .. } if *inode == log => written = true,
            Operation::Sync(inode) if *inode == log => synced_after_a_write |= std::mem::take(&mut written),
            Operation::Said(text) if text.contains("ack ") => {
                seen += 1;
                assert!(synced_after_a_write, "acknowledged without a sync: {text}");
            }
            _ => {}
        }
    }
    assert_eq!(seen, 6 * 5 * 4);
}
