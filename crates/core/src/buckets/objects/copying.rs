//! Copying an object without moving its bytes.

use std::collections::BTreeMap;

use super::{Bucket, Condition, Object, ObjectHead, Objects, Piece, check};
use crate::{
    catalog::Actor,
    refusal::{Class, Refusal},
};

/// How often an object is looked for again that was replaced while it was being copied.
const LOOKS: usize = 5;

/// May refuse what is to be copied.
pub type Fits = dyn Fn(&Object) -> Result<(), Refusal> + Send + Sync;

/// A copy to be made.
#[derive(Debug, Default)]
pub struct Copying<'a> {
    /// The key of what is copied.
    pub from: &'a str,
    /// Its version; `None`: the newest.
    pub version: Option<&'a str>,
    /// The key of the copy.
    pub to: &'a str,
    /// In place of the head of what is copied.
    pub head: Option<ObjectHead>,
    /// In place of the tags of what is copied.
    pub tags: Option<BTreeMap<String, String>>,
    /// What must be at the copy's key now.
    pub condition: Condition,
}

impl Objects {
    /// Copies an object from one bucket to another, or within one. The copy has the same `ETag`. `fits` may refuse what is
    /// to be copied; `None` when there is nothing to copy.
    pub async fn copy(
        &self,
        actor: Actor,
        (source, target): (&Bucket, &Bucket),
        copying: Copying<'_>,
        fits: &Fits,
    ) -> Result<Option<Object>, Refusal> {
        let Copying { from, version, to, head, tags, condition } = copying;
        for _ in 0..LOOKS {
            let Some(found) = self.head(source, from, version).await?.filter(|object| !object.marker) else {
                return Ok(None);
            };
            fits(&found)?;
            let head = head.clone().unwrap_or_else(|| found.head.clone());
            let tags = tags.clone().unwrap_or_else(|| found.tags.clone());
            check((to, &head, &tags))?;
            if target.settings.quota.bytes.is_some_and(|most| found.size > most) {
                let most = target.settings.quota.bytes.unwrap_or_default();
                return Err(crate::buckets::IndexError::QuotaBytes(most).into());
            }
            let Some(pieces) = self.copied(&found.pieces).await? else {
                self.cache.forget(source, from);
                continue;
            };
            let object = Object {
                key: to.to_owned(),
                version: self.version(target),
                modified: self.feed.clock().now(),
                latest: true,
                head,
                tags,
                pieces,
                ..(*found).clone()
            };
            return self.place(actor, target, object, condition).await.map(Some);
        }
        let message = format!("{} is being replaced again and again; try later", crate::buckets::shown(from));
        Err(Refusal::new(Class::Conflict, "object_busy", message))
    }

    /// The same bytes under names of their own; `None` when some are gone.
    pub(super) async fn copied(&self, pieces: &[Piece]) -> Result<Option<Vec<Piece>>, Refusal> {
        let mut copies: Vec<Piece> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let blob = self.blob_name();
            let done = self.blobs.copy(&piece.blob, &blob).await;
            if !matches!(done, Ok(true)) {
                let blobs: Vec<_> = copies.into_iter().map(|copy| copy.blob).collect();
                self.free(&blobs).await;
                return Ok(done.map(|_| None)?);
            }
            copies.push(Piece { blob, ..piece.clone() });
        }
        Ok(Some(copies))
    }
}
