//! The bus that makes events of Flagbase wait for functions.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{NewOccasion, Triggers};
use crate::{
    catalog::DocumentId,
    events::{CloudEvent, EventBus, Halted, Pattern, subject},
    functions::{CompiledFunction, Event, Occasion, On, Trigger},
    snapshot::Snapshot,
};

/// A bus for the relay: an event is on it once it waits, on disk, for each function that is to be told.
pub struct Sink {
    triggers: Arc<Triggers>,
}

impl Sink {
    pub(super) fn new(triggers: Arc<Triggers>) -> Self {
        Self { triggers }
    }
}

/// A trigger that may be meant by events of its environment.
struct Ear<'s> {
    environment: &'s str,
    function: &'s CompiledFunction,
    trigger: &'s Trigger,
    on: Heeds<'s>,
}

enum Heeds<'s> {
    Subjects(Pattern),
    Objects { bucket: &'s str, prefix: &'s str, events: &'s [String] },
}

#[async_trait]
impl EventBus for Sink {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), Halted> {
        let snapshot = self.triggers.feed.snapshots().get();
        let ears = ears(&snapshot);
        if ears.is_empty() {
            return Ok(());
        }
        let now = self.triggers.feed.clock().now();
        let new: Vec<_> =
            events.iter().flat_map(|event| ears.iter().filter_map(move |ear| ear.told(event, now))).collect();
        if new.is_empty() {
            return Ok(());
        }
        // Offered again after a crash or a failure, an event that still waits does not wait twice.
        self.triggers.enqueue(new).await.map_err(|error| Halted::unavailable(0, error))
    }
}

fn ears(snapshot: &Snapshot) -> Vec<Ear<'_>> {
    let functions = snapshot.environments().flat_map(|environment| environment.functions.values());
    let ready = functions.filter(|function| !function.versions().is_empty());
    let triggers =
        ready.flat_map(|function| function.triggers.iter().map(move |trigger| (function, trigger)));
    let ears = triggers.filter_map(|(function, trigger)| {
        let on = match &trigger.on {
            On::Schedule { .. } => return None,
            // What programs say does not come this way.
            On::Subject { subject, .. } if !of_flagbase(subject) => return None,
            On::Subject { subject, .. } => Heeds::Subjects(subject.parse().ok()?),
            On::Bucket { bucket, prefix, events, .. } => Heeds::Objects { bucket, prefix, events },
        };
        Some(Ear { environment: &function.environment, function, trigger, on })
    });
    ears.collect()
}

/// Whether a pattern is about what Flagbase says.
pub(super) fn of_flagbase(pattern: &str) -> bool {
    pattern.split('.').next() == Some(subject::ROOT)
}

impl Ear<'_> {
    /// What waits for this function because of `event`.
    fn told(&self, event: &CloudEvent, now: Timestamp) -> Option<NewOccasion> {
        if event.environment() != Some(self.environment) || self.did(event) {
            return None;
        }
        let subject = match &self.on {
            Heeds::Subjects(pattern) => event.subjects().find(|subject| pattern.matches(subject))?,
            Heeds::Objects { bucket, prefix, events } => {
                let what = event.event_type.strip_prefix("flagbase.bucket.object_")?;
                let key = event.data.pointer("/detail/key")?.as_str()?;
                let meant = event.subject == *bucket
                    && key.starts_with(prefix)
                    && (events.is_empty() || events.iter().any(|wanted| wanted == what));
                meant.then(|| event.event_type.clone())?
            }
        };
        let occasion = Occasion::Event(Event {
            id: event.id.clone(),
            subject,
            kind: event.event_type.clone(),
            time: event.time.parse().unwrap_or(now),
            content_type: "application/cloudevents+json".to_owned(),
            data: serde_json::to_vec(event).ok()?.into(),
            attempt: 1,
        });
        let id = event.id.clone();
        Some(NewOccasion::of(self.function, self.trigger, id, occasion, now))
    }

    /// Whether the function itself caused the event, or it is about what it did not take.
    fn did(&self, event: &CloudEvent) -> bool {
        let actor = |member| event.data.pointer(member).and_then(|value| value.as_str());
        let own = actor("/actor/kind") == Some("function") && actor("/actor/id") == Some(&self.function.name);
        own || event.event_type == DEAD_LETTERED && event.subject == *self.function.name
    }
}

/// The type of the event that says that a function did not take something.
pub(super) const DEAD_LETTERED: &str = "flagbase.function.dead_lettered";

impl NewOccasion {
    /// `occasion`, called `id`, for a trigger of `function`, from now on.
    pub(super) fn of(
        function: &CompiledFunction,
        trigger: &Trigger,
        id: String,
        occasion: Occasion,
        now: Timestamp,
    ) -> Self {
        let attempts = match &trigger.on {
            On::Schedule { .. } => 1,
            On::Subject { attempts, .. } | On::Bucket { attempts, .. } => *attempts,
        };
        let (function, trigger) = (document(function), trigger.name.clone());
        Self { function, trigger, id, occasion, attempts, at: now, dead: None }
    }
}

/// The document of a function.
pub(super) fn document(function: &CompiledFunction) -> DocumentId {
    DocumentId {
        kind: crate::catalog::Kind::Function,
        environment: Arc::clone(&function.environment),
        key: Arc::clone(&function.name),
    }
}
