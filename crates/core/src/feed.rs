//! The feed: the one way configuration changes, and the one way a node learns of it.
//!
//! Whoever changes something commits to the change log first; then this node applies what was logged to its
//! snapshot before it answers, so that an edit acts on the next request. Other nodes, streams and the bus are only
//! woken: they read the log themselves, by revision.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    caller::Caller,
    catalog::{Actor, Catalog, CatalogError, Change, Commit, Draft, Kind, Revision},
    clock::Clock,
    permissions::Permission,
    random::Random,
    refusal::Refusal,
    snapshot::{Snapshot, Snapshots},
    trace::{self, TraceParent},
};

/// Changes read at once when catching up.
const BATCH: u32 = 1000;

/// Commits changes and keeps this node's snapshot in step with the change log.
pub struct Feed {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    snapshots: Arc<Snapshots>,
    epochs: Arc<Epochs>,
    head: watch::Sender<Revision>,
    /// Held while a change is checked against the snapshot and committed, so that two edits that are fine alone and
    /// wrong together (a prerequisite cycle) cannot pass each other.
    editing: Mutex<()>,
    applying: Mutex<()>,
}

/// Proof that nobody else on this node edits; see [`Feed::edit`].
pub struct Edit<'a> {
    feed: &'a Feed,
    _turn: MutexGuard<'a, ()>,
}

impl Feed {
    /// Loads the snapshot and is ready to serve.
    pub async fn open(
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, CatalogError> {
        let snapshot = Snapshot::load(catalog.as_ref()).await?;
        let (head, _) = watch::channel(snapshot.revision);
        Ok(Self {
            catalog,
            clock,
            random,
            snapshots: Arc::new(Snapshots::new(snapshot)),
            epochs: Arc::default(),
            head,
            editing: Mutex::default(),
            applying: Mutex::default(),
        })
    }

    /// The snapshot the request path reads.
    pub fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// The present snapshot, when `caller` may do `permission` in `environment`.
    pub fn permitted(
        &self,
        caller: &Caller,
        environment: &str,
        permission: Permission,
    ) -> Result<Arc<Snapshot>, Refusal> {
        let snapshot = self.snapshots.get();
        caller.require(&snapshot, snapshot.require_environment(environment)?, permission)?;
        Ok(snapshot)
    }

    /// What cached callers are checked against.
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }

    /// The catalog behind the feed, for reading.
    pub fn catalog(&self) -> &dyn Catalog {
        self.catalog.as_ref()
    }

    /// The clock changes are stamped with.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The source of identifiers and secrets.
    pub fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    /// Wakes whenever the log has grown; carries this node's revision.
    pub fn follow(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// A commit with this moment, fresh event ids, and the trace of the request that asks for it.
    pub fn draft(&self, actor: Actor, reason: &str, mut drafts: Vec<Draft>) -> Commit {
        for draft in &mut drafts {
            draft.detail = trace::within(std::mem::take(&mut draft.detail));
        }
        let events: Vec<Uuid> = drafts.iter().map(|_| self.random.uuid7(self.clock.as_ref())).collect();
        Commit { drafts, actor, reason: reason.to_owned(), at: self.clock.now(), events }
    }

    /// Waits for this node's turn to edit.
    pub async fn edit(&self) -> Edit<'_> {
        Edit { feed: self, _turn: self.editing.lock().await }
    }

    /// Applies what was just logged; for writers (such as `Accounts`) that log by themselves.
    ///
    /// The caller must not give up half way: see [`Feed::finish`].
    pub async fn applied(&self, changes: Vec<Change>) -> Result<Vec<Change>, CatalogError> {
        if !changes.is_empty() {
            self.catch_up().await?;
        }
        Ok(changes)
    }

    /// Reads the log from this node's revision on and applies it. Called after every commit, on every wake-up from
    /// outside, and by a slow poll.
    pub async fn catch_up(&self) -> Result<Revision, CatalogError> {
        let _turn = self.applying.lock().await;
        loop {
            let current = self.snapshots.get();
            let changes = self.catalog.changes(current.revision, BATCH).await?;
            let Some(last) = changes.last() else {
                return Ok(current.revision);
            };
            let revision = last.revision;
            let redefined = changes.iter().any(|change| change.id.kind == Kind::Environment);
            let next = if redefined {
                Snapshot::load(self.catalog.as_ref()).await?
            } else {
                changes.iter().fold(Snapshot::clone(&current), Snapshot::apply)
            };
            let revision = next.revision.max(revision);
            self.snapshots.swap(next);
            for change in &changes {
                self.epochs.forget(change);
            }
            self.head.send_replace(revision);
        }
    }

    /// Reads the log again and again until `stop`: other processes (another node, `flagbase admin`) write to it too, and
    /// whatever woke this node may have been lost. A store that does not answer is told once and tried again.
    pub async fn keep_up(&self, every: Duration, stop: CancellationToken) {
        let mut failing = false;
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            match self.catch_up().await {
                Ok(_) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "cannot read the change log: this node serves what it knows");
                }
                Err(_) => {}
            }
        }
    }

    /// Runs a write to its end even when whoever asked for it goes away (a closed connection), because a change that
    /// is logged must also be applied.
    pub async fn finish<T: Send + 'static>(write: impl Future<Output = T> + Send + 'static) -> Option<T> {
        #[expect(
            clippy::disallowed_methods,
            reason = "awaited at once; it outlives only its cancelled caller"
        )]
        tokio::spawn(TraceParent::scope(TraceParent::current(), write)).await.ok()
    }
}

impl Edit<'_> {
    /// Commits, applies, and only then returns the changes as logged.
    pub async fn commit(
        &self,
        actor: Actor,
        reason: &str,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Change>, CatalogError> {
        let changes = self.feed.catalog.commit(self.feed.draft(actor, reason, drafts)).await?;
        self.feed.applied(changes).await
    }
}

/// Counters that make cached callers stale: one moves when its user or session changes. What is cached of a function goes
/// by the counter of its name.
///
/// A cached caller carries the stamp taken *before* its user was read; it is good while the stamp has not moved.
/// Several users share a counter, which costs a needless re-verification now and then, never a stale permit.
#[derive(Debug)]
pub struct Epochs {
    counters: Box<[AtomicU64]>,
}

impl Default for Epochs {
    fn default() -> Self {
        Self { counters: (0..1024).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Epochs {
    /// The present stamp of a user and session.
    pub fn stamp(&self, user: &str, session: &str) -> u64 {
        self.counter(user).load(Ordering::Acquire) + self.counter(session).load(Ordering::Acquire)
    }

    /// The present stamp of a function.
    pub fn of_function(&self, name: &str) -> u64 {
        self.counter(name).load(Ordering::Acquire)
    }

    /// The present stamp of an object in a bucket of this name.
    pub fn of_object(&self, bucket: &str, key: &str) -> u64 {
        self.counter(bucket).load(Ordering::Acquire) + self.counter(key).load(Ordering::Acquire)
    }

    fn forget(&self, change: &Change) {
        // What happened to an object is a notice of its bucket; a change of the bucket itself is seen by its revision.
        if change.id.kind == Kind::Bucket {
            let object = change.detail.get("key").and_then(serde_json::Value::as_str);
            self.counter(object.unwrap_or(&change.id.key)).fetch_add(1, Ordering::AcqRel);
        }
        if matches!(change.id.kind, Kind::User | Kind::Session | Kind::Function) {
            self.counter(&change.id.key).fetch_add(1, Ordering::AcqRel);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length, which is not zero")]
    fn counter(&self, key: &str) -> &AtomicU64 {
        // FNV-1a: short keys, no need for more.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let at = usize::try_from(hash % self.counters.len() as u64).unwrap_or(0);
        &self.counters[at]
    }
}
