//! One stream: its configuration, where its messages are, and who reads them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    config::{Discard, Retention, Storage, StreamConfig},
    consumer::Consumer,
    error::ApiError,
    intake::{Intake, Source},
    log::{self, Entry, Log},
    requests::InfoRequest,
    store::{Change, Record, StoredStream, Summary},
    wire,
};
use crate::{Subscription, shared::Shared, subject};

/// Details told at once.
const MOST_DETAILS: usize = 100_000;

/// One stream.
pub(super) struct Stream {
    pub(super) config: StreamConfig,
    pub(super) created: i64,
    pub(super) log: Log,
    pub(super) consumers: BTreeMap<String, Consumer>,
    pub(super) ids: Ids,
    /// Has to be written again.
    pub(super) dirty: bool,
    taps: Vec<Subscription>,
}

/// What publishers called their latest messages.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: HashMap<String, u64>,
    order: VecDeque<(i64, String)>,
    pub(super) last: Option<String>,
}

/// How a stream is described in the store.
#[derive(Serialize, Deserialize)]
struct Description {
    created: i64,
    config: StreamConfig,
}

impl Ids {
    /// Where the message of this name is, if it came lately.
    pub(super) fn find(&mut self, id: &str, now: i64, window: i64) -> Option<u64> {
        while let Some((at, _)) = self.order.front()
            && now.saturating_sub(*at) > window
        {
            if let Some((_, old)) = self.order.pop_front() {
                self.known.remove(&old);
            }
        }
        self.known.get(id).copied()
    }

    pub(super) fn add(&mut self, id: &str, sequence: u64, at: i64) {
        self.known.insert(id.to_owned(), sequence);
        self.order.push_back((at, id.to_owned()));
        self.last = Some(id.to_owned());
    }
}

impl Stream {
    pub(super) fn new(config: StreamConfig, created: i64) -> Self {
        let mut log = Log::default();
        log.last = config.first_seq.saturating_sub(1);
        Self {
            config,
            created,
            log,
            consumers: BTreeMap::new(),
            ids: Ids::default(),
            dirty: true,
            taps: Vec::new(),
        }
    }

    /// As it was kept. What cannot be read is an error of the store.
    pub(super) fn of(stored: &StoredStream) -> Result<Self, serde_json::Error> {
        let Description { created, config } = serde_json::from_str(&stored.description)?;
        let mut stream = Self::new(config, created);
        for summary in &stored.messages {
            stream.note(summary);
        }
        (stream.log.last, stream.log.last_time) = (stored.last_sequence, stored.last_time);
        for (name, description) in &stored.consumers {
            let consumer = Consumer::of(description, &stream.log)?;
            stream.consumers.insert(name.clone(), consumer);
        }
        stream.dirty = false;
        Ok(stream)
    }

    /// Takes what is published to its subjects from now on.
    pub(super) fn listen(&mut self, intake: &Intake, shared: &Arc<Shared>) {
        let source = Source::Stream(Arc::from(self.config.name.as_str()));
        self.taps = self.config.subjects.iter().map(|subject| intake.tap(shared, subject, &source)).collect();
    }

    pub(super) fn in_memory(&self) -> bool {
        self.config.storage == Storage::Memory
    }

    /// As it has to be written.
    pub(super) fn change(&self) -> Change {
        let description = Description { created: self.created, config: self.config.clone() };
        Change::Stream {
            name: self.config.name.clone(),
            description: serde_json::to_string(&description).unwrap_or_default(),
            last_sequence: self.log.last,
            last_time: self.log.last_time,
        }
    }

    fn note(&mut self, summary: &Summary) {
        self.log.append(summary);
        if let Some(id) = &summary.id {
            self.ids.add(id, summary.sequence, summary.time);
        }
    }

    /// Whether a message fits, when what is old does not go for what is new.
    pub(super) fn has_room(&self, subject: &str, size: u64) -> Result<(), ApiError> {
        if self.config.discard == Discard::Old {
            return Ok(());
        }
        let per_subject = limit(self.config.max_msgs_per_subject);
        let full = per_subject.is_some_and(|most| self.log.count(subject) >= most);
        if full && self.config.discard_new_per_subject {
            return Err(ApiError::full("maximum messages per subject exceeded"));
        }
        // One of the same subject goes, so the count stays.
        if !full && limit(self.config.max_msgs).is_some_and(|most| self.log.len() >= most) {
            return Err(ApiError::full("maximum messages exceeded"));
        }
        if limit(self.config.max_bytes).is_some_and(|most| self.log.bytes + size > most) {
            return Err(ApiError::full("maximum bytes exceeded"));
        }
        Ok(())
    }

    /// Adds a message behind all others; returns those that have to go for it.
    pub(super) fn append(&mut self, record: &Record) -> Vec<u64> {
        self.note(&record.summary());
        self.dirty = true;
        for consumer in self.consumers.values_mut() {
            consumer.appended(&record.subject);
        }
        let mut gone = Vec::new();
        if let Some(most) = limit(self.config.max_msgs_per_subject) {
            while self.log.count(&record.subject) > most
                && let Some(first) = self.log.first_of(&record.subject)
            {
                self.remove(first);
                gone.push(first);
            }
        }
        gone.extend(self.shrink());
        gone
    }

    /// Removes the oldest until all limits are kept.
    pub(super) fn shrink(&mut self) -> Vec<u64> {
        let (messages, bytes) = (limit(self.config.max_msgs), limit(self.config.max_bytes));
        let mut gone = Vec::new();
        while messages.is_some_and(|most| self.log.len() > most)
            || (bytes.is_some_and(|most| self.log.bytes > most) && self.log.len() > 0)
        {
            let first = self.log.first();
            self.remove(first);
            gone.push(first);
        }
        gone
    }

    /// Takes a message out. Whether it was there.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.log.remove(sequence)?;
        for consumer in self.consumers.values_mut() {
            consumer.removed(sequence, &entry.subject);
        }
        Some(entry)
    }

    /// Messages that are too old now.
    pub(super) fn expired(&self, now: i64) -> Vec<u64> {
        let mut old = Vec::new();
        if self.config.max_age > 0 {
            let oldest = now.saturating_sub(self.config.max_age);
            old.extend(
                self.log.from(0).take_while(|(_, entry)| entry.time <= oldest).map(|(sequence, _)| sequence),
            );
        }
        if let Some((at, sequence)) = self.log.next_expiring()
            && at <= now
            && !old.contains(&sequence)
        {
            old.push(sequence);
        }
        old
    }

    /// When the next message is too old.
    pub(super) fn next_expiry(&self) -> Option<i64> {
        let first = self.log.from(0).next().filter(|_| self.config.max_age > 0);
        let aged = first.map(|(_, entry)| entry.time.saturating_add(self.config.max_age));
        let own = self.log.next_expiring().map(|(at, _)| at);
        aged.into_iter().chain(own).min()
    }

    /// Whether a message that was acknowledged, or that nobody waits for, stays.
    pub(super) fn still_wanted(&self, sequence: u64) -> bool {
        match self.config.retention {
            Retention::Limits => true,
            Retention::WorkQueue => false,
            Retention::Interest => {
                let Some(entry) = self.log.get(sequence) else { return false };
                self.consumers.values().any(|consumer| consumer.waits_for(sequence, &entry.subject))
            }
        }
    }

    /// Which messages a purge takes.
    pub(super) fn purged(&self, filter: &str, below: u64, keep: u64) -> Vec<u64> {
        let of_filter =
            |entry: &Entry| filter.is_empty() || subject::covers(filter.as_bytes(), entry.subject.as_bytes());
        let all = self.log.from(0).filter(|(_, entry)| of_filter(entry)).map(|(sequence, _)| sequence);
        let mut all: Vec<u64> = all.take_while(|sequence| below == 0 || *sequence < below).collect();
        all.truncate(all.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX)));
        all
    }

    pub(super) fn size_of(subject: &str, headers: usize, payload: usize) -> u64 {
        log::size(subject.len(), headers as u64, payload as u64)
    }

    pub(super) fn info(&self, request: &InfoRequest, now: i64) -> Value {
        let mut info = json!({
            "config": self.config,
            "created": wire::time(self.created),
            "state": self.state(request),
            "cluster": { "leader": "flagbase" },
            "ts": wire::time(now),
        });
        if !request.subjects_filter.is_empty()
            && let Some(fields) = info.as_object_mut()
        {
            let total = self.log.matching(&request.subjects_filter).count();
            fields.insert("total".to_owned(), total.into());
            fields.insert("offset".to_owned(), request.offset.into());
            fields.insert("limit".to_owned(), MOST_DETAILS.into());
        }
        info
    }

    fn state(&self, request: &InfoRequest) -> Value {
        let log = &self.log;
        let time_of = |sequence| wire::time(log.get(sequence).map_or(0, |entry| entry.time));
        let mut state = json!({
            "messages": log.len(),
            "bytes": log.bytes,
            "first_seq": log.first(),
            "first_ts": time_of(log.first()),
            "last_seq": log.last,
            "last_ts": wire::time(log.last_time),
            "num_subjects": log.subject_count(),
            "num_deleted": log.gap_count(),
            "consumer_count": self.consumers.len(),
        });
        let Some(fields) = state.as_object_mut() else { return state };
        if request.deleted_details {
            fields.insert("deleted".to_owned(), log.gaps(MOST_DETAILS).into());
        }
        if !request.subjects_filter.is_empty() {
            let mut subjects: Vec<_> = log
                .matching(&request.subjects_filter)
                .map(|(subject, own)| (subject.to_string(), own.len()))
                .collect();
            subjects.sort();
            let page = subjects.into_iter().skip(request.offset).take(MOST_DETAILS);
            let page: serde_json::Map<String, Value> =
                page.map(|(subject, count)| (subject, count.into())).collect();
            fields.insert("subjects".to_owned(), page.into());
        }
        state
    }
}

/// A limit that is set; clients write -1 for none.
pub(super) fn limit(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|limit| *limit > 0)
}
