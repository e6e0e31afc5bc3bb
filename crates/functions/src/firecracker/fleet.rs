//! The microVMs of all functions.

use std::{collections::HashMap, sync::Arc};

use flagbase_core::functions::{Digest, Fault, Visit};
use parking_lot::Mutex;

use super::{
    forge::Forge,
    home::Home,
    pool::{Evict, Lease, Pool},
};

/// Environment, function, version.
type Key = (Arc<str>, Arc<str>, u32);

/// A pool per version that is called.
pub(super) struct Fleet {
    forge: Arc<Forge>,
    home: Arc<dyn Home>,
    pools: Mutex<HashMap<Key, Arc<Pool>>>,
}

impl Fleet {
    pub(super) fn new(forge: Arc<Forge>, home: Arc<dyn Home>) -> Self {
        Self { forge, home, pools: Mutex::default() }
    }

    /// A microVM for the call `visit`.
    pub(super) async fn lease(&self, visit: &Visit) -> Result<Lease, Fault> {
        self.pool(visit).lease(visit, self).await
    }

    /// The pool of the version that is called. Whoever calls it with other settings gets other microVMs: variables and
    /// secrets cannot be changed in one that runs.
    fn pool(&self, visit: &Visit) -> Arc<Pool> {
        let deployed = &visit.deployed;
        let key = (Arc::clone(&deployed.environment), Arc::clone(&deployed.function), deployed.version);
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(&key)
            && (Arc::ptr_eq(pool.deployed(), deployed) || pool.deployed() == deployed)
        {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(Arc::clone(deployed), Arc::clone(&self.forge), Arc::clone(&self.home)));
        if let Some(old) = pools.insert(key, Arc::clone(&pool)) {
            old.retire();
        }
        pool
    }

    /// Looks after microVMs until the server stops.
    pub(super) async fn tend(self: Arc<Self>) {
        let config = Arc::clone(&self.forge.works.config);
        let stopping = self.forge.works.tasks.stopping();
        let mut tick = tokio::time::interval(config.tend);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stopping.cancelled() => return,
            }
            let pools: Vec<(Key, Arc<Pool>)> =
                self.pools.lock().iter().map(|(key, pool)| (key.clone(), Arc::clone(pool))).collect();
            for (key, pool) in pools {
                if !pool.tend(config.idle).await {
                    self.forget(&key, &pool);
                }
            }
        }
    }

    /// Ends microVMs of code that is not `alive`.
    pub(super) fn retain(&self, alive: &(dyn Fn(&Digest) -> bool + Send + Sync)) {
        self.pools.lock().retain(|_, pool| {
            let stays = alive(&pool.deployed().digest);
            if !stays {
                pool.retire();
            }
            stays
        });
    }

    /// Ends all of them.
    pub(super) fn stop(&self) {
        for (_, pool) in self.pools.lock().drain() {
            pool.retire();
        }
    }

    /// The pool of the one version that was called.
    #[cfg(test)]
    pub(super) fn only(&self) -> Arc<Pool> {
        let pools = self.pools.lock();
        assert_eq!(pools.len(), 1);
        Arc::clone(pools.values().next().unwrap())
    }

    fn forget(&self, key: &Key, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock();
        if pools.get(key).is_some_and(|other| Arc::ptr_eq(other, pool)) {
            pools.remove(key);
            // A call may have come between the look and now: what it started ends after it.
            pool.retire();
        }
    }
}

impl Evict for Fleet {
    fn evict(&self) -> bool {
        let pools: Vec<Arc<Pool>> = self.pools.lock().values().cloned().collect();
        pools.iter().any(|pool| pool.evict())
    }
}
