//! What keeps streams.

use async_trait::async_trait;
use bytes::Bytes;

/// Keeps streams, their messages and their consumers. Times are nanoseconds since 1970.
#[async_trait]
pub trait Store: Send + Sync {
    /// All that is kept, without the messages themselves.
    async fn load(&self) -> Result<Vec<StoredStream>, StoreError>;

    /// Makes all changes, in their order, or none. They survive a crash once this has returned.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Those of these messages that are there, by ascending sequence.
    async fn read(&self, stream: &str, sequences: &[u64]) -> Result<Vec<Record>, StoreError>;
}

/// One thing that changes. Streams and consumers are described by texts whose form is this crate's own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named like those of what is stored")]
pub enum Change {
    /// A stream is there, with this description.
    Stream { name: String, description: String, last_sequence: u64, last_time: i64 },
    /// A stream is gone with all that is in it.
    DropStream { name: String },
    /// A message is added.
    Append { stream: String, record: Record },
    /// Messages are gone.
    Remove { stream: String, sequences: Vec<u64> },
    /// A consumer is there, with this description.
    Consumer { stream: String, name: String, description: String },
    /// A consumer is gone.
    DropConsumer { stream: String, name: String },
}

/// A stream as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStream {
    /// Its name.
    pub name: String,
    /// The text it was described by.
    pub description: String,
    /// Sequence of the last message it ever had.
    pub last_sequence: u64,
    /// When that came.
    pub last_time: i64,
    /// Names and descriptions of its consumers.
    pub consumers: Vec<(String, String)>,
    /// What there is to know of its messages, by ascending sequence.
    pub messages: Vec<Summary>,
}

/// What has to be known of a message to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its place in the stream, from 1.
    pub sequence: u64,
    /// When it came.
    pub time: i64,
    /// What it was published to.
    pub subject: String,
    /// Bytes of headers.
    pub header_size: u64,
    /// Bytes behind the headers.
    pub payload_size: u64,
    /// What its publisher called it.
    pub id: Option<String>,
    /// When it has to be gone.
    pub expires: Option<i64>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the stream, from 1.
    pub sequence: u64,
    /// When it came.
    pub time: i64,
    /// What it was published to.
    pub subject: String,
    /// Its headers as they stand on the wire; empty without.
    pub headers: Bytes,
    /// The message itself.
    pub payload: Bytes,
    /// What its publisher called it.
    pub id: Option<String>,
    /// When it has to be gone.
    pub expires: Option<i64>,
}

impl Record {
    /// What has to be known of it to find it.
    pub fn summary(&self) -> Summary {
        Summary {
            sequence: self.sequence,
            time: self.time,
            subject: self.subject.clone(),
            header_size: self.headers.len() as u64,
            payload_size: self.payload.len() as u64,
            id: self.id.clone(),
            expires: self.expires,
        }
    }
}

/// Why nothing was kept or read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("the store of streams failed: {0}")]
pub struct StoreError(
    /// What its driver said.
    pub String,
);
