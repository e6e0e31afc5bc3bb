//! The power fails at some moment, and what had not been synced is gone, or part of it.

use std::process::{Command, Stdio};

use flagbase_testkit::{
    SeededRandom,
    disk::{Disk, Operation, Platter},
};

use super::writing::{BASE, ROUND, TIMES, assert_whole};

const CUTS: u64 = 60;

fn acknowledged(operations: &[Operation]) -> Vec<String> {
    let said = operations.iter().filter_map(|operation| match operation {
        Operation::Said(text) => Some(text.as_str()),
        _ => None,
    });
    let said: String = said.collect();
    said.lines().filter_map(|line| Some(line.split_once("ack ")?.1.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_blob_survives_a_power_cut_at_any_moment_and_none_is_half() {
    let (disk, place) = (Disk::new(), tempfile::tempdir().unwrap());
    for round in ["1", "2"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["writing::writer_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .current_dir(place.path())
            .envs(disk.environment())
            .env(BASE, "blobs")
            .env(ROUND, round)
            .env(TIMES, "12")
            .stdout(Stdio::null());
        assert!(command.status().unwrap().success());
    }
    let operations = disk.operations();
    assert_eq!(acknowledged(&operations).len(), 2 * 3 * 12, "the test did something");
    let random = SeededRandom::new(7);
    let anywhere = |_| usize::try_from(random.below(operations.len() as u64)).unwrap();
    let mut places: Vec<_> = (0..CUTS).map(anywhere).collect();
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
        assert_whole(&directory.path().join("blobs"), &said).await;
        sum += said.len();
    }
    println!("{CUTS} power cuts, {sum} acknowledged blobs looked for, none lost");
}
