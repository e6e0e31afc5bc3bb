//! What buckets need that nobody asks for: strays go, what is to go by itself goes, and bytes that rotted are found.

mod lifecycle;
mod scrub;
mod sweep;

use std::{sync::Arc, time::Duration};

use super::Objects;
use crate::{metrics::Meters, tasks::Tasks};

pub use scrub::{Damage, Scrubbed};

/// How often it is looked for what is to go by itself.
const HOURLY: Duration = Duration::from_hours(1);

/// How often everything is looked through.
const DAILY: Duration = Duration::from_hours(24);

/// Bytes that are read per second to look for damage: little enough that nobody else notices.
const SCRUB_RATE: u64 = 16 << 20;

/// Looks after what is in buckets.
pub struct Upkeep {
    objects: Arc<Objects>,
    meters: Arc<Meters>,
}

impl Upkeep {
    /// Looks after `objects`.
    pub fn new(objects: Arc<Objects>, meters: Arc<Meters>) -> Self {
        Self { objects, meters }
    }

    /// Begins now and goes on until shutdown.
    pub fn start(self: Arc<Self>, tasks: &Tasks) {
        let upkeep = Arc::clone(&self);
        repeat(tasks, "buckets.sweep", DAILY, move || Arc::clone(&upkeep).sweep());
        let upkeep = Arc::clone(&self);
        repeat(tasks, "buckets.expire", HOURLY, move || Arc::clone(&upkeep).expire());
        repeat(tasks, "buckets.scrub", DAILY, move || Arc::clone(&self).scrub());
    }

    async fn sweep(self: Arc<Self>) {
        match self.objects.sweep().await {
            Ok(0) => {}
            Ok(blobs) => tracing::info!(blobs, "removed what was no object any more"),
            Err(error) => tracing::warn!("blobs could not be looked through: {error}"),
        }
    }

    async fn expire(self: Arc<Self>) {
        match self.objects.expire().await {
            Ok(0) => {}
            Ok(objects) => tracing::info!(objects, "removed what the lifecycle of its bucket lets go"),
            Err(error) => tracing::warn!("what is to go by itself could not be looked for: {error}"),
        }
        match self.objects.abort_stale().await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "gave up uploads that nobody went on with"),
            Err(error) => tracing::warn!("old uploads could not be looked for: {error}"),
        }
    }

    async fn scrub(self: Arc<Self>) {
        match self.objects.scrub(Some(SCRUB_RATE)).await {
            Ok(Scrubbed { damaged, .. }) => {
                self.meters.damaged_objects(damaged.len());
                for Damage { bucket, key, version, why } in damaged {
                    tracing::error!(%bucket, key, version, "an object is damaged: {why}; write it again from a copy");
                }
            }
            Err(error) => tracing::warn!("objects could not be looked through for damage: {error}"),
        }
    }
}

/// Does `work` now, and again each time `every` has passed.
fn repeat<F>(tasks: &Tasks, name: &'static str, every: Duration, work: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let stop = tasks.stopping();
    tasks.spawn(name, async move {
        while stop.run_until_cancelled(work()).await.is_some()
            && stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some()
        {}
    });
}
