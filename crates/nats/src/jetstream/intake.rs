//! The queue of the task that owns all streams. Whoever puts something in never waits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use crate::{
    Message, Subscription,
    shared::Shared,
    subscription::{Sub, Target},
};

/// Messages that may wait.
const MOST: usize = 65_536;
/// Their bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Where a message was published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Below `$JS.API.`.
    Api,
    /// Below `$JS.ACK.`.
    Ack,
    /// Below `$JS.FC.`.
    Flow,
    /// A subject of this stream.
    Stream(Arc<str>),
}

/// One message for the task.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) source: Source,
    pub(super) message: Message,
}

/// The end where messages are put in.
#[derive(Clone)]
pub(super) struct Intake {
    queue: mpsc::Sender<Command>,
    waiting: Arc<AtomicUsize>,
}

/// The end where they are taken out.
pub(super) struct Outlet {
    queue: mpsc::Receiver<Command>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends of a new queue.
pub(super) fn queue() -> (Intake, Outlet) {
    let (sender, receiver) = mpsc::channel(MOST);
    let waiting = Arc::new(AtomicUsize::new(0));
    (Intake { queue: sender, waiting: Arc::clone(&waiting) }, Outlet { queue: receiver, waiting })
}

impl Intake {
    /// Takes whatever is published to `pattern`, until what this returns is dropped.
    pub(super) fn tap(&self, shared: &Arc<Shared>, pattern: &str, source: &Source) -> Subscription {
        let (intake, source) = (self.clone(), source.clone());
        let receiver = move |message: Message| intake.put(Command { source: source.clone(), message });
        let sub = Arc::new(Sub::new(pattern.as_bytes(), None, b"", Target::Local(Arc::new(receiver))));
        shared.subscribe(&sub);
        Subscription::new(shared, sub, None, Arc::default())
    }

    /// Whether there was room. Without, whoever waits for an acknowledgement is told that nobody answers.
    fn put(&self, command: Command) -> bool {
        let bytes = weight(&command);
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) > MOST_BYTES
            || self.queue.try_send(command).is_err()
        {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

impl Outlet {
    /// The next message; `None` when there will be none.
    pub(super) async fn next(&mut self) -> Option<Command> {
        self.queue.recv().await.inspect(|command| self.taken(command))
    }

    /// The next message if one waits.
    pub(super) fn try_next(&mut self) -> Option<Command> {
        self.queue.try_recv().ok().inspect(|command| self.taken(command))
    }

    fn taken(&self, command: &Command) {
        self.waiting.fetch_sub(weight(command), Ordering::Relaxed);
    }
}

fn weight(command: &Command) -> usize {
    let message = &command.message;
    message.payload.len() + message.raw_headers.as_ref().map_or(0, bytes::Bytes::len) + message.subject.len()
}
