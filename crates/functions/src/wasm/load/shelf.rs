//! Loaded code, found again by its key. Whoever asks first loads, and everybody who asks meanwhile waits for that.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use flagbase_core::{
    functions::{Digest, Fault},
    tasks::Tasks,
};
use hashbrown::HashMap;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Key, Loaded, Loader};

type Outcome = Option<Result<Arc<Loaded>, Fault>>;

/// Loaded code, at most so much of it.
pub(crate) struct Shelf {
    loader: Arc<Loader>,
    tasks: Tasks,
    most: usize,
    clock: AtomicU64,
    slots: RwLock<HashMap<Key, Slot>>,
}

struct Slot {
    outcome: watch::Receiver<Outcome>,
    used: AtomicU64,
}

impl Shelf {
    /// Holds at most `most`.
    pub(crate) fn new(loader: Arc<Loader>, tasks: Tasks, most: usize) -> Self {
        Self { loader, tasks, most: most.max(1), clock: AtomicU64::new(0), slots: RwLock::default() }
    }

    /// The code under `key`, loaded. Loading goes on when whoever asked goes away.
    pub(crate) async fn get(self: &Arc<Self>, key: Key) -> Result<Arc<Loaded>, Fault> {
        let mut outcome = match self.find(key) {
            Ok(found) => return found,
            Err(Some(loading)) => loading,
            Err(None) => self.begin(key),
        };
        let ended = outcome.wait_for(Option::is_some).await;
        match ended.ok().and_then(|outcome| outcome.clone()) {
            Some(outcome) => outcome,
            None => Err(Fault::Unstartable("loading it was stopped".to_owned())),
        }
    }

    fn find(&self, key: Key) -> Result<Result<Arc<Loaded>, Fault>, Option<watch::Receiver<Outcome>>> {
        let slots = self.slots.read();
        let Some(slot) = slots.get(&key) else { return Err(None) };
        slot.used.store(self.clock.fetch_add(1, Relaxed), Relaxed);
        match &*slot.outcome.borrow() {
            Some(outcome) => Ok(outcome.clone()),
            None => Err(Some(slot.outcome.clone())),
        }
    }

    fn begin(self: &Arc<Self>, key: Key) -> watch::Receiver<Outcome> {
        let mut slots = self.slots.write();
        if let Some(slot) = slots.get(&key) {
            return slot.outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        let used = AtomicU64::new(self.clock.fetch_add(1, Relaxed));
        slots.insert(key, Slot { outcome: outcome.clone(), used });
        make_room(&mut slots, self.most);
        let this = Arc::clone(self);
        self.tasks.spawn("function-load", async move {
            let loaded = this.loader.load(key).await.map(Arc::new);
            if loaded.is_err() {
                // Whoever comes next tries again.
                this.slots.write().remove(&key);
            }
            let _ = tell.send(Some(loaded));
        });
        outcome
    }

    /// Puts what was just loaded in its place.
    pub(crate) fn put(&self, key: Key, loaded: Loaded) -> Arc<Loaded> {
        let loaded = Arc::new(loaded);
        let (_, outcome) = watch::channel(Some(Ok(Arc::clone(&loaded))));
        let used = AtomicU64::new(self.clock.fetch_add(1, Relaxed));
        let mut slots = self.slots.write();
        slots.insert(key, Slot { outcome, used });
        make_room(&mut slots, self.most);
        loaded
    }

    /// Drops what is not `alive` any more.
    pub(crate) fn retain(&self, alive: &(dyn Fn(&Digest) -> bool + Send + Sync)) {
        self.slots.write().retain(|key, _| alive(&key.digest));
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.slots.write().clear();
    }
}

fn make_room(slots: &mut HashMap<Key, Slot>, most: usize) {
    while slots.len() > most {
        let ready = slots.iter().filter(|(_, slot)| slot.outcome.borrow().is_some());
        let Some(oldest) = ready.min_by_key(|(_, slot)| slot.used.load(Relaxed)).map(|(key, _)| *key) else {
            return;
        };
        slots.remove(&oldest);
    }
}
