//! The port that sends a message to an endpoint.

use std::time::Duration;

use async_trait::async_trait;

/// Bytes of an answer that are kept.
pub(super) const EXCERPT: usize = 2048;

/// A message to send: `POST`, JSON, with these headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// The longest it may take from beginning to end.
    pub timeout: Duration,
    /// Bytes of the answer to read, at most.
    pub excerpt: usize,
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The header `Retry-After`, when there was one.
    pub retry_after: Option<String>,
    /// The beginning of the body; what is no UTF-8 is replaced.
    pub excerpt: String,
}

/// Why there was no answer, in words for the delivery log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub String);

/// Sends messages. Redirects are not followed, and every address a name resolves to is checked before it is connected to.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends one message and waits for the answer.
    async fn send(&self, message: Outgoing) -> Result<Answered, SendError>;
}
