//! What is left when the driver's process is killed, and what becomes of it.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::*;
use crate::firecracker::process;

/// Where the driver that is to be killed works.
const DOOMED: &str = "FIRECRACKER_DOOMED";

/// A process of its own: opens the driver, takes one call, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test that starts this process says so by the environment")]
async fn a_driver_that_waits_to_be_killed() {
    let Ok(directory) = env::var(DOOMED) else { return assert_ne!(DOOMED, "") };
    let place = Place {
        config: Config { pool: 1, ..config(Path::new(&directory)) },
        directory: TempDir::new().unwrap(),
        home: Arc::default(),
    };
    let driver = place.open().await;
    let hello = place.deploy(&driver, "", patient()).await;
    get(&driver, &hello, "/").await.unwrap();
    let pool = driver.fleet.only();
    eventually(|| pool.counts() == (1, 1)).await;
    println!("\nup");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn microvms_of_a_driver_that_was_killed_are_ended_at_the_next_start() {
    let place = Place::new();
    let mut doomed = Command::new(env::current_exe().unwrap())
        .args(["firecracker::tests::crash::a_driver_that_waits_to_be_killed", "--exact", "--nocapture"])
        .env(DOOMED, place.directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(doomed.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "up"), "it did not come up");
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    let ids = ids(&place);
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| process::started_with(id).len() == 1), "they outlive it");

    let driver = place.open().await;
    assert_eq!(driver.swept(), Swept { orphans: 2, killed: 2, left: 0 });
    eventually(|| ids.iter().all(|id| process::started_with(id).is_empty())).await;
    assert_eq!(place.places(), 0);
    assert_eq!(fs::read_dir(place.config.cgroups.join("flagbase")).unwrap().count(), 0);
    let hello = place.deploy(&driver, "", patient()).await;
    assert_eq!(get(&driver, &hello, "/").await.unwrap().1, "hello");
    assert_eq!(driver.figures().boots(), 0, "the snapshot of the first driver is still good");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_driver_leaves_the_microvms_of_the_first_alone() {
    let place = Place::new();
    let first = place.open().await;
    let hello = place.deploy(&first, "", patient()).await;
    get(&first, &hello, "/").await.unwrap();
    let second = place.open().await;
    assert_eq!(second.swept(), Swept::default());
    assert_eq!(get(&first, &hello, "/count").await.unwrap().1, "2");
    second.stop().await;
    first.stop().await;
}

/// The microVMs that are there.
fn ids(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.directory.path().join("jails/firecracker")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
