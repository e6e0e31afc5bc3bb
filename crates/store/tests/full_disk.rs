//! The disk takes no more, then it does again.
//!
//! A limit on the size of files plays the full disk: it needs no privileges and meets SQLite in the same
//! place, the write call. (`SQLITE_FULL` itself is tested in the writer's unit tests.)
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of it is a test, its helpers included")]

use std::{
    error::Error as _,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use flagbase_core::{
    catalog::Catalog as _,
    ledger::{Ledger as _, LedgerError},
};
use flagbase_store::{Sqlite, SqliteConfig};
use flagbase_testkit::FixedClock;
use serde_json::{Value, json};

const DATABASE: &str = "FLAGBASE_FULL_DATABASE";

async fn write(store: &Sqlite, number: u64) -> Result<Option<Value>, LedgerError> {
    let body = json!({ "number": number, "text": "x".repeat(50_000) });
    store.note(&number.to_string(), Some(body)).await
}

async fn is_stored(store: &Sqlite, number: u64) -> bool {
    store.note(&number.to_string(), None).await.unwrap().is_some()
}

/// The process that meets the limit; it tells its steps on stdout and goes on when it is sent a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started under a limit by the test below"]
async fn limited_process() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let store = Sqlite::open(&SqliteConfig::new(path), &FixedClock::default()).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match write(&store, acknowledged).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    println!("step refused: {error}: {}", error.source().unwrap());

    assert!(write(&store, acknowledged).await.is_err(), "still full");
    assert!(!is_stored(&store, acknowledged).await);
    for number in 0..acknowledged {
        assert!(is_stored(&store, number).await, "reading goes on");
    }
    assert_eq!(store.scan(&mut |_| {}).await.unwrap(), 0);
    println!("step readable: {acknowledged}");

    std::io::stdin().read_line(&mut String::new()).unwrap();
    for number in acknowledged..acknowledged + 20 {
        write(&store, number).await.unwrap();
    }
    store.check().await.unwrap();
    store.close().await;
    println!("step recovered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_clearly_while_reads_go_on_and_writing_resumes_with_space() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flagbase.db");
    // The signal that comes with the limit would end the process; a full disk sends none.
    let mut process = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 3000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["limited_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DATABASE, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut step = || {
        lines
            // The test harness may have begun the line.
            .find_map(|line| Some(line.split_once("step ")?.1.to_owned()))
            .unwrap_or_default()
    };

    let refused = step();
    assert!(refused.contains("the disk refused") || refused.contains("is full"), "{refused}");
    let readable = step();
    let acknowledged: u64 = readable.strip_prefix("readable: ").unwrap().parse().unwrap();
    assert!(acknowledged > 10);

    let pid = process.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
    assert!(raised.unwrap().success());
    process.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(step(), "recovered");
    assert!(process.wait().unwrap().success());

    let store = Sqlite::open(&SqliteConfig::new(&path), &FixedClock::default()).unwrap();
    for number in 0..acknowledged + 20 {
        assert!(is_stored(&store, number).await, "{number} of {acknowledged}");
    }
}
