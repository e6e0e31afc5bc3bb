//! The one thread that writes.
//!
//! Jobs queue up while a group is being committed; the next group takes up to [`GROUP`] of them in one
//! transaction, each in a savepoint of its own, and pays for one fsync. Nobody is answered before COMMIT
//! returned, not even a job that refused: its reason may be another job's write.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;

/// Jobs in one transaction, at most.
const GROUP: usize = 64;
/// Jobs that may wait; more make their senders wait.
const QUEUE: usize = 1024;

/// Why a job wrote nothing: it refused, with the port's error, or the driver failed.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    Refused(E),
    Fault(Fault),
}

impl<E: From<Fault>> Stop<E> {
    pub(crate) fn into_error(self) -> E {
        match self {
            Self::Refused(error) => error,
            Self::Fault(fault) => fault.into(),
        }
    }
}

impl<E, F: Into<Fault>> From<F> for Stop<E> {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// Hands jobs to the thread. Dropping it runs what is queued, then ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let work = Loop { connection, jobs, doubt: None };
        let thread = std::thread::Builder::new().name("flagbase-write".to_owned()).spawn(|| work.run())?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in a transaction and returns once it is on disk. When the caller goes away, the work is
    /// still done.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, Stop<E>> + Send + 'static,
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { work: Some(work), result: None, reply });
        let queue = self.queue.lock().clone();
        match queue {
            Some(queue) => queue.send(job).await.map_err(|_| Fault::Closed)?,
            None => return Err(Fault::Closed.into()),
        }
        answer.await.unwrap_or_else(|_| Err(Fault::Abandoned.into()))
    }

    /// Refuses further jobs, runs what is queued and ends the thread. Blocks until then.
    pub(crate) fn stop(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer thread ended by a panic");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A piece of work whose waiter is answered later.
trait Job: Send {
    /// Does the work; whether to keep what it wrote.
    fn run(&mut self, connection: &Connection) -> Verdict;
    /// Answers the waiter: `Ok` when the group is on disk.
    fn answer(self: Box<Self>, outcome: Result<(), Fault>);
}

/// What a job says of what it wrote.
enum Verdict {
    Keep,
    Undo,
    /// Undo, because the driver failed.
    Failed(Fault),
}

struct Pending<T, E, F> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Pending<T, E, F>
where
    F: FnOnce(&Connection) -> Result<T, Stop<E>> + Send,
    T: Send,
    E: From<Fault> + Send,
{
    fn run(&mut self, connection: &Connection) -> Verdict {
        let Some(work) = self.work.take() else {
            return Verdict::Undo;
        };
        let result = work(connection);
        let verdict = match &result {
            Ok(_) => Verdict::Keep,
            Err(Stop::Refused(_)) => Verdict::Undo,
            Err(Stop::Fault(fault)) => Verdict::Failed(fault.clone()),
        };
        self.result = Some(result.map_err(Stop::into_error));
        verdict
    }

    fn answer(self: Box<Self>, outcome: Result<(), Fault>) {
        let result = match outcome {
            Ok(()) => self.result.unwrap_or_else(|| Err(Fault::Abandoned.into())),
            Err(fault) => Err(fault.into()),
        };
        // The waiter may have gone away; its write is kept all the same.
        drop(self.reply.send(result));
    }
}

struct Loop {
    connection: Connection,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    /// Set by a failed fsync. What was written since the last good one may or may not be on disk, and a
    /// second fsync that succeeds proves nothing, so that only a restart (which re-reads the file) helps.
    doubt: Option<Fault>,
}

impl Loop {
    fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(job) = self.jobs.try_recv()
            {
                group.push(job);
            }
            let outcome = self.commit(&mut group);
            if let Err(fault) = &outcome {
                tracing::error!(jobs = group.len(), error = %fault, "nothing was written");
            }
            for job in group {
                job.answer(outcome.clone());
            }
        }
        if let Err(error) = self.connection.execute_batch("PRAGMA optimize") {
            tracing::debug!(%error, "the database was closed without optimizing it");
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        if let Some(doubt) = &self.doubt {
            return Err(doubt.clone());
        }
        let outcome = self.transaction(group);
        if let Err(fault) = &outcome {
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "cannot roll back");
            }
            self.doubt = fault.unconfirmed().then(|| fault.clone());
        }
        outcome
    }

    fn transaction(&self, group: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        self.statement("BEGIN IMMEDIATE")?;
        for job in group {
            self.savepoint(job.as_mut())?;
        }
        self.statement("COMMIT")
    }

    fn savepoint(&self, job: &mut dyn Job) -> Result<(), Fault> {
        self.statement("SAVEPOINT job")?;
        let verdict = catch_unwind(AssertUnwindSafe(|| job.run(&self.connection)))
            .unwrap_or(Verdict::Failed(Fault::Abandoned));
        // On some errors (a full disk among them) SQLite rolls the whole transaction back by itself; and after
        // an error of the disk nothing that this transaction did is worth committing.
        match verdict {
            Verdict::Keep if !self.connection.is_autocommit() => self.statement("RELEASE job"),
            Verdict::Failed(fault) if fault.of_the_disk() || self.connection.is_autocommit() => Err(fault),
            Verdict::Keep | Verdict::Undo | Verdict::Failed(_) => {
                self.statement("ROLLBACK TO job")?;
                self.statement("RELEASE job")
            }
        }
    }

    fn statement(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
