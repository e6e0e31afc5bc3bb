//! One consumer: what it was given, what it has acknowledged, and what comes next.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    config::{AckPolicy, ConsumerConfig, DeliverPolicy},
    delivery::Flow,
    log::{Entry, Log},
    pulls::Waiting,
    store::Change,
    stream::limit,
    wire::{self, Out},
};
use crate::{router::Interest, shared::Shared, subject};

/// One consumer.
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) config: ConsumerConfig,
    pub(super) created: i64,
    pub(super) state: State,
    /// Messages that it was not given yet.
    pub(super) unread: u64,
    /// Pulls that stand.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) flow: Flow,
    /// When somebody was there last.
    pub(super) active: i64,
    dirty: bool,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) delivered: Position,
    pub(super) floor: Position,
    /// The first message that it was not given, apart from `initial`.
    next: u64,
    /// Messages that it is given first: the last of each subject.
    initial: BTreeSet<u64>,
    /// Given and not acknowledged.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// Those of them that it is to be given again.
    due: BTreeSet<u64>,
}

/// A place in a stream, and the number of deliveries so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) consumer: u64,
    pub(super) stream: u64,
    at: i64,
}

/// A message that was given and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The number of its last delivery.
    consumer: u64,
    /// When it is given again.
    deadline: i64,
    /// How often it was given.
    count: u64,
}

/// One delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) sequence: u64,
    pub(super) consumer: u64,
    pub(super) count: u64,
}

#[derive(Serialize, Deserialize)]
struct Description {
    name: String,
    created: i64,
    config: ConsumerConfig,
    state: State,
}

impl Consumer {
    pub(super) fn new(name: &str, config: ConsumerConfig, log: &Log, now: i64) -> Self {
        let mut consumer = Self {
            name: name.to_owned(),
            state: State::default(),
            unread: 0,
            waiting: VecDeque::new(),
            flow: Flow::new(now),
            active: now,
            created: now,
            dirty: true,
            config,
        };
        consumer.begin(log);
        consumer.unread = consumer.count(log);
        consumer
    }

    pub(super) fn of(description: &str, log: &Log) -> Result<Self, serde_json::Error> {
        let Description { name, created, config, state } = serde_json::from_str(description)?;
        let mut consumer = Self::new(&name, config, log, created);
        (consumer.state, consumer.dirty) = (state, false);
        // What went while nobody looked.
        consumer.state.initial.retain(|sequence| log.get(*sequence).is_some());
        consumer.state.pending.retain(|sequence, _| log.get(*sequence).is_some());
        let State { pending, due, .. } = &mut consumer.state;
        due.retain(|sequence| pending.contains_key(sequence));
        consumer.unread = consumer.count(log);
        consumer.active = super::engine::now();
        Ok(consumer)
    }

    /// Goes on where a consumer of the same name was that is configured in another way.
    pub(super) fn keep(&mut self, state: State, waiting: VecDeque<Waiting>, log: &Log, now: i64) {
        (self.state, self.waiting, self.active, self.dirty) = (state, waiting, now, true);
        self.unread = self.count(log);
    }

    pub(super) fn change(&mut self, stream: &str) -> Change {
        self.dirty = false;
        let (name, config, state) = (self.name.clone(), self.config.clone(), self.state.clone());
        let description = Description { name: name.clone(), created: self.created, config, state };
        let description = serde_json::to_string(&description).unwrap_or_default();
        Change::Consumer { stream: stream.to_owned(), name, description }
    }

    /// Whether it outlives the server.
    pub(super) fn is_kept(&self) -> bool {
        self.config.is_durable() && !self.config.mem_storage
    }

    /// Whether its state has to be written.
    pub(super) fn is_unsaved(&self) -> bool {
        self.dirty && self.is_kept()
    }

    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    fn begin(&mut self, log: &Log) {
        let config = &self.config;
        let all = log.first().max(1);
        let last = || {
            let filters: Vec<&str> = config.filters().collect();
            let found = if filters.is_empty() {
                log.last_of(">")
            } else {
                filters.iter().filter_map(|it| log.last_of(it)).max()
            };
            found.unwrap_or(log.last + 1)
        };
        let next = match config.deliver_policy {
            DeliverPolicy::All => all,
            DeliverPolicy::Last => last(),
            DeliverPolicy::New | DeliverPolicy::LastPerSubject => log.last + 1,
            DeliverPolicy::ByStartSequence => config.opt_start_seq.max(all),
            DeliverPolicy::ByStartTime => {
                let start = config.opt_start_time.as_deref().and_then(wire::nanoseconds).unwrap_or(0);
                log.from(0)
                    .find(|(_, entry)| entry.time >= start)
                    .map_or(log.last + 1, |(sequence, _)| sequence)
            }
        };
        if config.deliver_policy == DeliverPolicy::LastPerSubject {
            let filters: Vec<&str> = config.filters().collect();
            let filters = if filters.is_empty() { vec![">"] } else { filters };
            let initial =
                filters.iter().flat_map(|filter| log.matching(filter)).filter_map(|(_, own)| own.last());
            self.state.initial = initial.copied().collect();
        }
        let before = self.state.initial.first().copied().unwrap_or(next).saturating_sub(1);
        self.state.next = next;
        self.state.delivered.stream = before;
        self.state.floor.stream = before;
    }

    fn count(&self, log: &Log) -> u64 {
        let later = log.from(self.state.next).filter(|(_, entry)| self.matches(&entry.subject)).count();
        (self.state.initial.len() + later) as u64
    }

    fn matches(&self, subject: &str) -> bool {
        let mut filters = self.config.filters().peekable();
        filters.peek().is_none()
            || filters.any(|filter| subject::covers(filter.as_bytes(), subject.as_bytes()))
    }

    /// Counts a message that came.
    pub(super) fn appended(&mut self, subject: &str) {
        self.unread += u64::from(self.matches(subject));
    }

    /// Forgets a message that is gone.
    pub(super) fn removed(&mut self, sequence: u64, subject: &Arc<str>) {
        if self.state.pending.remove(&sequence).is_some() {
            self.state.due.remove(&sequence);
            self.settle_floor();
        } else if self.state.initial.remove(&sequence)
            || (sequence >= self.state.next && self.matches(subject))
        {
            self.unread = self.unread.saturating_sub(1);
        }
    }

    /// Whether it has to be given a message, or has to acknowledge it.
    pub(super) fn waits_for(&self, sequence: u64, subject: &str) -> bool {
        self.state.pending.contains_key(&sequence)
            || self.state.initial.contains(&sequence)
            || (sequence >= self.state.next && self.matches(subject))
    }

    /// The message that it would be given next, with what is known of it.
    pub(super) fn peek<'l>(&mut self, log: &'l Log) -> Option<(u64, &'l Entry)> {
        while let Some(sequence) = self.state.due.first().copied() {
            let spent =
                |pending: &Pending| limit(self.config.max_deliver).is_some_and(|most| pending.count >= most);
            let entry =
                log.get(sequence).filter(|_| self.state.pending.get(&sequence).is_some_and(|it| !spent(it)));
            if let Some(entry) = entry {
                return Some((sequence, entry));
            }
            self.state.due.remove(&sequence);
            self.finish(sequence);
        }
        let most = limit(self.config.max_ack_pending).filter(|_| self.config.ack_policy != AckPolicy::None);
        if most.is_some_and(|most| self.state.pending.len() as u64 >= most) {
            return None;
        }
        while let Some(sequence) = self.state.initial.first().copied() {
            if let Some(entry) = log.get(sequence) {
                return Some((sequence, entry));
            }
            self.state.initial.remove(&sequence);
        }
        let found = log.from(self.state.next).find(|(_, entry)| self.matches(&entry.subject));
        self.state.next = found.map_or(log.last + 1, |(sequence, _)| sequence);
        found
    }

    /// Gives it the message that [`peek`](Self::peek) showed.
    pub(super) fn deliver(&mut self, sequence: u64, now: i64) -> Delivery {
        self.dirty = true;
        let state = &mut self.state;
        let again = state.due.remove(&sequence);
        if !again {
            if !state.initial.remove(&sequence) {
                state.next = sequence + 1;
            }
            self.unread = self.unread.saturating_sub(1);
            state.delivered.stream = state.delivered.stream.max(sequence);
        }
        state.delivered.consumer += 1;
        state.delivered.at = now;
        let consumer = state.delivered.consumer;
        let count = state.pending.get(&sequence).map_or(1, |pending| pending.count + 1);
        if self.config.ack_policy == AckPolicy::None {
            state.floor = state.delivered;
        } else {
            let deadline = now.saturating_add(wait(&self.config, count));
            state.pending.insert(sequence, Pending { consumer, deadline, count });
        }
        Delivery { sequence, consumer, count }
    }

    /// Takes an acknowledgement; returns what was acknowledged by it.
    pub(super) fn acknowledge(&mut self, sequence: u64, now: i64) -> Vec<u64> {
        self.state.floor.at = now;
        if self.config.ack_policy != AckPolicy::All {
            return if self.finish(sequence) { vec![sequence] } else { Vec::new() };
        }
        let all: Vec<u64> = self.state.pending.range(..=sequence).map(|(sequence, _)| *sequence).collect();
        for sequence in &all {
            self.finish(*sequence);
        }
        all
    }

    fn finish(&mut self, sequence: u64) -> bool {
        let was = self.state.pending.remove(&sequence).is_some();
        self.state.due.remove(&sequence);
        if was {
            self.settle_floor();
        }
        was
    }

    fn settle_floor(&mut self) {
        self.dirty = true;
        let State { delivered, floor, pending, .. } = &mut self.state;
        match pending.first_key_value() {
            None => (floor.consumer, floor.stream) = (delivered.consumer, delivered.stream),
            Some((sequence, _)) => {
                floor.stream = floor.stream.max(sequence - 1);
                let first = pending.values().map(|pending| pending.consumer).min().unwrap_or(1);
                floor.consumer = floor.consumer.max(first - 1);
            }
        }
    }

    /// Gives a message again, after `delay` where that is said.
    pub(super) fn refuse(&mut self, sequence: u64, delay: Option<i64>, now: i64) {
        if let Some(pending) = self.state.pending.get_mut(&sequence) {
            self.dirty = true;
            match delay.filter(|delay| *delay > 0) {
                Some(delay) => {
                    pending.deadline = now.saturating_add(delay);
                    self.state.due.remove(&sequence);
                }
                None => drop(self.state.due.insert(sequence)),
            }
        }
    }

    /// Waits longer for an acknowledgement.
    pub(super) fn prolong(&mut self, sequence: u64, now: i64) {
        if let Some(pending) = self.state.pending.get_mut(&sequence) {
            pending.deadline = now.saturating_add(wait(&self.config, pending.count));
            self.state.due.remove(&sequence);
            self.dirty = true;
        }
    }

    /// Does what its time has come for.
    pub(super) fn tick(&mut self, now: i64, shared: &Shared) -> Vec<Out> {
        let State { pending, due, .. } = &mut self.state;
        let late =
            pending.iter().filter(|(_, pending)| pending.deadline <= now).map(|(sequence, _)| *sequence);
        due.extend(late);
        if self.config.is_push() { self.beat(now, shared) } else { self.expire_pulls(now, shared) }
    }

    /// When there is something to do at the latest.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        let State { pending, due, .. } = &self.state;
        let again =
            pending.iter().filter(|(sequence, _)| !due.contains(sequence)).map(|(_, it)| it.deadline).min();
        let pulls = self.waiting.iter().filter_map(Waiting::next_deadline).min();
        let beat = self.next_beat();
        let idle = self.patience().map(|patience| self.active.saturating_add(patience));
        [again, pulls, beat, idle].into_iter().flatten().min()
    }

    fn patience(&self) -> Option<i64> {
        (self.config.inactive_threshold > 0).then_some(self.config.inactive_threshold)
    }

    /// Whether nobody has been there for so long that it may go.
    pub(super) fn is_abandoned(&mut self, now: i64, shared: &Shared) -> bool {
        let Some(patience) = self.patience() else { return false };
        let here = if self.config.is_push() {
            let ConsumerConfig { deliver_subject, deliver_group, .. } = &self.config;
            shared.interest(deliver_subject.as_bytes(), deliver_group) != Interest::Nobody
        } else {
            !self.waiting.is_empty()
        };
        if here {
            self.active = now;
        }
        now.saturating_sub(self.active) >= patience
    }

    pub(super) fn info(&self, stream: &str, now: i64, shared: &Shared) -> Value {
        let position = |it: &Position| {
            let mut shown = json!({ "consumer_seq": it.consumer, "stream_seq": it.stream });
            if it.at > 0
                && let Some(fields) = shown.as_object_mut()
            {
                fields.insert("last_active".to_owned(), wire::time(it.at).into());
            }
            shown
        };
        let mut info = json!({
            "stream_name": stream,
            "name": self.name,
            "created": wire::time(self.created),
            "config": self.config,
            "delivered": position(&self.state.delivered),
            "ack_floor": position(&self.state.floor),
            "num_ack_pending": self.state.pending.len(),
            "num_redelivered": self.state.pending.values().filter(|pending| pending.count > 1).count(),
            "num_waiting": self.waiting.len(),
            "num_pending": self.unread,
            "cluster": { "leader": "flagbase" },
            "ts": wire::time(now),
        });
        if self.config.is_push()
            && let Some(fields) = info.as_object_mut()
        {
            let ConsumerConfig { deliver_subject, deliver_group, .. } = &self.config;
            let bound = shared.interest(deliver_subject.as_bytes(), deliver_group) != Interest::Nobody;
            fields.insert("push_bound".to_owned(), bound.into());
        }
        info
    }
}

/// How long an acknowledgement is waited for after this many deliveries.
fn wait(config: &ConsumerConfig, count: u64) -> i64 {
    let at = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    config.backoff.get(at).or(config.backoff.last()).copied().unwrap_or(config.ack_wait)
}

#[cfg(test)]
mod tests;
