//! The disk does not confirm a write: nothing of it is acknowledged, nothing more is written, and what was acknowledged
//! before and after survives even a power cut.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use flagbase_core::{
    catalog::{Catalog as _, CatalogError, DocumentId, Expect, Kind},
    ledger::Ledger as _,
};
use flagbase_store::{Sqlite, SqliteConfig};
use flagbase_testkit::{
    FixedClock,
    disk::{Disk, Operation},
};

use super::{
    found::read_back,
    power_cut::{acknowledged, assert_nothing_is_lost, child, write},
    writing::{DATABASE, event, put, write_and_tell},
};

/// Whether the process closes the database in order: `before` the disk breaks, or in the `end`.
const CLOSE: &str = "FLAGBASE_CRASH_CLOSE";

fn pause() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

async fn assert_refused(store: &Sqlite, key: &str) {
    let refused = store.commit(put(key, Expect::Absent, 1)).await;
    let Err(CatalogError::Unavailable(cause)) = refused else { unreachable!("{refused:?}") };
    let text = cause.to_string();
    assert!(text.contains("did not confirm") && text.contains("restart"), "{text}");
    let id = DocumentId::new(Kind::Flag, "default", key);
    assert_eq!(store.get(&id).await.unwrap(), None, "what was refused is not read");
}

/// The process whose disk breaks between its steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below"]
async fn doubting_process() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let close = std::env::var_os(CLOSE).unwrap();
    let open = || Sqlite::open(&SqliteConfig::new(&path), &FixedClock::default()).unwrap();
    let mut store = open();
    for number in 0..8 {
        write_and_tell(&store, &format!("before-{number}")).await;
    }
    let head = store.head().await.unwrap();
    if close == "before" {
        // With a short log, what is in doubt changes pages of which the log has no other copy.
        store.close().await;
        drop(store);
        store = open();
        store.note("first", Some(true.into())).await.unwrap();
    }
    println!("step written");

    pause();
    for number in 0..3 {
        assert_refused(&store, &format!("refused-{number}")).await;
        assert!(store.record(vec![event("refused")]).await.is_err());
    }
    assert_eq!(store.head().await.unwrap(), head, "reading goes on");
    assert_eq!(store.changes(0, u32::MAX).await.unwrap().len() as u64, head);
    println!("step refused");

    pause();
    assert_refused(&store, "refused-although-the-disk-is-well-again").await;
    if close == "end" {
        store.close().await;
    }
    println!("step done");
    std::process::exit(0);
}

async fn go_through(close: &str) {
    let (disk, place) = (Disk::new(), tempfile::tempdir().unwrap());
    let mut command = child(&disk, place.path(), "sync_error::doubting_process");
    let mut process = command.env(CLOSE, close).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut reach = |step: &str| assert!(lines.any(|line| line.ends_with(step)), "did not reach `{step}`");
    reach("step written");
    disk.break_syncs(true);
    input.write_all(b"\n").unwrap();
    reach("step refused");
    disk.break_syncs(false);
    input.write_all(b"\n").unwrap();
    reach("step done");
    assert!(process.wait().unwrap().success());

    // Started again, it goes on.
    write(&disk, place.path(), "after", 6);
    let operations = disk.operations();
    let said = acknowledged(&operations);
    assert!(said.len() >= 8 * 4 + 6 * 6 * 4 && !said.iter().any(|line| line.contains("refused")));
    assert_nothing_is_lost(&operations, places_after_the_error(&operations), 11).await;

    let found = read_back(&place.path().join("flagbase.db")).await;
    for line in &said {
        found.assert_holds(line).await;
    }
    found.assert_consistent().await;
}

/// Every moment of the next start, when what the kernel holds and what the disk holds differ.
fn places_after_the_error(operations: &[Operation]) -> Vec<usize> {
    let last = |wanted: fn(&Operation) -> bool| operations.iter().rposition(wanted).unwrap();
    let broke = last(|operation| matches!(operation, Operation::SyncFailed(_)));
    (broke..operations.len().min(broke + 120)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_the_disk_did_not_confirm_is_refused_and_nothing_is_lost_after_a_crash() {
    go_through("never").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_either_when_the_unconfirmed_write_was_one_of_the_first() {
    go_through("before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_either_when_the_process_stops_in_order() {
    go_through("end").await;
}
