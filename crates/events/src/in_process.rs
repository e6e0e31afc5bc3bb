//! The bus within this process: nothing leaves it, nothing waits.

use std::sync::Arc;

use async_trait::async_trait;
use flagbase_core::events::{CloudEvent, EventBus, Halted, Pattern};
use tokio::sync::broadcast::{self, error::RecvError};

/// Carries events to subscribers in this process. Bounded: a subscriber that is slower than the bus loses the oldest
/// events and is told how many, so that it can catch up from the change log.
#[derive(Debug, Clone)]
pub struct InProcessBus {
    sender: broadcast::Sender<Arc<CloudEvent>>,
}

/// One subscriber's end.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<CloudEvent>>,
    pattern: Pattern,
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// An event of a type that was asked for.
    Event(Arc<CloudEvent>),
    /// So many events, of any type, came faster than they were taken and are gone.
    Missed(u64),
}

impl InProcessBus {
    /// A bus that keeps at most `capacity` events for slow subscribers; at least one.
    pub fn new(capacity: usize) -> Self {
        Self { sender: broadcast::Sender::new(capacity.max(1)) }
    }

    /// Subscribes to events whose type matches `pattern`, from now on.
    pub fn subscribe(&self, pattern: Pattern) -> Subscription {
        Subscription { receiver: self.sender.subscribe(), pattern }
    }
}

impl Subscription {
    /// The next event, or how many were missed; `None` once the bus is gone.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.receiver.recv().await {
                Ok(event) if self.pattern.matches(&event.event_type) => {
                    return Some(Message::Event(event));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => return Some(Message::Missed(missed)),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[async_trait]
impl EventBus for InProcessBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        // Nobody listening is no error: listeners catch up from the change log.
        if self.sender.receiver_count() > 0 {
            for event in events {
                let _ = self.sender.send(Arc::new(event.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
