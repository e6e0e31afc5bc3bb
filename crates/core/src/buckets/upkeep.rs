//! What buckets need that nobody asks for.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::objects::{BLOBS, Objects};
use crate::{refusal::Refusal, tasks::Tasks};

/// Names looked at in one step.
const STEP: u32 = 500;

/// What is younger may be on its way into the index.
const YOUNG: SignedDuration = SignedDuration::from_hours(1);

/// How often everything is looked through.
const EVERY: Duration = Duration::from_hours(24);

/// Looks after what is in buckets.
pub struct Upkeep;

/// An object whose bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage;

impl Objects {
    /// Sweeps now, and once a day until shutdown.
    pub fn start(self: Arc<Self>, tasks: &Tasks) {
        let stop = tasks.stopping();
        tasks.spawn("buckets.sweep", async move {
            loop {
                match stop.run_until_cancelled(self.sweep()).await {
                    None => return,
                    Some(Ok(0)) => {}
                    Some(Ok(blobs)) => tracing::info!(blobs, "removed what was no object any more"),
                    Some(Err(error)) => tracing::warn!("blobs could not be looked through: {error}"),
                }
                if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Removes blobs that belong to no object. Returns how many.
    pub async fn sweep(&self) -> Result<u64, Refusal> {
        let now = self.feed.clock().now();
        let (mut after, mut removed) = (String::new(), 0);
        loop {
            let names = self.blobs.list(BLOBS, &after, STEP).await?;
            let Some(last) = names.last() else { return Ok(removed) };
            after.clone_from(last);
            let old: Vec<_> = names.into_iter().filter(|name| is_old(name, now)).collect();
            for stray in self.index.strays(old).await? {
                self.blobs.delete(&stray).await?;
                removed += 1;
            }
        }
    }
}

/// Whether the blob was named long ago; what is no name of ours is never old.
fn is_old(name: &str, now: Timestamp) -> bool {
    let id = name.rsplit('/').next().and_then(|word| Uuid::parse_str(word).ok());
    let named = id.and_then(|id| id.get_timestamp()).and_then(|time| {
        let (seconds, nanos) = time.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    });
    named.is_some_and(|named| now.duration_since(named) > YOUNG)
}
