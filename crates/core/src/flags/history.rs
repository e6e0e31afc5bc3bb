//! A flag's past, and going back to it.

use flagbase_engine::Flag;

use super::{Asked, Flags, not_found};
use crate::{
    caller::Caller,
    catalog::{Change, Document, DocumentId, Expect, Kind, Revision},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
};

/// Part of a flag's history, newest first.
#[derive(Debug, Clone, Copy)]
pub struct HistoryPage {
    /// Only changes before this revision.
    pub before: Option<Revision>,
    /// At most so many.
    pub limit: u32,
}

/// Where to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Revert {
    /// The flag becomes what it was after this change.
    pub revision: Revision,
    /// What the caller saw.
    pub seen: Precondition,
}

impl Flags {
    /// Changes of a flag, also of one that is deleted.
    pub async fn history(
        &self,
        caller: &Caller,
        environment: &str,
        key: &str,
        page: HistoryPage,
    ) -> Result<Vec<Change>, Refusal> {
        let snapshot = self.feed.permitted(caller, environment, Permission::FlagRead)?;
        let id = DocumentId::new(Kind::Flag, environment, key);
        let changes = self.feed.catalog().history(&id, page.before, page.limit).await?;
        if changes.is_empty() && page.before.is_none() {
            return Err(not_found(snapshot.require_environment(environment)?, key));
        }
        Ok(changes)
    }

    /// Makes the flag what it was after `revert.revision`; a deleted flag comes back.
    pub async fn revert(&self, asked: Asked<'_>, key: &str, revert: Revert) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagUpdate)?;
        let edit = self.feed.edit().await;
        let id = DocumentId::new(Kind::Flag, asked.environment, key);
        let before = Some(revert.revision.saturating_add(1));
        let past = self.feed.catalog().history(&id, before, 1).await?;
        let body = match past.first() {
            Some(change) if change.revision == revert.revision => change.after.as_ref(),
            _ => {
                return Err(Refusal::not_found(
                    "revision_not_found",
                    format!("revision {} did not change flag `{key}`; see its history", revert.revision),
                ));
            }
        };
        let Some(body) = body else {
            return Err(Refusal::new(
                Class::Conflict,
                "revision_deleted",
                format!("revision {} deleted flag `{key}`; choose one before it", revert.revision),
            ));
        };
        let flag = Flag::from_json(body).map_err(Refusal::invalid)?;
        let current = self.documents.current(asked.environment, key).await?.map(|document| document.revision);
        let expect = revert.seen.expect(&format!("flag `{key}`"), current)?;
        if expect == Expect::Absent {
            self.feed.permitted(asked.caller, asked.environment, Permission::FlagCreate)?;
        }
        self.write(&edit, asked, (&flag, expect)).await
    }
}
