//! What programs say on the bus: heard, and made to wait for functions before it counts as taken.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{NewOccasion, Triggers, sink::of_flagbase};
use crate::{
    events::{Hear, Heard, Listening, Messages},
    functions::{CompiledFunction, Event, Occasion, On, Trigger},
    snapshot::Snapshot,
};

/// Messages that were heard and are not on disk yet, at most.
const MOST_HELD: usize = 4096;

/// Their bytes, at most.
const MOST_BYTES: usize = 64 << 20;

/// Messages stored at once.
const BATCH: usize = 64;

/// How long nothing is stored after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A message, and the pattern by which it was heard.
type Held = (Arc<str>, Heard);

/// What hears.
struct Ears {
    sender: mpsc::Sender<Held>,
    bytes: Arc<AtomicUsize>,
    missed: Arc<AtomicU64>,
    listening: HashMap<Arc<str>, Listening>,
}

/// Listens to what functions want to hear until `stop`, and then stores what was heard.
pub(super) async fn listen(triggers: Arc<Triggers>, bus: Arc<dyn Messages>, stop: CancellationToken) {
    let (sender, mut messages) = mpsc::channel(MOST_HELD);
    let mut ears = Ears { sender, bytes: Arc::default(), missed: Arc::default(), listening: HashMap::new() };
    let mut head = triggers.feed.follow();
    let mut batch = Vec::new();
    loop {
        head.mark_unchanged();
        ears.adjust(&triggers.feed.snapshots().load(), bus.as_ref());
        tokio::select! {
            () = stop.cancelled() => break,
            changed = head.changed() => if changed.is_err() { break },
            _ = messages.recv_many(&mut batch, BATCH) => triggers.keep(&mut batch, &ears, &stop).await,
        }
    }
    // Nothing more is heard; what was is kept.
    ears.listening.clear();
    messages.close();
    while messages.recv_many(&mut batch, BATCH).await > 0 {
        triggers.keep(&mut batch, &ears, &stop).await;
    }
}

impl Ears {
    /// Listens to what is to be heard now, and to nothing else.
    fn adjust(&mut self, snapshot: &Snapshot, bus: &dyn Messages) {
        let wanted: BTreeSet<_> = wishes(snapshot).map(|(_, _, pattern)| pattern).collect();
        self.listening.retain(|pattern, _| wanted.contains(&**pattern));
        for pattern in wanted {
            if self.listening.contains_key(pattern) {
                continue;
            }
            match bus.listen(pattern, self.hear(pattern)) {
                Ok(listening) => drop(self.listening.insert(pattern.into(), listening)),
                Err(error) => tracing::warn!(pattern, "a function cannot hear what it is to hear: {error}"),
            }
        }
    }

    fn hear(&self, pattern: &str) -> Hear {
        let (pattern, sender): (Arc<str>, _) = (pattern.into(), self.sender.clone());
        let (bytes, missed) = (Arc::clone(&self.bytes), Arc::clone(&self.missed));
        Arc::new(move |heard: Heard| {
            let size = heard.payload.len();
            let fits = bytes.fetch_add(size, Relaxed) + size <= MOST_BYTES;
            let taken = fits && sender.try_send((Arc::clone(&pattern), heard)).is_ok();
            if !taken {
                bytes.fetch_sub(size, Relaxed);
                missed.fetch_add(1, Relaxed);
            }
            taken
        })
    }

    fn tell_missed(&self) {
        let missed = self.missed.swap(0, Relaxed);
        if missed > 0 {
            tracing::warn!(
                missed,
                "messages for functions were missed: they came faster than they could be stored"
            );
        }
    }
}

impl Triggers {
    /// Makes messages wait for whom they are meant for, and tries for as long as the store fails and nobody says stop.
    async fn keep(&self, batch: &mut Vec<Held>, ears: &Ears, stop: &CancellationToken) {
        let bytes = batch.iter().map(|(_, heard)| heard.payload.len()).sum();
        let new = self.meant(std::mem::take(batch));
        while let Err(error) = self.enqueue(new.clone()).await {
            tracing::warn!("messages for functions cannot be stored now, trying again: {error}");
            if stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none() {
                tracing::error!(
                    messages = new.len(),
                    "messages for functions were lost: the store failed until the end"
                );
                break;
            }
        }
        ears.bytes.fetch_sub(bytes, Relaxed);
        ears.tell_missed();
    }

    fn meant(&self, batch: Vec<Held>) -> Vec<NewOccasion> {
        let snapshot = self.feed.snapshots().get();
        let now = self.feed.clock().now();
        let mut new = Vec::new();
        for (pattern, heard) in batch {
            let Heard { subject, id, content_type, payload } = heard;
            let id = id.unwrap_or_else(|| self.feed.random().uuid7(self.feed.clock()).to_string());
            let (kind, data) = (String::new(), payload);
            let event = Event { id, subject, kind, time: now, content_type, data, attempt: 1 };
            for (function, trigger, _) in wishes(&snapshot).filter(|(_, _, wanted)| *wanted == &*pattern) {
                let occasion = Occasion::Event(event.clone());
                new.push(NewOccasion::of(function, trigger, event.id.clone(), occasion, now));
            }
        }
        new
    }
}

/// What functions want to hear of what programs say.
fn wishes(snapshot: &Snapshot) -> impl Iterator<Item = (&CompiledFunction, &Trigger, &str)> {
    let functions = snapshot.environments().flat_map(|environment| environment.functions.values());
    let ready = functions.filter(|function| !function.versions().is_empty());
    let triggers =
        ready.flat_map(|function| function.triggers.iter().map(move |trigger| (&**function, trigger)));
    triggers.filter_map(|(function, trigger)| match &trigger.on {
        On::Subject { subject, .. } if !of_flagbase(subject) => Some((function, trigger, subject.as_str())),
        _ => None,
    })
}
