//! What goes by itself: objects that are old enough, versions that were replaced long ago, uploads that nobody goes on with.

use jiff::{SignedDuration, Timestamp};

use crate::{
    buckets::{Bucket, Condition, LifecycleRule, Listing, Object, Upload, objects::Objects},
    catalog::Actor,
    refusal::Refusal,
};

/// Objects of one step.
const STEP: u32 = 500;

/// Uploads that were begun so long ago go, whatever is said of their bucket.
const STALE: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Bucket {
    /// When an upload that is not complete goes by itself.
    pub fn upload_ends(&self, upload: &Upload) -> Option<Timestamp> {
        let meant = |rule: &&LifecycleRule| !rule.disabled && upload.key.starts_with(&rule.prefix);
        let days =
            self.settings.lifecycle.iter().filter(meant).filter_map(|rule| rule.abort_uploads_after_days);
        let lifetime = days.min().map_or(STALE, |days| of_days(days).min(STALE));
        upload.begun.checked_add(lifetime).ok()
    }
}

impl Objects {
    /// Removes what the lifecycles of buckets let go. Returns how many versions and uploads.
    pub async fn expire(&self) -> Result<u64, Refusal> {
        let mut removed = 0;
        for bucket in self.all_buckets() {
            for rule in bucket.settings.lifecycle.iter().filter(|rule| !rule.disabled) {
                removed += self.expire_objects(&bucket, rule).await?;
                removed += self.expire_uploads(&bucket, rule).await?;
            }
        }
        Ok(removed)
    }

    /// Gives up uploads that were begun a week ago. Returns how many.
    pub async fn abort_stale(&self) -> Result<u64, Refusal> {
        let before = self.ago(STALE);
        let mut aborted = 0;
        loop {
            let stale = self.uploads.stale(before, STEP).await?;
            if stale.is_empty() {
                return Ok(aborted);
            }
            for (bucket, upload) in stale {
                let freed = self.uploads.abort(&bucket, &upload.id).await?;
                self.free(&freed.unwrap_or_default()).await;
                aborted += 1;
            }
        }
    }

    async fn expire_objects(&self, bucket: &Bucket, rule: &LifecycleRule) -> Result<u64, Refusal> {
        let LifecycleRule { expire_after_days, noncurrent_after_days, expired_markers, .. } = rule;
        if expire_after_days.is_none() && noncurrent_after_days.is_none() && !expired_markers {
            return Ok(0);
        }
        let versions = noncurrent_after_days.is_some() || *expired_markers;
        let mut listing =
            Listing { prefix: rule.prefix.clone(), versions, limit: STEP, ..Listing::default() };
        // What came before a version in the listing is what took its place.
        let (mut removed, mut newer): (u64, Option<(String, Timestamp)>) = (0, None);
        loop {
            let listed = self.index.list(&bucket.id, &listing).await?;
            for object in listed.objects {
                let since = newer.as_ref().filter(|(key, _)| *key == object.key).map(|(_, at)| *at);
                newer = Some((object.key.clone(), object.modified));
                if self.is_due(bucket, rule, (&object, since)).await? {
                    removed += u64::from(self.let_go(bucket, &object).await?);
                }
            }
            let Some(next) = listed.next else { return Ok(removed) };
            listing.after = Some(next);
        }
    }

    /// Whether a version is to go, which something took the place of at `since`.
    async fn is_due(
        &self,
        bucket: &Bucket,
        rule: &LifecycleRule,
        (object, since): (&Object, Option<Timestamp>),
    ) -> Result<bool, Refusal> {
        if !rule.tags.iter().all(|(name, value)| object.tags.get(name) == Some(value)) {
            return Ok(false);
        }
        if let (false, Some(since)) = (object.latest, since) {
            return Ok(rule.noncurrent_after_days.is_some_and(|days| since <= self.ago(of_days(days))));
        }
        if object.latest && object.marker {
            return Ok(rule.expired_markers && self.is_alone(bucket, &object.key).await?);
        }
        let due = |days| object.modified <= self.ago(of_days(days));
        Ok(object.latest && rule.expire_after_days.is_some_and(due))
    }

    /// Whether a key has one version only.
    async fn is_alone(&self, bucket: &Bucket, key: &str) -> Result<bool, Refusal> {
        let listing = Listing { prefix: key.to_owned(), versions: true, limit: 2, ..Listing::default() };
        let listed = self.index.list(&bucket.id, &listing).await?;
        Ok(listed.objects.iter().filter(|object| object.key == key).count() == 1)
    }

    /// Removes a version, unless it was replaced meanwhile. Returns whether it was there.
    async fn let_go(&self, bucket: &Bucket, object: &Object) -> Result<bool, Refusal> {
        let newest = object.latest && !object.marker;
        let (version, condition) = if newest {
            (None, Condition::Etag(vec![object.etag.clone()]))
        } else {
            (Some(object.version.as_str()), Condition::Any)
        };
        match self.delete(Actor::system(), bucket, (&object.key, version), condition).await {
            Ok(gone) => Ok(gone.is_some()),
            Err(refusal) if refusal.code == "precondition_failed" => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    async fn expire_uploads(&self, bucket: &Bucket, rule: &LifecycleRule) -> Result<u64, Refusal> {
        let Some(days) = rule.abort_uploads_after_days else { return Ok(0) };
        let before = self.ago(of_days(days));
        let mut listing = Listing { prefix: rule.prefix.clone(), limit: STEP, ..Listing::default() };
        let mut aborted = 0;
        loop {
            let listed = self.uploads.list(&bucket.id, &listing).await?;
            for (upload, _) in listed.uploads.iter().filter(|(upload, _)| upload.begun <= before) {
                aborted += u64::from(self.abort(bucket, &upload.id).await?);
            }
            let Some(next) = listed.next else { return Ok(aborted) };
            listing.after = Some(next);
        }
    }

    fn ago(&self, time: SignedDuration) -> Timestamp {
        let now = self.feed.clock().now();
        now.checked_sub(time).unwrap_or(Timestamp::MIN)
    }
}

fn of_days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}
