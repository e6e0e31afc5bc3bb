//! Subscribers in the same process.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Headers, protocol::Publish, shared::Shared, subscription::Sub};

/// One message, as a subscriber in the process gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published to. Bytes that are not UTF-8 are replaced.
    pub subject: String,
    /// Where an answer is expected.
    pub reply: Option<String>,
    /// Headers as they stand on the wire; see [`Message::headers`].
    pub raw_headers: Option<Bytes>,
    /// The message itself.
    pub payload: Bytes,
}

impl Message {
    /// Its headers, if there are any that can be read.
    pub fn headers(&self) -> Option<Headers> {
        self.raw_headers.as_deref().and_then(Headers::decode)
    }

    pub(crate) fn new(publish: &Publish<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (headers, payload) =
            publish.payload.split_at_checked(publish.header.unwrap_or(0)).unwrap_or_default();
        Self {
            subject: text(publish.subject),
            reply: publish.reply.map(text),
            raw_headers: (!headers.is_empty()).then(|| Bytes::copy_from_slice(headers)),
            payload: Bytes::copy_from_slice(payload),
        }
    }
}

/// Takes messages on the thread of who published them, so it must not wait. Says whether it had room for it.
pub(crate) trait Receiver: Send + Sync {
    fn receive(&self, message: Message) -> bool;
}

impl<F: Fn(Message) -> bool + Send + Sync> Receiver for F {
    fn receive(&self, message: Message) -> bool {
        self(message)
    }
}

/// A bounded queue of messages; ends the subscription when dropped.
pub struct Subscription {
    messages: Option<mpsc::Receiver<Message>>,
    missed: Arc<AtomicU64>,
    sub: Arc<Sub>,
    shared: Weak<Shared>,
}

/// Room for messages, and a count of those there was none for.
pub(crate) struct Queue {
    messages: mpsc::Sender<Message>,
    missed: Arc<AtomicU64>,
}

impl Queue {
    /// With the ends that a [`Subscription`] holds.
    pub(crate) fn new(capacity: usize) -> (Self, mpsc::Receiver<Message>, Arc<AtomicU64>) {
        let (messages, receiver) = mpsc::channel(capacity.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        (Self { messages, missed: Arc::clone(&missed) }, receiver, missed)
    }
}

impl Receiver for Queue {
    fn receive(&self, message: Message) -> bool {
        let taken = self.messages.try_send(message).is_ok();
        self.missed.fetch_add(u64::from(!taken), Ordering::Relaxed);
        taken
    }
}

impl Subscription {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        sub: Arc<Sub>,
        messages: Option<mpsc::Receiver<Message>>,
        missed: Arc<AtomicU64>,
    ) -> Self {
        Self { messages, missed, sub, shared: Arc::downgrade(shared) }
    }

    /// The next message; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.as_mut()?.recv().await
    }

    /// The next message if one is there.
    pub fn try_next(&mut self) -> Option<Message> {
        self.messages.as_mut()?.try_recv().ok()
    }

    /// How many messages there was no room for.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.sub.end();
        if let Some(shared) = self.shared.upgrade() {
            shared.unsubscribe(&self.sub);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = String::from_utf8_lossy(&self.sub.subject);
        f.debug_struct("Subscription")
            .field("subject", &subject)
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_counts_what_it_misses() {
        let (queue, mut messages, missed) = Queue::new(1);
        let message = || Message {
            subject: "a".to_owned(),
            reply: None,
            raw_headers: None,
            payload: Bytes::from_static(b"x"),
        };
        assert_eq!([queue.receive(message()), queue.receive(message())], [true, false]);
        assert_eq!((missed.load(Ordering::Relaxed), messages.try_recv()), (1, Ok(message())));
    }
}
