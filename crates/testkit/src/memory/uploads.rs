//! Uploads under way, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flagbase_core::{
    buckets::{
        IndexError, Listing, Object, Placed, Position, Quota, Terms, Upload, UploadPart, Uploads,
        UploadsListed,
    },
    catalog::{Commit, DocumentId},
};
use jiff::Timestamp;

use super::{
    Memory,
    objects::{Held, group},
};

impl Held {
    fn key_of(&self, id: &str) -> Option<(String, String)> {
        self.uploads.keys().find(|(_, known)| known == id).cloned()
    }
}

#[async_trait]
impl Uploads for Memory {
    async fn begin(&self, bucket: &DocumentId, upload: Upload) -> Result<(), IndexError> {
        let mut state = self.state.lock();
        let place = (upload.key.clone(), upload.id.clone());
        state.held(bucket)?.uploads.insert(place, (upload, BTreeMap::default()));
        Ok(())
    }

    async fn get(&self, bucket: &DocumentId, id: &str) -> Result<Option<Upload>, IndexError> {
        let state = self.state.lock();
        let held = state.kept.held.get(bucket);
        let found = held.and_then(|held| held.uploads.get(&held.key_of(id)?));
        Ok(found.map(|(upload, _)| upload.clone()))
    }

    async fn part(
        &self,
        bucket: &DocumentId,
        id: &str,
        part: UploadPart,
        quota: Quota,
    ) -> Result<Vec<String>, IndexError> {
        let mut state = self.state.lock();
        let held = state.held(bucket)?;
        let place = held.key_of(id).ok_or(IndexError::NoUpload)?;
        let mut next = held.clone();
        let (_, parts) = next.uploads.get_mut(&place).ok_or(IndexError::NoUpload)?;
        let before = parts.insert(part.number, part);
        next.within(quota)?;
        *held = next;
        Ok(before.map(|before| before.piece.blob).into_iter().collect())
    }

    async fn parts(
        &self,
        bucket: &DocumentId,
        id: &str,
        after: u32,
        limit: u32,
    ) -> Result<Vec<UploadPart>, IndexError> {
        let state = self.state.lock();
        let held = state.kept.held.get(bucket);
        let found = held.and_then(|held| held.uploads.get(&held.key_of(id)?));
        let parts = found.into_iter().flat_map(|(_, parts)| parts.values());
        Ok(parts.filter(|part| part.number > after).take(limit as usize).cloned().collect())
    }

    async fn list(&self, bucket: &DocumentId, listing: &Listing) -> Result<UploadsListed, IndexError> {
        let state = self.state.lock();
        Ok(state.kept.held.get(bucket).map(|held| list(held, listing)).unwrap_or_default())
    }

    async fn complete(
        &self,
        bucket: &DocumentId,
        id: &str,
        (object, terms): (Object, Terms),
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        let mut state = self.state.lock();
        let held = state.held(bucket)?;
        let place = held.key_of(id).ok_or(IndexError::NoUpload)?;
        let before = held.clone();
        let (_, parts) = held.uploads.remove(&place).ok_or(IndexError::NoUpload)?;
        let mut unused: Vec<String> = parts.into_values().map(|part| part.piece.blob).collect();
        let mut known = true;
        for piece in &object.pieces {
            known &= unused.contains(&piece.blob);
            unused.retain(|blob| *blob != piece.blob);
        }
        let placed =
            if known { state.place(bucket, (object, terms), commit) } else { Err(IndexError::BadPart) };
        match placed {
            Ok(mut placed) => {
                placed.freed.extend(unused);
                Ok(placed)
            }
            Err(error) => {
                *state.held(bucket)? = before;
                Err(error)
            }
        }
    }

    async fn abort(&self, bucket: &DocumentId, id: &str) -> Result<Option<Vec<String>>, IndexError> {
        let mut state = self.state.lock();
        let held = state.held(bucket)?;
        let Some(place) = held.key_of(id) else { return Ok(None) };
        let gone = held.uploads.remove(&place);
        Ok(gone.map(|(_, parts)| parts.into_values().map(|part| part.piece.blob).collect()))
    }

    async fn stale(&self, before: Timestamp, limit: u32) -> Result<Vec<(DocumentId, Upload)>, IndexError> {
        let state = self.state.lock();
        let all = state.kept.held.iter().flat_map(|(bucket, held)| {
            held.uploads.values().map(|(upload, _)| (bucket.clone(), upload.clone()))
        });
        let mut found: Vec<_> = all.filter(|(_, upload)| upload.begun < before).collect();
        found.sort_by(|(_, a), (_, b)| (a.begun, &a.id).cmp(&(b.begun, &b.id)));
        found.truncate(limit as usize);
        Ok(found)
    }
}

fn list(held: &Held, listing: &Listing) -> UploadsListed {
    let mut items: Vec<(String, Option<(Upload, u64)>)> = Vec::new();
    for ((key, _), (upload, parts)) in
        held.uploads.iter().filter(|((key, _), _)| key.starts_with(&listing.prefix))
    {
        match group(key, listing) {
            Some(group) if items.iter().any(|(known, one)| *known == group && one.is_none()) => {}
            Some(group) => items.push((group, None)),
            None => {
                let there = parts.values().map(|part| part.piece.size).sum();
                items.push((key.clone(), Some((upload.clone(), there))));
            }
        }
    }
    let after = |(key, one): &(String, Option<(Upload, u64)>)| {
        listing.after.as_ref().is_none_or(|after| match one {
            Some((upload, _)) if *key == after.key => !after.version.is_empty() && upload.id > after.version,
            _ => *key > after.key,
        })
    };
    let mut rest = items.into_iter().filter(after);
    let (mut listed, mut last) = (UploadsListed::default(), None);
    for (key, one) in rest.by_ref().take(listing.limit as usize) {
        let version = one.as_ref().map(|(upload, _)| upload.id.clone()).unwrap_or_default();
        last = Some(Position { key: key.clone(), version });
        match one {
            Some(upload) => listed.uploads.push(upload),
            None => listed.prefixes.push(key),
        }
    }
    listed.next = last.filter(|_| rest.next().is_some());
    listed
}
