//! Releases that routes lead to and that nobody uploaded yet.

use super::{Buckets, Listing, empty_release};
use crate::{gateway::BucketTarget, refusal::Refusal};

impl Buckets {
    /// One sentence for each release that the route leads to and that holds nothing yet. That is permitted: whoever rolls
    /// out a release may write the route first.
    pub async fn empty_releases(&self, environment: &str, route: &str) -> Result<Vec<String>, Refusal> {
        let snapshot = self.feed.snapshots().get();
        let place = snapshot.require_environment(environment)?;
        let targets = place.routes.route(route).map(|route| route.route.buckets().collect::<Vec<_>>());
        let mut told = Vec::new();
        for BucketTarget { name, prefix } in targets.unwrap_or_default() {
            let Some(bucket) = place.buckets.get(&*name) else { continue };
            let listing = Listing { prefix: prefix.to_string(), limit: 1, ..Listing::default() };
            if self.objects.list(bucket, &listing).await?.objects.is_empty() {
                told.push(empty_release(bucket, &prefix));
            }
        }
        told.sort();
        told.dedup();
        Ok(told)
    }
}
