//! One subscription, and who gets its messages.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{client::Client, local::Receiver};

/// One subscription.
pub(crate) struct Sub {
    pub(crate) subject: Box<[u8]>,
    pub(crate) queue: Option<Box<[u8]>>,
    /// How the client calls it; empty in process.
    pub(crate) sid: Box<[u8]>,
    pub(crate) target: Target,
    /// Subjects within the pattern that the client may not see.
    pub(crate) denied: Vec<Box<[u8]>>,
    delivered: AtomicU64,
    /// Messages after which it ends; 0 means never.
    max: AtomicU64,
    ended: AtomicBool,
}

/// Who gets the messages.
pub(crate) enum Target {
    /// A connection.
    Client(Arc<Client>),
    /// Somebody in this process.
    Local(Arc<dyn Receiver>),
}

/// What a message means for a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It gets it.
    Deliver,
    /// It gets it, and it was its last.
    Last,
    /// It has had enough.
    Skip,
}

impl Sub {
    pub(crate) fn new(subject: &[u8], queue: Option<&[u8]>, sid: &[u8], target: Target) -> Self {
        Self {
            subject: subject.into(),
            queue: queue.map(Into::into),
            sid: sid.into(),
            target,
            denied: Vec::new(),
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Counts one message.
    pub(crate) fn turn(&self) -> Turn {
        if self.ended.load(Ordering::Relaxed) {
            return Turn::Skip;
        }
        let count = self.delivered.fetch_add(1, Ordering::Relaxed) + 1;
        match self.max.load(Ordering::Relaxed) {
            0 => Turn::Deliver,
            max if count < max => Turn::Deliver,
            max if count == max => Turn::Last,
            _ => Turn::Skip,
        }
    }

    /// Ends it after `max` messages in all. Whether it has had that many already.
    pub(crate) fn limit(&self, max: u64) -> bool {
        self.max.store(max, Ordering::Relaxed);
        self.delivered.load(Ordering::Relaxed) >= max
    }

    /// No message after this.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Messages it was sent.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Messages after which it ends; 0 means never.
    pub(crate) fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Message;

    fn sub() -> Sub {
        let nobody: Arc<dyn Receiver> = Arc::new(|_: Message| true);
        Sub::new(b"a", None, b"1", Target::Local(nobody))
    }

    #[test]
    fn a_limit_counts_what_was_delivered_before_it() {
        let sub = sub();
        assert_eq!(sub.turn(), Turn::Deliver);
        assert!(!sub.limit(2));
        assert_eq!([sub.turn(), sub.turn()], [Turn::Last, Turn::Skip]);
        assert!(sub.limit(2));
    }

    #[test]
    fn an_ended_subscription_gets_nothing() {
        let sub = sub();
        sub.end();
        assert_eq!((sub.turn(), sub.delivered()), (Turn::Skip, 0));
    }
}
