//! What waits for functions, in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use flagbase_core::{
    catalog::DocumentId,
    functions::{
        Occasion,
        triggers::{
            Enqueued, MOST_DEAD, MOST_WAITING, NewOccasion, Occasions, OccasionsError, Queued, Settled, Which,
        },
    },
};
use jiff::Timestamp;

use super::Memory;

/// What waits for functions.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    last: u64,
    all: BTreeMap<u64, Entry>,
    /// Function, trigger and name of each of them.
    names: BTreeSet<(DocumentId, String, String)>,
    taken: BTreeMap<DocumentId, BTreeMap<String, Timestamp>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    dead: bool,
    queued: Queued,
}

impl Waiting {
    /// Forgets what belonged to a document that is gone.
    pub(super) fn forget(&mut self, gone: &DocumentId) {
        self.all.retain(|_, entry| entry.queued.function != *gone);
        self.names.retain(|(function, ..)| function != gone);
        self.taken.remove(gone);
    }

    fn add(&mut self, new: NewOccasion, sum: &mut Enqueued) {
        let known = (new.function.clone(), new.trigger.clone(), new.id.clone());
        if self.names.contains(&known) {
            return;
        }
        // Counting is slow, and needless while there are few.
        if new.dead.is_none()
            && self.all.len() >= MOST_WAITING as usize
            && self.all.values().filter(|entry| !entry.dead && entry.queued.function == new.function).count()
                >= MOST_WAITING as usize
        {
            sum.refused += 1;
            return;
        }
        self.names.insert(known);
        sum.new += 1;
        self.last += 1;
        let NewOccasion { function, trigger, id, occasion, attempts, at, dead } = new;
        let (name, is_dead) = (id, dead.is_some());
        let queued = Queued {
            id: self.last,
            function: function.clone(),
            trigger,
            occasion,
            attempts,
            tries: 0,
            created_at: at,
            due_at: at,
            fault: dead,
        };
        self.all.insert(self.last, Entry { name, dead: is_dead, queued });
        if is_dead {
            self.forget_oldest(&function);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(Entry { name, queued, .. }) = self.all.remove(&id) {
            self.names.remove(&(queued.function, queued.trigger, name));
        }
    }

    fn settle(&mut self, id: u64, settled: Settled) {
        let Some(entry) = self.all.get_mut(&id) else { return };
        let (dead, due_at, fault) = match settled {
            Settled::Done => return self.remove(id),
            Settled::Later(at, fault) => (false, at, fault),
            Settled::Dead(at, fault) => (true, at, fault),
        };
        entry.dead = dead;
        entry.queued.tries += 1;
        entry.queued.due_at = due_at;
        entry.queued.fault = Some(fault);
        let function = entry.queued.function.clone();
        self.forget_oldest(&function);
    }

    fn forget_oldest(&mut self, function: &DocumentId) {
        let dead: Vec<_> = self.dead(function, Which::All);
        let many = dead.len().saturating_sub(MOST_DEAD as usize);
        for id in dead.into_iter().take(many) {
            self.remove(id);
        }
    }

    /// Ids of dead letters, oldest first.
    fn dead(&self, function: &DocumentId, which: Which) -> Vec<u64> {
        let meant = |id: u64| matches!(which, Which::All) || which == Which::One(id);
        let dead = self
            .all
            .iter()
            .filter(|(id, entry)| entry.dead && entry.queued.function == *function && meant(**id));
        dead.map(|(id, _)| *id).collect()
    }
}

/// As it is offered next.
fn offered(queued: &Queued) -> Queued {
    let mut offered = queued.clone();
    if let Occasion::Event(event) = &mut offered.occasion {
        event.attempt = queued.tries + 1;
    }
    offered
}

#[async_trait]
impl Occasions for Memory {
    async fn enqueue(&self, occasions: Vec<NewOccasion>) -> Result<Enqueued, OccasionsError> {
        let (mut state, mut sum) = (self.state.lock(), Enqueued::default());
        for occasion in occasions {
            state.waiting.add(occasion, &mut sum);
        }
        Ok(sum)
    }

    async fn waiting(&self, wants: Vec<(DocumentId, u32)>) -> Result<Vec<Queued>, OccasionsError> {
        let state = self.state.lock();
        let mut found = Vec::new();
        for (function, limit) in wants {
            let all = state.waiting.all.values();
            let of_it = all.filter(|entry| !entry.dead && entry.queued.function == function);
            let mut of_it: Vec<_> = of_it.map(|entry| offered(&entry.queued)).collect();
            of_it.sort_by_key(|queued| (queued.due_at, queued.id));
            found.extend(of_it.into_iter().take(limit as usize));
        }
        Ok(found)
    }

    async fn settle(&self, id: u64, settled: Settled) -> Result<(), OccasionsError> {
        self.state.lock().waiting.settle(id, settled);
        Ok(())
    }

    async fn take(
        &self,
        function: &DocumentId,
        trigger: &str,
        moment: Timestamp,
    ) -> Result<bool, OccasionsError> {
        let mut state = self.state.lock();
        let taken = state.waiting.taken.entry(function.clone()).or_default();
        if taken.get(trigger).is_some_and(|last| *last >= moment) {
            return Ok(false);
        }
        taken.insert(trigger.to_owned(), moment);
        Ok(true)
    }

    async fn taken(&self, function: &DocumentId) -> Result<BTreeMap<String, Timestamp>, OccasionsError> {
        Ok(self.state.lock().waiting.taken.get(function).cloned().unwrap_or_default())
    }

    async fn dead(
        &self,
        function: &DocumentId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Queued>, OccasionsError> {
        let state = self.state.lock();
        let ids = state.waiting.dead(function, Which::All).into_iter().rev();
        let meant = ids.filter(|id| before.is_none_or(|before| *id < before)).take(limit as usize);
        Ok(meant.filter_map(|id| Some(offered(&state.waiting.all.get(&id)?.queued))).collect())
    }

    async fn replay(
        &self,
        function: &DocumentId,
        which: Which,
        at: Timestamp,
    ) -> Result<u64, OccasionsError> {
        let mut state = self.state.lock();
        let ids = state.waiting.dead(function, which);
        for id in &ids {
            let entry = state.waiting.all.get_mut(id).unwrap();
            entry.dead = false;
            (entry.queued.tries, entry.queued.due_at) = (0, at);
        }
        Ok(ids.len() as u64)
    }

    async fn bury(&self, function: &DocumentId, which: Which) -> Result<u64, OccasionsError> {
        let mut state = self.state.lock();
        let ids = state.waiting.dead(function, which);
        for id in &ids {
            state.waiting.remove(*id);
        }
        Ok(ids.len() as u64)
    }
}
