//! Where the messages of a stream are: an index in memory of what the store keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hashbrown::HashMap;

use super::store::Summary;
use crate::subject;

/// What is known of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) subject: Arc<str>,
    pub(super) time: i64,
    /// Bytes it counts for.
    pub(super) size: u64,
    pub(super) expires: Option<i64>,
}

/// All messages of a stream.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: BTreeMap<u64, Entry>,
    subjects: HashMap<Arc<str>, BTreeSet<u64>>,
    expiring: BTreeSet<(i64, u64)>,
    pub(super) bytes: u64,
    /// Sequence of the last message there ever was.
    pub(super) last: u64,
    pub(super) last_time: i64,
}

/// What a message counts for: what it takes, and something for finding it.
pub(super) fn size(subject: usize, headers: u64, payload: u64) -> u64 {
    subject as u64 + payload + 30 + if headers > 0 { headers + 4 } else { 0 }
}

impl Log {
    pub(super) fn append(&mut self, summary: &Summary) {
        let subject = self.subjects.get_key_value(summary.subject.as_str());
        let subject =
            subject.map_or_else(|| Arc::from(summary.subject.as_str()), |(known, _)| Arc::clone(known));
        self.subjects.entry(Arc::clone(&subject)).or_default().insert(summary.sequence);
        self.expiring.extend(summary.expires.map(|at| (at, summary.sequence)));
        let size = size(summary.subject.len(), summary.header_size, summary.payload_size);
        self.bytes += size;
        self.last = self.last.max(summary.sequence);
        self.last_time = summary.time;
        let entry = Entry { subject, time: summary.time, size, expires: summary.expires };
        self.entries.insert(summary.sequence, entry);
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.entries.remove(&sequence)?;
        self.bytes -= entry.size;
        if let Some(at) = entry.expires {
            self.expiring.remove(&(at, sequence));
        }
        if let Some(own) = self.subjects.get_mut(&entry.subject) {
            own.remove(&sequence);
            if own.is_empty() {
                self.subjects.remove(&entry.subject);
            }
        }
        Some(entry)
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(&sequence)
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Sequence of the first message, or of the next one when there is none.
    pub(super) fn first(&self) -> u64 {
        let next = if self.last == 0 { 0 } else { self.last + 1 };
        self.entries.keys().next().copied().unwrap_or(next)
    }

    /// Messages from `sequence` on.
    pub(super) fn from(&self, sequence: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.range(sequence..).map(|(sequence, entry)| (*sequence, entry))
    }

    /// How many messages a literal subject has.
    pub(super) fn count(&self, subject: &str) -> u64 {
        self.subjects.get(subject).map_or(0, |own| own.len() as u64)
    }

    /// The first message of a literal subject.
    pub(super) fn first_of(&self, subject: &str) -> Option<u64> {
        self.subjects.get(subject)?.first().copied()
    }

    /// The last message that a pattern matches.
    pub(super) fn last_of(&self, pattern: &str) -> Option<u64> {
        if !subject::has_wildcard(pattern.as_bytes()) {
            return self.subjects.get(pattern)?.last().copied();
        }
        self.matching(pattern).filter_map(|(_, own)| own.last().copied()).max()
    }

    /// Subjects there are messages of, with their sequences.
    pub(super) fn matching<'a>(
        &'a self,
        pattern: &'a str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a BTreeSet<u64>)> {
        self.subjects
            .iter()
            .filter(move |(subject, _)| subject::covers(pattern.as_bytes(), subject.as_bytes()))
    }

    pub(super) fn subject_count(&self) -> usize {
        self.subjects.len()
    }

    /// The message that has to be gone next of itself.
    pub(super) fn next_expiring(&self) -> Option<(i64, u64)> {
        self.expiring.first().copied()
    }

    /// Sequences between first and last that are not there, at most `most` of them.
    pub(super) fn gaps(&self, most: usize) -> Vec<u64> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        (self.first()..=self.last)
            .filter(|sequence| !self.entries.contains_key(sequence))
            .take(most)
            .collect()
    }

    /// How many sequences between first and last are not there.
    pub(super) fn gap_count(&self) -> u64 {
        if self.entries.is_empty() { 0 } else { self.last + 1 - self.first() - self.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(subjects: &[&str]) -> Log {
        let mut log = Log::default();
        for (sequence, subject) in (1..).zip(subjects) {
            log.append(&Summary {
                sequence,
                time: 7,
                subject: (*subject).to_owned(),
                header_size: 0,
                payload_size: 3,
                id: None,
                expires: (sequence == 2).then_some(9),
            });
        }
        log
    }

    #[test]
    fn an_empty_log_begins_behind_what_was_there() {
        let mut log = log(&["a", "b"]);
        assert_eq!((log.first(), Log::default().first()), (1, 0));
        assert!(log.remove(1).is_some() && log.remove(2).is_some() && log.remove(2).is_none());
        assert_eq!((log.first(), log.last, log.len(), log.bytes, log.subject_count()), (3, 2, 0, 0, 0));
        assert_eq!(log.next_expiring(), None);
    }

    #[test]
    fn messages_are_found_by_subject() {
        let log = log(&["a.x", "a.y", "a.x", "b"]);
        assert_eq!((log.last_of("a.x"), log.last_of("a.*"), log.last_of("c")), (Some(3), Some(3), None));
        assert_eq!((log.first_of("a.x"), log.count("a.x"), log.matching(">").count()), (Some(1), 2, 3));
        assert_eq!(log.next_expiring(), Some((9, 2)));
    }

    #[test]
    fn gaps_are_what_lies_between() {
        let mut log = log(&["a", "a", "a", "a"]);
        log.remove(2);
        assert_eq!((log.gaps(9), log.gap_count()), (vec![2], 1));
        log.remove(1);
        assert_eq!((log.gaps(9), log.first()), (Vec::new(), 3));
    }
}
