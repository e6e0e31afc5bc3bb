//! What is in buckets, in memory: slow and obvious.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use flagbase_core::{
    buckets::{
        Amendment, Condition, Deletion, IndexError, Listed, Listing, Object, ObjectIndex, Placed, Position,
        Quota, Terms, Upload, UploadPart, Usage,
    },
    catalog::{Commit, DocumentId},
};

use super::{Memory, State};

/// What is in one bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Versions of each key, the newest last.
    pub(super) objects: BTreeMap<String, Vec<Object>>,
    /// By key and id.
    pub(super) uploads: BTreeMap<(String, String), (Upload, BTreeMap<u32, UploadPart>)>,
}

impl Held {
    fn newest(&self, key: &str) -> Option<&Object> {
        self.objects.get(key).and_then(|versions| versions.last())
    }

    fn find(&self, key: &str, version: Option<&str>) -> Option<&Object> {
        match version {
            None => self.newest(key),
            Some(version) => self.objects.get(key)?.iter().find(|object| object.version == version),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for versions in self.objects.values() {
            for (at, object) in versions.iter().enumerate() {
                let newest = at + 1 == versions.len() && !object.marker;
                let (count, bytes) = if newest {
                    (&mut usage.objects, &mut usage.bytes)
                } else {
                    (&mut usage.older, &mut usage.older_bytes)
                };
                *count += 1;
                *bytes += object.size;
            }
        }
        for (_, parts) in self.uploads.values() {
            usage.uploads += 1;
            usage.uploaded_bytes += parts.values().map(|part| part.piece.size).sum::<u64>();
        }
        usage
    }

    pub(super) fn within(&self, quota: Quota) -> Result<(), IndexError> {
        let usage = self.usage();
        if let Some(most) = quota.objects.filter(|most| usage.objects + usage.older > *most) {
            return Err(IndexError::QuotaObjects(most));
        }
        match quota.bytes.filter(|most| usage.all_bytes() > *most) {
            Some(most) => Err(IndexError::QuotaBytes(most)),
            None => Ok(()),
        }
    }

    /// Makes `object` the newest of its key. Returns what is freed.
    fn insert(&mut self, object: Object) -> Vec<String> {
        let freed = self.remove(&object.key, &object.version).map(|gone| blobs(&gone)).unwrap_or_default();
        let versions = self.objects.entry(object.key.clone()).or_default();
        versions.push(object);
        relabel(versions);
        freed
    }

    fn remove(&mut self, key: &str, version: &str) -> Option<Object> {
        let versions = self.objects.get_mut(key)?;
        let at = versions.iter().position(|object| object.version == version)?;
        let gone = versions.remove(at);
        relabel(versions);
        if versions.is_empty() {
            self.objects.remove(key);
        }
        Some(gone)
    }

    fn blobs(&self) -> impl Iterator<Item = &String> {
        let objects = self.objects.values().flatten().flat_map(|object| &object.pieces);
        let parts = self.uploads.values().flat_map(|(_, parts)| parts.values().map(|part| &part.piece));
        objects.chain(parts).map(|piece| &piece.blob)
    }
}

fn relabel(versions: &mut [Object]) {
    let count = versions.len();
    for (at, object) in versions.iter_mut().enumerate() {
        object.latest = at + 1 == count;
    }
}

pub(super) fn blobs(object: &Object) -> Vec<String> {
    object.pieces.iter().map(|piece| piece.blob.clone()).collect()
}

impl State {
    /// The bucket, when its document is there.
    pub(super) fn held(&mut self, bucket: &DocumentId) -> Result<&mut Held, IndexError> {
        if !self.log.documents.contains_key(bucket) {
            return Err(IndexError::NoBucket);
        }
        Ok(self.kept.held.entry(bucket.clone()).or_default())
    }

    pub(super) fn place(
        &mut self,
        bucket: &DocumentId,
        (object, terms): (Object, Terms),
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        let held = self.held(bucket)?;
        if !terms.condition.holds(held.newest(&object.key)) {
            return Err(IndexError::Precondition);
        }
        let mut next = held.clone();
        let freed = next.insert(object.clone());
        next.within(terms.quota)?;
        *held = next;
        Ok(Placed { object: Some(object), freed, changes: self.append(commit) })
    }
}

#[async_trait]
impl ObjectIndex for Memory {
    async fn put(
        &self,
        bucket: &DocumentId,
        object: Object,
        terms: Terms,
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        self.state.lock().place(bucket, (object, terms), commit)
    }

    async fn get(
        &self,
        bucket: &DocumentId,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Object>, IndexError> {
        let state = self.state.lock();
        Ok(state.kept.held.get(bucket).and_then(|held| held.find(key, version)).cloned())
    }

    async fn delete(
        &self,
        bucket: &DocumentId,
        key: &str,
        (deletion, condition): (Deletion, Condition),
        commit: Commit,
    ) -> Result<Placed, IndexError> {
        let mut state = self.state.lock();
        let held = state.held(bucket)?;
        if !condition.holds(held.newest(key)) {
            return Err(IndexError::Precondition);
        }
        let (object, freed) = match deletion {
            Deletion::Version(version) => match held.remove(key, &version) {
                Some(gone) => (gone.clone(), blobs(&gone)),
                None => return Ok(Placed::default()),
            },
            Deletion::Marker(marker) => ((*marker).clone(), held.insert(*marker)),
        };
        Ok(Placed { object: Some(object), freed, changes: state.append(commit) })
    }

    async fn amend(
        &self,
        bucket: &DocumentId,
        (key, version): (&str, Option<&str>),
        amendment: Amendment,
        commit: Commit,
    ) -> Result<Option<Placed>, IndexError> {
        let mut state = self.state.lock();
        let held = state.held(bucket)?;
        let Some(found) = held.find(key, version).filter(|object| !object.marker).cloned() else {
            return Ok(None);
        };
        if !amendment.condition.holds(Some(&found)) {
            return Err(IndexError::Precondition);
        }
        let versions = held.objects.get_mut(key).into_iter().flatten();
        let mut object = found.clone();
        for known in versions.filter(|known| known.version == found.version) {
            known.tags = amendment.tags.clone().unwrap_or_else(|| known.tags.clone());
            known.head = amendment.head.clone().unwrap_or_else(|| known.head.clone());
            object = known.clone();
        }
        Ok(Some(Placed { object: Some(object), freed: Vec::new(), changes: state.append(commit) }))
    }

    async fn list(&self, bucket: &DocumentId, listing: &Listing) -> Result<Listed, IndexError> {
        let state = self.state.lock();
        Ok(state.kept.held.get(bucket).map(|held| list(held, listing)).unwrap_or_default())
    }

    async fn usage(&self, bucket: &DocumentId) -> Result<Usage, IndexError> {
        Ok(self.state.lock().kept.held.get(bucket).map(Held::usage).unwrap_or_default())
    }

    async fn strays(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError> {
        let state = self.state.lock();
        let known: BTreeSet<&String> = state.kept.held.values().flat_map(Held::blobs).collect();
        let mut strays: Vec<_> = blobs.into_iter().filter(|blob| !known.contains(blob)).collect();
        strays.sort();
        Ok(strays)
    }
}

/// The group that `key` is in, by its first delimiter after the prefix.
pub(super) fn group(key: &str, listing: &Listing) -> Option<String> {
    let delimiter = listing.delimiter.as_ref().filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(&listing.prefix)?;
    let (before, _) = rest.split_once(delimiter.as_str())?;
    Some(format!("{}{before}{delimiter}", listing.prefix))
}

/// Everything in order, then what is asked for: nothing clever, so that cleverer ones can be compared with it.
fn list(held: &Held, listing: &Listing) -> Listed {
    let mut items: Vec<(String, Option<Object>)> = Vec::new();
    for (key, versions) in held.objects.iter().filter(|(key, _)| key.starts_with(&listing.prefix)) {
        let shown =
            versions.iter().rev().filter(|object| listing.versions || object.latest && !object.marker);
        for object in shown {
            match group(key, listing) {
                Some(group) if items.iter().any(|(known, one)| *known == group && one.is_none()) => {}
                Some(group) => items.push((group, None)),
                None => items.push((key.clone(), Some(object.clone()))),
            }
        }
    }
    let from = listing.after.as_ref().map_or(0, |after| passed(&items, after));
    let mut rest = items.into_iter().skip(from);
    let mut listed = Listed::default();
    let mut last = None;
    for (key, one) in rest.by_ref().take(listing.limit as usize) {
        let version = one.as_ref().filter(|_| listing.versions).map(|object| object.version.clone());
        last = Some(Position { key: key.clone(), version: version.unwrap_or_default() });
        match one {
            Some(mut object) => {
                if object.pieces.len() > 1 {
                    object.pieces.clear();
                }
                listed.objects.push(object);
            }
            None => listed.prefixes.push(key),
        }
    }
    listed.next = last.filter(|_| rest.next().is_some());
    listed
}

/// How many items do not come after a position.
fn passed(items: &[(String, Option<Object>)], after: &Position) -> usize {
    let of_key = |item: &&(String, Option<Object>)| item.0 == after.key && item.1.is_some();
    let version = items.iter().filter(of_key).filter_map(|(_, object)| object.as_ref());
    let version = version.into_iter().position(|object| object.version == after.version);
    let before = items.iter().take_while(|(key, _)| *key < after.key).count();
    let same = items.iter().filter(|(key, _)| *key == after.key).count();
    before + version.map_or(same, |at| at + 1)
}
