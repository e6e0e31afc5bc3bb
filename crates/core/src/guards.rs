//! Guards: rules that take a flag back when it hurts.

mod check;
mod watcher;

use std::sync::Arc;

use flagbase_engine::guard::Rule;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    caller::Caller,
    catalog::{Document, DocumentId, Draft, Expect, Kind, Page, Write},
    feed::Feed,
    flags::Asked,
    permissions::Permission,
    refusal::{Precondition, Refusal},
};

pub use watcher::{Look, Trip, Watcher};

/// A guard, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Unique within its environment.
    pub key: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Whether it acts.
    pub enabled: bool,
    /// The flags it watches; empty: all of the environment.
    #[serde(default)]
    pub flags: Vec<String>,
    /// When it acts.
    pub rule: Rule,
}

impl Guard {
    /// The guard that every new environment starts with: more than 10 errors within five minutes, any flag.
    pub fn default_for(_environment: &str) -> Self {
        Self {
            key: "errors".to_owned(),
            name: "Errors".to_owned(),
            enabled: true,
            flags: Vec::new(),
            rule: Rule::default(),
        }
    }

    /// Whether it watches the flag called `key`.
    pub fn watches(&self, key: &str) -> bool {
        self.flags.is_empty() || self.flags.iter().any(|flag| flag == key)
    }
}

/// Shows, makes, changes and removes guards.
pub struct Guards {
    feed: Arc<Feed>,
}

impl Guards {
    /// Guards kept in `feed`'s catalog.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { feed }
    }

    /// Guards of an environment, by key.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.feed.permitted(caller, environment, Permission::FlagRead)?;
        Ok(self.feed.catalog().list(Kind::Guard, environment, page).await?)
    }

    /// One guard.
    pub async fn get(&self, caller: &Caller, environment: &str, key: &str) -> Result<Document, Refusal> {
        self.feed.permitted(caller, environment, Permission::FlagRead)?;
        self.find(environment, key).await
    }

    /// Replaces the guard, or makes it. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        key: &str,
        body: &Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::GuardWrite)?;
        let guard = {
            let snapshot = self.feed.snapshots().get();
            check::read(body, key, snapshot.require_environment(asked.environment)?)?
        };
        let edit = self.feed.edit().await;
        let id = DocumentId::new(Kind::Guard, asked.environment, key);
        let current = self.feed.catalog().get(&id).await?.map(|document| document.revision);
        let expect = seen.expect(&format!("guard `{key}`"), current)?;
        let new = expect == Expect::Absent;
        let verb = if new { "created" } else { "updated" };
        let write = Write::Put(crate::environments::body(&guard)?);
        let draft = Draft { id, verb, expect, write, detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        Ok((self.find(asked.environment, key).await?, new))
    }

    /// Removes the guard.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::GuardWrite)?;
        let edit = self.feed.edit().await;
        let current = self.find(asked.environment, key).await?;
        let expect = seen.expect(&format!("guard `{key}`"), Some(current.revision))?;
        let (verb, write) = ("deleted", Write::Delete);
        let draft = Draft { id: current.id, verb, expect, write, detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        Ok(())
    }

    async fn find(&self, environment: &str, key: &str) -> Result<Document, Refusal> {
        let id = DocumentId::new(Kind::Guard, environment, key);
        self.feed.catalog().get(&id).await?.ok_or_else(|| {
            Refusal::not_found(
                "guard_not_found",
                format!("guard `{key}` not found in environment `{environment}`"),
            )
        })
    }
}
