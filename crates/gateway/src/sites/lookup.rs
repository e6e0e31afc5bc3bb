//! Which object answers for a path.

use std::sync::Arc;

use flagbase_core::{
    buckets::{Bucket, Listing, Object, empty_release},
    gateway::BucketTarget,
    refusal::{Class, Refusal},
};
use http::{HeaderMap, StatusCode, header};

use super::{Sites, sending::Request};

/// The code of what is said of a release that holds nothing.
pub(super) const NO_RELEASE: &str = "release_not_found";

/// A prefix in a bucket.
pub(super) struct Release<'a> {
    pub(super) bucket: &'a Arc<Bucket>,
    pub(super) target: &'a BucketTarget,
}

/// What was found for a path.
pub(super) enum Found {
    /// This is sent.
    Page(Page),
    /// There is a page for the path with a `/` at its end.
    Below,
    /// There is nothing, and nothing is said for such a case.
    Nothing,
}

/// An object that is sent, and as what.
pub(super) struct Page {
    pub(super) object: Arc<Object>,
    pub(super) status: StatusCode,
}

impl Page {
    fn of(object: Arc<Object>) -> Self {
        Self { object, status: StatusCode::OK }
    }
}

impl Sites {
    /// What answers for `path` below the release; `whole` is the path that the client knows.
    ///
    /// # Errors
    /// When the index cannot be read, or the release holds nothing at all.
    pub(super) async fn find(
        &self,
        release: &Release<'_>,
        path: &str,
        whole: &str,
        request: &Request<'_>,
    ) -> Result<Found, Refusal> {
        let Release { bucket, target } = *release;
        let site = bucket.site();
        let directory = path.is_empty() || path.ends_with('/');
        if let Some(key) = target.key(path) {
            if directory {
                if let Some(object) = self.object(bucket, &format!("{key}{}", site.index)).await? {
                    // Links on the page are relative to where the client thinks it is.
                    let below = !whole.ends_with('/');
                    return Ok(if below { Found::Below } else { Found::Page(Page::of(object)) });
                }
            } else {
                if let Some(object) = self.object(bucket, &key).await? {
                    return Ok(Found::Page(Page::of(object)));
                }
                if self.object(bucket, &format!("{key}/{}", site.index)).await?.is_some() {
                    return Ok(Found::Below);
                }
            }
        }
        let index = self.object(bucket, &format!("{}{}", target.prefix, site.index)).await?;
        if index.is_none() {
            self.holds_something(release).await?;
        }
        if let Some(object) = index.filter(|_| site.spa && is_navigation(path, request.sent)) {
            return Ok(Found::Page(Page::of(object)));
        }
        let Some(error) = &site.error else { return Ok(Found::Nothing) };
        let object = self.object(bucket, &format!("{}{error}", target.prefix)).await?;
        let page = object.map(|object| Page { object, status: StatusCode::NOT_FOUND });
        Ok(page.map_or(Found::Nothing, Found::Page))
    }

    async fn object(&self, bucket: &Bucket, key: &str) -> Result<Option<Arc<Object>>, Refusal> {
        self.objects.head(bucket, key, None).await
    }

    /// The same for what is mostly not there: that is remembered, too.
    pub(super) async fn sibling(&self, bucket: &Bucket, key: &str) -> Result<Option<Arc<Object>>, Refusal> {
        // Before the index is read: what is written after this moment moves it.
        let stamp = self.feed.epochs().of_object(bucket.name(), key);
        if self.absent.has(bucket, key, stamp) {
            return Ok(None);
        }
        let found = self.object(bucket, key).await?;
        if found.is_none() {
            self.absent.note(bucket, key, stamp);
        }
        Ok(found)
    }

    /// A release without a single object was never uploaded, or was deleted: that is not for the client to find out.
    async fn holds_something(&self, release: &Release<'_>) -> Result<(), Refusal> {
        let prefix = release.target.prefix.to_string();
        let listing = Listing { prefix, limit: 1, ..Listing::default() };
        if self.objects.list(release.bucket, &listing).await?.objects.is_empty() {
            let message = empty_release(release.bucket, &release.target.prefix);
            return Err(Refusal::new(Class::Internal, NO_RELEASE, message));
        }
        Ok(())
    }
}

/// Whether somebody goes to a page, rather than a page asking for a part of it.
fn is_navigation(path: &str, sent: &HeaderMap) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let mut accepts = sent.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    !last.contains('.') && accepts.any(|value| value.to_ascii_lowercase().contains("text/html"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn pages_are_gone_to_and_files_are_not() {
        let accepts = |value| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
        let browser = accepts("text/html,application/xhtml+xml,*/*;q=0.8");
        for (path, expected) in
            [("/cart/3", true), ("/cart/", true), ("", true), ("/app.js", false), ("/a.b/c", true)]
        {
            assert_eq!(is_navigation(path, &browser), expected, "{path}");
        }
        assert!(!is_navigation("/cart", &accepts("*/*")) && !is_navigation("/cart", &HeaderMap::new()));
    }
}
