//! Removing blobs that hold no object: what a crash left between blob and index, and what could not be removed then.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    buckets::objects::{BLOBS, Objects},
    refusal::Refusal,
};

/// Names looked at in one step.
const STEP: u32 = 500;

/// What is younger may be on its way into the index: an upload of a large part may take hours.
const YOUNG: SignedDuration = SignedDuration::from_hours(24);

impl Objects {
    /// Removes blobs that belong to no object and no upload. Returns how many.
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
