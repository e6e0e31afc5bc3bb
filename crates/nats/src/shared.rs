//! What all connections of a server share.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    Options, ambient,
    client::Client,
    reason::Reason,
    router::Router,
    stats::ServerStats,
    subscription::Sub,
    trie::{Matches, Trie},
    workers::Workers,
};

/// Ended connections that monitoring can still show.
const REMEMBERED: usize = 256;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    pub(crate) stats: ServerStats,
    /// Every connection, by its number.
    pub(crate) clients: RwLock<HashMap<u64, Arc<Client>>>,
    /// Connections that have ended, the latest last.
    pub(crate) ended: Mutex<VecDeque<Arc<Client>>>,
    pub(crate) workers: Workers,
    /// Ends listeners and everything else that is not a client.
    pub(crate) stop: CancellationToken,
    /// Routes of messages that are published from within the process.
    pub(crate) inside: Mutex<Router>,
    /// Told of every new subscription.
    pub(crate) subscribed: Notify,
    subscriptions: RwLock<Trie>,
    /// Raised with every change of the subscriptions, so that routes can be kept.
    generation: AtomicU64,
    last_id: AtomicU64,
    lame_duck: AtomicBool,
}

impl Shared {
    pub(crate) fn new(options: Options, address: SocketAddr, workers: Workers) -> Self {
        Self {
            options,
            id: ambient::identifier('N', 56),
            address,
            stats: ServerStats::new(),
            clients: RwLock::default(),
            ended: Mutex::default(),
            workers,
            stop: CancellationToken::new(),
            inside: Mutex::new(Router::new(None)),
            subscribed: Notify::new(),
            subscriptions: RwLock::default(),
            generation: AtomicU64::new(1),
            last_id: AtomicU64::new(0),
            lame_duck: AtomicBool::new(false),
        }
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the server is about to end and takes no new clients.
    pub(crate) fn is_lame_duck(&self) -> bool {
        self.lame_duck.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lame_duck(&self) {
        self.lame_duck.store(true, Ordering::Relaxed);
    }

    /// Changes with every subscription that comes or goes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn subscribe(&self, sub: &Arc<Sub>) {
        let mut subscriptions = self.subscriptions.write();
        subscriptions.insert(sub);
        self.generation.fetch_add(1, Ordering::Release);
        drop(subscriptions);
        self.subscribed.notify_one();
    }

    pub(crate) fn unsubscribe(&self, sub: &Arc<Sub>) {
        let mut subscriptions = self.subscriptions.write();
        if subscriptions.remove(sub) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Who gets what is published to a literal subject.
    pub(crate) fn matches(&self, subject: &[u8]) -> Matches {
        self.subscriptions.read().matches(subject)
    }

    /// How many subscriptions there are.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscriptions.read().len()
    }

    /// Adds a connection, unless there are too many.
    pub(crate) fn join(&self, client: &Arc<Client>) -> bool {
        let mut clients = self.clients.write();
        let max = self.options.limits.max_connections;
        if max != 0 && clients.len() >= max {
            return false;
        }
        clients.insert(client.id, Arc::clone(client));
        self.stats.connections.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Takes a connection out with all that it subscribed to.
    pub(crate) fn leave(&self, client: &Arc<Client>, reason: Reason) {
        client.out.close(reason);
        client.out.clear();
        let subs = std::mem::take(&mut *client.subs.lock());
        if !subs.is_empty() {
            let mut subscriptions = self.subscriptions.write();
            for sub in subs.values() {
                sub.end();
                subscriptions.remove(sub);
            }
            self.generation.fetch_add(1, Ordering::Release);
        }
        if reason.is_slow() {
            self.stats.slow_consumers.fetch_add(1, Ordering::Relaxed);
            let (peer, reason) = (client.origin.peer, reason.name());
            tracing::warn!(client = client.id, %peer, reason, "gave up a slow consumer");
        }
        self.stats.stale_connections.fetch_add(u64::from(reason == Reason::Stale), Ordering::Relaxed);
        let _ = client.ended.set(reason);
        if self.clients.write().remove(&client.id).is_some() {
            let mut ended = self.ended.lock();
            if ended.len() >= REMEMBERED {
                ended.pop_front();
            }
            ended.push_back(Arc::clone(client));
        }
    }

    /// All connections of this moment.
    pub(crate) fn everyone(&self) -> Vec<Arc<Client>> {
        self.clients.read().values().cloned().collect()
    }
}
