//! Groups, refusals, panics and disks that are full.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{Sender, channel},
};

use flagbase_core::ledger::LedgerError;
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};
use tokio::task::JoinSet;

use super::*;
use crate::sqlite::connect;

struct Bench {
    directory: TempDir,
    writer: Arc<Writer>,
}

/// A writer on a table of numbers. A number whose `parent` is missing makes the COMMIT fail, not the insert.
fn bench() -> Bench {
    let directory = tempdir().unwrap();
    let path = directory.path().join("test.db");
    connect::create(&path).unwrap();
    let connection = connect::writer(&path).unwrap();
    let table = "CREATE TABLE numbers (n INTEGER PRIMARY KEY, text, \
         parent REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)";
    connection.execute_batch(table).unwrap();
    Bench { directory, writer: Arc::new(Writer::start(connection).unwrap()) }
}

impl Bench {
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Stop<LedgerError>> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.writer.write(work).await
    }

    /// What another connection sees.
    fn stored(&self) -> Vec<i64> {
        let connection = connect::reader(&self.directory.path().join("test.db")).unwrap();
        let mut statement = connection.prepare("SELECT n FROM numbers ORDER BY n").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Keeps the writer busy until the returned sender is used, so that what comes next is one group.
    async fn hold(&self) -> Sender<()> {
        let (release, held) = channel::<()>();
        let (started, begun) = oneshot::channel();
        let writer = Arc::clone(&self.writer);
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            let work = move |_: &Connection| {
                started.send(()).unwrap();
                held.recv().unwrap();
                Ok::<_, Stop<LedgerError>>(())
            };
            writer.write(work).await
        });
        begun.await.unwrap();
        waiting.detach_all();
        release
    }
}

fn insert(connection: &Connection, n: i64) -> Result<i64, Stop<LedgerError>> {
    connection.execute("INSERT INTO numbers (n) VALUES (?1)", [n])?;
    Ok(n)
}

/// Writes a number that no COMMIT accepts.
fn orphan(connection: &Connection, n: i64) -> Result<i64, Stop<LedgerError>> {
    connection.execute("INSERT INTO numbers (n, parent) VALUES (?1, -1)", [n])?;
    Ok(n)
}

fn refusal() -> Stop<LedgerError> {
    Stop::Refused(LedgerError::Corrupt("refused on purpose".into()))
}

#[tokio::test]
async fn an_answer_comes_after_the_commit() {
    let bench = bench();
    assert_eq!(bench.write(|connection| insert(connection, 7)).await.unwrap(), 7);
    assert_eq!(bench.stored(), [7]);
}

#[tokio::test]
async fn what_queued_up_is_committed_together() {
    let bench = bench();
    let release = bench.hold().await;
    let mut writers = JoinSet::new();
    let ran = Arc::new(AtomicUsize::new(0));
    for n in (1_i64..).take(GROUP + 1) {
        let (writer, ran) = (Arc::clone(&bench.writer), Arc::clone(&ran));
        let work = move |connection: &Connection| match ran.fetch_add(1, Ordering::SeqCst) {
            0 => orphan(connection, n),
            _ => insert(connection, n),
        };
        writers.spawn(async move { writer.write(work).await });
    }
    while bench.writer.queue.lock().as_ref().unwrap().capacity() > QUEUE - GROUP - 1 {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    // The first to run leaves an orphan, so that the whole first group fails; the next one is another group.
    let outcomes = writers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), GROUP);
    assert_eq!(bench.stored().len(), 1);
}

#[tokio::test]
async fn a_job_that_refuses_takes_back_only_its_own_writes() {
    let bench = bench();
    let release = bench.hold().await;
    let good = bench.write(|connection| insert(connection, 1));
    let bad = bench.write(|connection| {
        insert(connection, 2)?;
        Err::<(), _>(refusal())
    });
    let failed = bench.write(|connection| {
        insert(connection, 3)?;
        insert(connection, 1)
    });
    let last = bench.write(|connection| insert(connection, 4));
    let release = async { release.send(()).unwrap() };
    let (good, bad, failed, last, ()) = tokio::join!(good, bad, failed, last, release);
    assert_eq!((good.unwrap(), last.unwrap()), (1, 4));
    assert!(matches!(bad, Err(LedgerError::Corrupt(_))), "{bad:?}");
    assert!(matches!(failed, Err(LedgerError::Unavailable(_))), "{failed:?}");
    assert_eq!(bench.stored(), [1, 4]);
}

#[tokio::test]
async fn a_job_that_panics_neither_ends_the_thread_nor_leaves_a_trace() {
    let bench = bench();
    let panicked = bench
        .write(|connection| {
            insert(connection, 1)?;
            if connection.is_autocommit() {
                return Ok(());
            }
            panic!("on purpose");
        })
        .await;
    assert!(panicked.unwrap_err().to_string().contains("unavailable"));
    bench.write(|connection| insert(connection, 2)).await.unwrap();
    assert_eq!(bench.stored(), [2]);
}

#[tokio::test]
async fn a_failed_commit_is_told_to_everybody() {
    let bench = bench();
    let release = bench.hold().await;
    let bad = bench.write(|connection| orphan(connection, 1));
    let good = bench.write(|connection| insert(connection, 2));
    let refused = bench.write(|_| Err::<(), _>(refusal()));
    let release = async { release.send(()).unwrap() };
    let (bad, good, refused, ()) = tokio::join!(bad, good, refused, release);
    for outcome in [bad.map(drop), good.map(drop), refused] {
        assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{outcome:?}");
    }
    assert_eq!(bench.stored(), [0_i64; 0]);
    bench.write(|connection| insert(connection, 3)).await.unwrap();
    assert_eq!(bench.stored(), [3]);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space_again() {
    let bench = bench();
    let fill = |n: i64| {
        move |connection: &Connection| {
            let sql = "INSERT INTO numbers (n, text) VALUES (?1, zeroblob(100000))";
            connection.execute(sql, [n])?;
            Ok(n)
        }
    };
    let limit = |pages: i64| {
        move |connection: &Connection| {
            connection.pragma_update(None, "max_page_count", pages)?;
            Ok(())
        }
    };
    bench.write(fill(1)).await.unwrap();
    bench.write(limit(40)).await.unwrap();

    let refused = bench.write(fill(2)).await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(source.contains("the disk is full"), "{source}");
    assert!(bench.write(fill(3)).await.is_err());
    assert_eq!(bench.stored(), [1], "reading goes on");

    bench.write(limit(4000)).await.unwrap();
    bench.write(fill(4)).await.unwrap();
    assert_eq!(bench.stored(), [1, 4]);
}

#[tokio::test]
async fn a_full_disk_fails_the_whole_group_and_says_so() {
    let bench = bench();
    bench.write(|connection| Ok(connection.pragma_update(None, "max_page_count", 10)?)).await.unwrap();
    let release = bench.hold().await;
    let small = bench.write(|connection| insert(connection, 1));
    let large = bench.write(|connection| {
        connection.execute("INSERT INTO numbers (n, text) VALUES (2, zeroblob(900000))", [])?;
        Ok(())
    });
    let release = async { release.send(()).unwrap() };
    let (small, large, ()) = tokio::join!(small, large, release);
    for error in [small.map(drop).unwrap_err(), large.unwrap_err()] {
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("the disk is full"), "{source}");
    }
    assert_eq!(bench.stored(), [0_i64; 0]);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_any_more() {
    let bench = bench();
    let sync_failed = || Stop::<LedgerError>::Fault(Fault::Unconfirmed("fsync".to_owned()));
    let doubtful = bench.write(move |_| Err::<(), _>(sync_failed())).await;
    assert!(doubtful.is_err());
    let later = bench.write(|connection| insert(connection, 1)).await.unwrap_err();
    let source = std::error::Error::source(&later).unwrap().to_string();
    assert!(source.contains("restart flagbase"), "{source}");
    assert_eq!(bench.stored(), [0_i64; 0]);
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_done_all_the_same() {
    let bench = bench();
    let release = bench.hold().await;
    {
        let abandoned = std::pin::pin!(bench.write(|connection| insert(connection, 1)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(abandoned.poll(&mut context).is_pending());
    }
    release.send(()).unwrap();
    bench.write(|connection| insert(connection, 2)).await.unwrap();
    assert_eq!(bench.stored(), [1, 2]);
}

#[tokio::test]
async fn a_stopped_writer_finishes_what_is_queued_and_refuses_the_rest() {
    let bench = bench();
    let release = bench.hold().await;
    let queued = bench.write(|connection| insert(connection, 1));
    let writer = Arc::clone(&bench.writer);
    let stop = async {
        release.send(()).unwrap();
        tokio::task::spawn_blocking(move || writer.stop()).await.unwrap();
    };
    let (queued, ()) = tokio::join!(queued, stop);
    assert_eq!(queued.unwrap(), 1);
    let refused = bench.write(|connection| insert(connection, 2)).await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(source, "the store is closed");
    assert_eq!(bench.stored(), [1]);
}
