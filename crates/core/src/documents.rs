//! What every kind of document that lives in an environment has in common: who may do what, which revision is
//! expected, and how a change gets into the log. What makes sense in a kind is said by its own use case.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    caller::Caller,
    catalog::{Document, DocumentId, Draft, Expect, Kind, Page, Write},
    feed::{Edit, Feed},
    flags::Asked,
    permissions::Permission,
    refusal::{Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
};

/// A kind of document.
pub(crate) struct DocumentKind {
    /// As the catalog keeps it.
    pub(crate) kind: Kind,
    /// What people call one.
    pub(crate) noun: &'static str,
    /// To list and get.
    pub(crate) read: Permission,
    /// To put what is not there yet.
    pub(crate) create: Permission,
    /// To put what is there.
    pub(crate) update: Permission,
    /// To delete.
    pub(crate) delete: Permission,
    /// There is none of this key.
    pub(crate) missing: fn(&EnvironmentSnapshot, &str) -> Refusal,
}

/// The documents of one kind.
pub(crate) struct Documents {
    feed: Arc<Feed>,
    of: &'static DocumentKind,
}

impl Documents {
    /// Those kept in `feed`'s catalog.
    pub(crate) fn new(feed: Arc<Feed>, of: &'static DocumentKind) -> Self {
        Self { feed, of }
    }

    /// A page of those of an environment, by key.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.feed.permitted(caller, environment, self.of.read)?;
        Ok(self.feed.catalog().list(self.of.kind, environment, page).await?)
    }

    /// One, for whoever may read it.
    pub(crate) async fn get(
        &self,
        caller: &Caller,
        environment: &str,
        key: &str,
    ) -> Result<Document, Refusal> {
        self.feed.permitted(caller, environment, self.of.read)?;
        self.find(environment, key).await
    }

    /// One, whoever asks.
    pub(crate) async fn find(&self, environment: &str, key: &str) -> Result<Document, Refusal> {
        if let Some(document) = self.current(environment, key).await? {
            return Ok(document);
        }
        let snapshot = self.feed.snapshots().get();
        Err((self.of.missing)(snapshot.require_environment(environment)?, key))
    }

    /// One, if it is there.
    pub(crate) async fn current(&self, environment: &str, key: &str) -> Result<Option<Document>, Refusal> {
        Ok(self.feed.catalog().get(&self.id(environment, key)).await?)
    }

    /// Replaces the document, or makes it, when `fits` has nothing against it. Returns it and whether it is new.
    pub(crate) async fn put(
        &self,
        asked: Asked<'_>,
        (key, body): (&str, Value),
        seen: Precondition,
        fits: impl FnOnce(&EnvironmentSnapshot) -> Result<(), Refusal> + Send,
    ) -> Result<(Document, bool), Refusal> {
        let edit = self.feed.edit().await;
        let current = self.current(asked.environment, key).await?.map(|document| document.revision);
        let permission = if current.is_some() { self.of.update } else { self.of.create };
        let snapshot = self.feed.permitted(asked.caller, asked.environment, permission)?;
        let expect = seen.expect(&self.called(key), current)?;
        fits(snapshot.require_environment(asked.environment)?)?;
        let document = self.store(&edit, asked, (key, body), expect).await?;
        Ok((document, expect == Expect::Absent))
    }

    /// Removes the document, when `spare` has nothing against it.
    pub(crate) async fn delete(
        &self,
        asked: Asked<'_>,
        key: &str,
        seen: Precondition,
        spare: impl FnOnce(&EnvironmentSnapshot) -> Result<(), Refusal> + Send,
    ) -> Result<(), Refusal> {
        self.remove(asked, (key, Write::Delete), seen, spare).await
    }

    /// The same by a write that may know more about it.
    pub(crate) async fn remove(
        &self,
        asked: Asked<'_>,
        (key, write): (&str, Write),
        seen: Precondition,
        spare: impl FnOnce(&EnvironmentSnapshot) -> Result<(), Refusal> + Send,
    ) -> Result<(), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, self.of.delete)?;
        let edit = self.feed.edit().await;
        let current = self.find(asked.environment, key).await?;
        let expect = seen.expect(&self.called(key), Some(current.revision))?;
        let snapshot = self.feed.snapshots().get();
        spare(snapshot.require_environment(asked.environment)?)?;
        let draft = Draft { id: current.id, verb: "deleted", expect, write, detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        Ok(())
    }

    /// Stores what has been checked, in the caller's turn to edit.
    pub(crate) async fn store(
        &self,
        edit: &Edit<'_>,
        asked: Asked<'_>,
        (key, body): (&str, Value),
        expect: Expect,
    ) -> Result<Document, Refusal> {
        let draft = self.draft(asked.environment, (key, body), expect);
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        self.find(asked.environment, key).await
    }

    /// The change that storing makes.
    pub(crate) fn draft(&self, environment: &str, (key, body): (&str, Value), expect: Expect) -> Draft {
        Draft {
            id: self.id(environment, key),
            verb: if expect == Expect::Absent { "created" } else { "updated" },
            expect,
            write: Write::Put(body),
            detail: Value::Null,
        }
    }

    /// What refusals call the one under this key.
    pub(crate) fn called(&self, key: &str) -> String {
        format!("{} `{key}`", self.of.noun)
    }

    fn id(&self, environment: &str, key: &str) -> DocumentId {
        DocumentId::new(self.of.kind, environment, key)
    }
}
