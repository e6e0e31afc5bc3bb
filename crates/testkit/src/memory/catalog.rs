//! The catalog in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flagbase_core::catalog::{
    Catalog, CatalogError, Change, Commit, Document, DocumentId, Expect, Kind, Page, Revision, Write,
};
use serde_json::Value;

use super::{Log, Memory};

/// A commit that was checked and only needs to be kept.
pub(super) struct Prepared {
    documents: BTreeMap<DocumentId, Option<Document>>,
    pub(super) changes: Vec<Change>,
}

impl Prepared {
    /// Documents that are removed.
    fn gone(&self) -> impl Iterator<Item = &DocumentId> {
        self.documents.iter().filter(|(_, document)| document.is_none()).map(|(id, _)| id)
    }
}

impl Log {
    /// Checks a commit and says what it would change.
    pub(super) fn prepare(&self, commit: Commit) -> Result<Prepared, CatalogError> {
        let Commit { drafts, actor, reason, at, events } = commit;
        if drafts.len() != events.len() {
            return Err(CatalogError::Unavailable("a commit needs one event id per change".into()));
        }
        let mut prepared = Prepared { documents: BTreeMap::new(), changes: Vec::new() };
        for ((draft, event), revision) in drafts.into_iter().zip(events).zip(self.head() + 1..) {
            let stored = prepared
                .documents
                .get(&draft.id)
                .map_or_else(|| self.documents.get(&draft.id), Option::as_ref);
            let current = stored.map(|document| document.revision);
            let is_expected = match draft.expect {
                Expect::Any => true,
                Expect::Absent => current.is_none(),
                Expect::At(seen) => current == Some(seen),
            };
            if !is_expected {
                return Err(CatalogError::Conflict { id: draft.id, current });
            }
            let created_at = stored.map_or(at, |document| document.created_at);
            let untouched = matches!(draft.write, Write::Nothing);
            let before = stored.filter(|_| !untouched).map(|document| document.body.clone());
            let mut after = None;
            match draft.write {
                Write::Nothing => {}
                Write::Delete | Write::DeleteEmpty => {
                    prepared.documents.insert(draft.id.clone(), None);
                }
                Write::Put(body) => {
                    after = Some(body.clone());
                    let id = draft.id.clone();
                    let document = Document { id, revision, body, created_at, updated_at: at };
                    prepared.documents.insert(draft.id.clone(), Some(document));
                }
            }
            prepared.changes.push(Change {
                revision,
                event,
                at,
                actor: actor.clone(),
                reason: reason.clone(),
                id: draft.id,
                verb: draft.verb.to_owned(),
                before,
                after,
                detail: draft.detail,
            });
        }
        Ok(prepared)
    }

    /// Keeps what was prepared on this very state.
    pub(super) fn keep(&mut self, prepared: Prepared) -> Vec<Change> {
        for (id, document) in prepared.documents {
            match document {
                Some(document) => self.documents.insert(id, document),
                None => self.documents.remove(&id),
            };
        }
        self.changes.extend(prepared.changes.iter().cloned());
        prepared.changes
    }

    fn head(&self) -> Revision {
        self.changes.len() as Revision
    }
}

#[async_trait]
impl Catalog for Memory {
    async fn commit(&self, commit: Commit) -> Result<Vec<Change>, CatalogError> {
        let mut state = self.state.lock();
        let only_empty = commit.drafts.iter().filter(|draft| matches!(draft.write, Write::DeleteEmpty));
        let full = only_empty.map(|draft| draft.id.clone()).find(|bucket| state.kept.holds_objects(bucket));
        let prepared = state.log.prepare(commit)?;
        if let Some(bucket) = full {
            return Err(CatalogError::NotEmpty(bucket));
        }
        for gone in prepared.gone() {
            state.kept.forget(gone);
            state.waiting.forget(gone);
        }
        Ok(state.log.keep(prepared))
    }

    async fn get(&self, id: &DocumentId) -> Result<Option<Document>, CatalogError> {
        Ok(self.state.lock().log.documents.get(id).cloned())
    }

    async fn list(&self, kind: Kind, environment: &str, page: Page) -> Result<Vec<Document>, CatalogError> {
        let state = self.state.lock();
        let after = page.after.unwrap_or_default();
        let search = page.search.unwrap_or_default().to_lowercase();
        let documents = state.log.documents.values().filter(|document| {
            let id = &document.id;
            id.kind == kind && *id.environment == *environment && *id.key > *after
        });
        let matching = documents.filter(|document| {
            let name = document.body.get("name").and_then(Value::as_str).unwrap_or_default();
            [&*document.id.key, name].iter().any(|text| text.to_lowercase().contains(&search))
        });
        Ok(matching.take(page.limit as usize).cloned().collect())
    }

    async fn scan(&self, each: &mut (dyn FnMut(Document) + Send)) -> Result<Revision, CatalogError> {
        let state = self.state.lock();
        state.log.documents.values().cloned().for_each(each);
        Ok(state.log.head())
    }

    async fn changes(&self, after: Revision, limit: u32) -> Result<Vec<Change>, CatalogError> {
        let state = self.state.lock();
        let changes = state.log.changes.iter().filter(|change| change.revision > after);
        Ok(changes.take(limit as usize).cloned().collect())
    }

    async fn history(
        &self,
        id: &DocumentId,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Vec<Change>, CatalogError> {
        let state = self.state.lock();
        let before = before.unwrap_or(Revision::MAX);
        let newest_first = state.log.changes.iter().rev();
        let changes = newest_first.filter(|change| change.id == *id && change.revision < before);
        Ok(changes.take(limit as usize).cloned().collect())
    }

    async fn head(&self) -> Result<Revision, CatalogError> {
        Ok(self.state.lock().log.head())
    }
}
