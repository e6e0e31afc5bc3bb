//! Streams that live as long as the process.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::store::{Change, Record, Store, StoreError, StoredStream};

/// Keeps streams as long as the process lives.
#[derive(Debug, Default)]
pub struct Memory {
    streams: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    description: String,
    last_sequence: u64,
    last_time: i64,
    consumers: BTreeMap<String, String>,
    messages: BTreeMap<u64, Record>,
}

impl Memory {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for Memory {
    async fn load(&self) -> Result<Vec<StoredStream>, StoreError> {
        let stored = |(name, kept): (&String, &Kept)| StoredStream {
            name: name.clone(),
            description: kept.description.clone(),
            last_sequence: kept.last_sequence,
            last_time: kept.last_time,
            consumers: kept.consumers.clone().into_iter().collect(),
            messages: kept.messages.values().map(Record::summary).collect(),
        };
        Ok(self.streams.lock().iter().map(stored).collect())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut streams = self.streams.lock();
        for change in changes {
            match change {
                Change::Stream { name, description, last_sequence, last_time } => {
                    let kept = streams.entry(name).or_default();
                    kept.description = description;
                    (kept.last_sequence, kept.last_time) = (last_sequence, last_time);
                }
                Change::DropStream { name } => {
                    streams.remove(&name);
                }
                Change::Append { stream, record } => {
                    streams.entry(stream).or_default().messages.insert(record.sequence, record);
                }
                Change::Remove { stream, sequences } => {
                    if let Some(kept) = streams.get_mut(&stream) {
                        for sequence in sequences {
                            kept.messages.remove(&sequence);
                        }
                    }
                }
                Change::Consumer { stream, name, description } => {
                    streams.entry(stream).or_default().consumers.insert(name, description);
                }
                Change::DropConsumer { stream, name } => {
                    if let Some(kept) = streams.get_mut(&stream) {
                        kept.consumers.remove(&name);
                    }
                }
            }
        }
        Ok(())
    }

    async fn read(&self, stream: &str, sequences: &[u64]) -> Result<Vec<Record>, StoreError> {
        let streams = self.streams.lock();
        let Some(kept) = streams.get(stream) else { return Ok(Vec::new()) };
        let mut sequences = sequences.to_vec();
        sequences.sort_unstable();
        Ok(sequences.iter().filter_map(|sequence| kept.messages.get(sequence).cloned()).collect())
    }
}
