//! The task that owns all streams.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    consumer::Consumer,
    error::ApiError,
    gets::Get,
    intake::{self, Command, Intake, Outlet, Source},
    memory::Memory,
    store::{Change, Store, StoreError, StoredStream},
    stream::Stream,
    wire::Out,
};
use crate::{Subscription, ambient, shared::Shared};

/// Messages that are taken before what they change is committed.
const BATCH: usize = 1024;
/// How long it takes at most until it is noted how far consumers were read.
const SAVE_WITHIN: i64 = 50_000_000;
/// As good as for ever.
const LONG: Duration = Duration::from_hours(1);
/// How long after a failure the store is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Everything there is of streams.
pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) intake: Intake,
    pub(super) disk: Arc<dyn Store>,
    pub(super) memory: Arc<dyn Store>,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) outbox: Outbox,
    /// Nanoseconds since 1970, the same until the next message is waited for.
    pub(super) now: i64,
    pub(super) turn: usize,
    /// Requests, and those that were refused.
    pub(super) requests: (u64, u64),
    /// Consumers have more to get at once.
    pub(super) busy: bool,
    /// When a consumer was read and that was not noted yet.
    pub(super) unsaved: Option<i64>,
}

/// What waits for the next commit.
#[derive(Default)]
pub(super) struct Outbox {
    disk: Vec<Change>,
    memory: Vec<Change>,
    answers: Vec<Answer>,
    pub(super) gets: Vec<Get>,
}

struct Answer {
    out: Out,
    otherwise: Option<Bytes>,
}

impl Outbox {
    pub(super) fn change(&mut self, in_memory: bool, change: Change) {
        let changes = if in_memory { &mut self.memory } else { &mut self.disk };
        changes.push(change);
    }

    /// Sends this once all changes so far are kept; `otherwise` to the same place if they are not.
    pub(super) fn answer(&mut self, out: Out, otherwise: Option<Bytes>) {
        self.answers.push(Answer { out, otherwise });
    }
}

/// Lets streams begin to take messages. They end with the threads of the server.
pub(crate) fn start(
    shared: &Arc<Shared>,
    disk: Arc<dyn Store>,
    stored: &[StoredStream],
) -> Result<(), StoreError> {
    let (intake, outlet) = intake::queue();
    let taps = [("$JS.API.>", Source::Api), ("$JS.ACK.>", Source::Ack), ("$JS.FC.>", Source::Flow)]
        .map(|(pattern, source)| intake.tap(shared, pattern, &source));
    let mut engine = Engine {
        shared: Arc::clone(shared),
        intake,
        disk,
        memory: Arc::new(Memory::new()),
        streams: BTreeMap::new(),
        outbox: Outbox::default(),
        now: now(),
        turn: 0,
        requests: (0, 0),
        busy: false,
        unsaved: None,
    };
    engine.load(stored)?;
    shared.workers.spawn(engine.run(outlet, taps));
    Ok(())
}

impl Engine {
    fn load(&mut self, stored: &[StoredStream]) -> Result<(), StoreError> {
        for stored in stored {
            let stream =
                Stream::of(stored).map_err(|error| StoreError(format!("`{}`: {error}", stored.name)))?;
            self.put(stream);
        }
        Ok(())
    }

    /// Adds a stream that listens from now on.
    pub(super) fn put(&mut self, mut stream: Stream) {
        stream.listen(&self.intake, &self.shared);
        self.streams.insert(stream.config.name.clone(), stream);
    }

    async fn run(mut self, mut outlet: Outlet, _taps: [Subscription; 3]) {
        loop {
            let first = self.wait(&mut outlet).await;
            self.now = now();
            let mut next = first;
            for _ in 0..BATCH {
                let Some(command) = next else { break };
                self.take(&command);
                next = outlet.try_next();
                if next.is_none() {
                    break;
                }
            }
            if let Some(command) = next {
                self.take(&command);
            }
            self.tick();
            self.settle().await;
            self.deliver().await;
            tokio::task::yield_now().await;
        }
    }

    /// The next message; `None` when there is something else to do.
    async fn wait(&self, outlet: &mut Outlet) -> Option<Command> {
        let rest = match self.pause() {
            Some(Duration::ZERO) => return outlet.try_next(),
            rest => rest.unwrap_or(LONG),
        };
        tokio::select! {
            command = outlet.next() => command,
            // Somebody may have begun to listen for whom there are messages.
            () = self.shared.subscribed.notified() => None,
            () = tokio::time::sleep(rest) => None,
        }
    }

    fn take(&mut self, command: &Command) {
        let message = &command.message;
        match &command.source {
            Source::Api => self.api(message),
            Source::Ack => self.acknowledged(message),
            Source::Flow => self.flowed(message),
            Source::Stream(name) => self.publish(name, message),
        }
    }

    /// How long there is nothing to do but wait; `None` for as long as no message comes.
    fn pause(&self) -> Option<Duration> {
        if self.busy {
            return Some(Duration::ZERO);
        }
        let expiries = self.streams.values().filter_map(Stream::next_expiry);
        let consumers = self.streams.values().flat_map(|stream| stream.consumers.values());
        let consumers = consumers.filter_map(Consumer::next_deadline);
        let unsaved = self.unsaved.map(|since| since.saturating_add(SAVE_WITHIN));
        let next = expiries.chain(consumers).chain(unsaved).min()?;
        let pause = u64::try_from(next.saturating_sub(now())).unwrap_or(0);
        // Not more often than timers can tell apart.
        Some(Duration::from_nanos(pause).max(Duration::from_millis(1)))
    }

    /// Does what its time has come for.
    fn tick(&mut self) {
        let Self { streams, outbox, shared, turn, now, .. } = self;
        for stream in streams.values_mut() {
            let expired = stream.expired(*now);
            super::publish::expire(stream, outbox, expired, *now);
            let mut gone = Vec::new();
            for consumer in stream.consumers.values_mut() {
                for out in consumer.tick(*now, shared) {
                    *turn = turn.wrapping_add(1);
                    out.send(shared, *turn);
                }
                if consumer.is_abandoned(*now, shared) {
                    gone.push(consumer.name.clone());
                }
            }
            for name in gone {
                super::consumers::drop_consumer(stream, outbox, &name);
            }
        }
    }

    /// Commits what changed, then answers.
    async fn settle(&mut self) {
        let Self { streams, outbox, .. } = self;
        for stream in streams.values_mut() {
            let in_memory = stream.in_memory();
            if std::mem::take(&mut stream.dirty) {
                outbox.change(in_memory, stream.change());
            }
            let name = &stream.config.name;
            let changed = stream.consumers.values_mut().filter(|consumer| consumer.is_unsaved());
            for consumer in changed {
                outbox.change(in_memory, consumer.change(name));
            }
        }
        self.unsaved = None;
        let Outbox { disk, memory, answers, gets } = std::mem::take(&mut self.outbox);
        if !memory.is_empty()
            && let Err(error) = self.memory.commit(memory).await
        {
            tracing::error!(%error, "memory fails");
        }
        let kept = if disk.is_empty() { Ok(()) } else { self.disk.commit(disk).await };
        if let Err(error) = &kept {
            tracing::error!(%error, "what streams were sent was not kept");
        }
        for Answer { mut out, otherwise } in answers {
            self.turn = self.turn.wrapping_add(1);
            if kept.is_ok() {
                out.send(&self.shared, self.turn);
            } else if let Some(otherwise) = otherwise {
                (out.headers, out.payload) = (Bytes::new(), otherwise);
                out.send(&self.shared, self.turn);
            }
        }
        for get in gets {
            self.get(&get).await;
        }
        if kept.is_err() {
            self.reload().await;
        }
    }

    /// Goes back to what is kept for sure.
    async fn reload(&mut self) {
        self.streams.retain(|_, stream| stream.in_memory());
        loop {
            tokio::time::sleep(AGAIN_AFTER).await;
            let loaded = self.disk.load().await.and_then(|stored| self.load(&stored));
            match loaded {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "streams cannot be read, trying again"),
            }
        }
    }

    pub(super) fn store(&self, in_memory: bool) -> &Arc<dyn Store> {
        if in_memory { &self.memory } else { &self.disk }
    }

    pub(super) fn stream(&mut self, name: &str) -> Result<&mut Stream, ApiError> {
        self.streams.get_mut(name).ok_or_else(ApiError::no_stream)
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = ambient::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
