//! Sweeping away what was kept for versions that are gone.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Functions, Refusal, of_blobs};
use crate::{
    catalog::Kind,
    functions::{CODE, Digest},
    tasks::Tasks,
};

/// Time between two sweeps.
const EVERY: Duration = Duration::from_hours(1);

/// Time until a sweep that had to wait for a deployment is tried again.
const SOON: Duration = Duration::from_mins(1);

/// Names read at once.
const PAGE: u32 = 1000;

impl Functions {
    /// Starts the task that sweeps, at once and then now and then.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (functions, stop) = (Arc::clone(self), tasks.stopping());
        tasks.spawn("functions.sweep", async move {
            loop {
                let Some(swept) = stop.run_until_cancelled(functions.sweep()).await else { return };
                let pause = match swept {
                    Ok(Some(0)) => EVERY,
                    Ok(Some(blobs)) => {
                        tracing::info!(blobs, "swept away code that no function names any more");
                        EVERY
                    }
                    Ok(None) => SOON,
                    Err(error) => {
                        tracing::warn!(%error, "could not sweep away old code; trying again later");
                        EVERY
                    }
                };
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Forgets everything kept for code that no function names. Returns how many blobs went; `None` when something is
    /// being deployed right now, whose code nothing names yet.
    pub async fn sweep(&self) -> Result<Option<usize>, Refusal> {
        let Ok(_alone) = self.storing.try_write() else { return Ok(None) };
        let alive = self.alive().await?;
        let (mut after, mut gone) = (String::new(), 0);
        loop {
            let names = self.blobs.list(CODE, &after, PAGE).await.map_err(of_blobs)?;
            for name in names.iter().filter(|name| !alive.contains(digits(name))) {
                self.blobs.delete(name).await.map_err(of_blobs)?;
                gone += 1;
            }
            match names.last() {
                Some(last) if names.len() == PAGE as usize => after.clone_from(last),
                _ => break,
            }
        }
        self.runner.compute().retain(&|digest: &Digest| alive.contains(digest.hex().as_str())).await;
        let snapshot = self.feed.snapshots().get();
        self.runner.retain(&|environment, function| {
            snapshot.environment(environment).is_some_and(|it| it.functions.contains_key(function))
        });
        Ok(Some(gone))
    }

    /// The digests that stored functions name, read from the catalog itself: a document that makes no sense to this
    /// release is not in the snapshot, and keeps its code all the same.
    async fn alive(&self) -> Result<HashSet<String>, Refusal> {
        let mut alive = HashSet::new();
        self.feed
            .catalog()
            .scan(&mut |document| {
                if document.id.kind == Kind::Function {
                    let versions = document.body.get("versions").and_then(Value::as_array);
                    let digests = versions.into_iter().flatten().filter_map(|it| it.get("digest")?.as_str());
                    alive.extend(digests.map(|digest| digits(digest).to_owned()));
                }
            })
            .await?;
        Ok(alive)
    }
}

/// The digits of a digest, out of a blob's name or as it is written.
fn digits(text: &str) -> &str {
    text.rsplit(['/', ':']).next().unwrap_or(text)
}
