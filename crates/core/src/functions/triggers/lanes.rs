//! What is under way for whom, and who may be asked for more.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::Queued;
use crate::{catalog::DocumentId, functions::CompiledFunction};

/// Occasions of one function handed over at once, at most; its own limit may be lower.
const MOST_OF_ONE: usize = 16;

/// Occasions of all functions handed over at once, at most.
const MOST_OF_ALL: usize = 256;

/// The lanes of all functions.
#[derive(Default)]
pub(super) struct Lanes {
    all: HashMap<DocumentId, Lane>,
    /// Functions for which nothing waits: they are not asked for.
    quiet: HashSet<DocumentId>,
    /// Rises whenever something may wait for somebody.
    stirred: u64,
}

#[derive(Default)]
struct Lane {
    flying: HashSet<u64>,
    leave_until: Option<Timestamp>,
}

/// What was asked for, to be taken from what comes back.
pub(super) struct Asked {
    pub(super) wants: Vec<(DocumentId, u32)>,
    slots: HashMap<DocumentId, usize>,
    stirred: u64,
    /// When somebody who is left alone may be asked again.
    next: Option<Timestamp>,
}

impl Lanes {
    /// Something may wait for these functions now.
    pub(super) fn stir(&mut self, functions: Vec<DocumentId>) {
        self.stirred += 1;
        for function in functions {
            self.quiet.remove(&function);
        }
    }

    /// Who is asked for what waits, and how much of it.
    pub(super) fn ask<'f>(
        &mut self,
        functions: impl Iterator<Item = (DocumentId, &'f CompiledFunction)>,
        now: Timestamp,
    ) -> Asked {
        let mut asked = Asked { wants: Vec::new(), slots: HashMap::new(), stirred: self.stirred, next: None };
        for (id, function) in functions {
            if self.quiet.contains(&id) {
                continue;
            }
            let lane = self.all.get(&id);
            if let Some(until) = lane.and_then(|lane| lane.leave_until).filter(|until| *until > now) {
                asked.next = Some(earlier(asked.next, until));
                continue;
            }
            let flying = lane.map_or(0, |lane| lane.flying.len());
            let room = (function.settings.limits.concurrency as usize).clamp(1, MOST_OF_ONE);
            // What is under way is among what waits; one more says when to look again.
            let limit = u32::try_from(flying + room + 1).unwrap_or(u32::MAX);
            asked.slots.insert(id.clone(), room.saturating_sub(flying));
            asked.wants.push((id, limit));
        }
        asked
    }

    /// Takes what is due and there is room for. Says, too, when something else is due.
    pub(super) fn take(
        &mut self,
        waiting: Vec<Queued>,
        mut asked: Asked,
        now: Timestamp,
    ) -> (Vec<Queued>, Option<Timestamp>) {
        self.note_quiet(&waiting, &asked);
        let mut total: usize = self.all.values().map(|lane| lane.flying.len()).sum();
        let mut taken = Vec::new();
        for queued in waiting {
            let lane = self.all.entry(queued.function.clone()).or_default();
            if lane.flying.contains(&queued.id) {
                continue;
            }
            if queued.due_at > now {
                asked.next = Some(earlier(asked.next, queued.due_at));
                continue;
            }
            let slots = asked.slots.entry(queued.function.clone()).or_default();
            // Without room it is looked at again when something has landed.
            if *slots > 0 && total < MOST_OF_ALL {
                *slots -= 1;
                total += 1;
                lane.flying.insert(queued.id);
                taken.push(queued);
            }
        }
        (taken, asked.next)
    }

    fn note_quiet(&mut self, waiting: &[Queued], asked: &Asked) {
        // Unless something came while the store was asked.
        if asked.stirred != self.stirred {
            return;
        }
        let busy: HashSet<_> = waiting.iter().map(|queued| &queued.function).collect();
        for (function, _) in asked.wants.iter().filter(|(function, _)| !busy.contains(function)) {
            self.quiet.insert(function.clone());
            if self.all.get(function).is_some_and(|lane| lane.flying.is_empty()) {
                self.all.remove(function);
            }
        }
    }

    /// An occasion is not under way any more; its function is left alone until then.
    pub(super) fn landed(&mut self, queued: &Queued, leave_until: Option<Timestamp>) {
        if let Some(lane) = self.all.get_mut(&queued.function) {
            lane.flying.remove(&queued.id);
            lane.leave_until = leave_until;
        }
    }

    /// Everybody is asked again: other processes may have made something wait.
    pub(super) fn wake_all(&mut self) {
        self.quiet.clear();
    }
}

/// The earlier one of two times, of which one may not be there.
pub(super) fn earlier(one: Option<Timestamp>, other: Timestamp) -> Timestamp {
    one.map_or(other, |one| one.min(other))
}
