//! Guards: rules that take a flag back when it hurts.

mod check;
mod watcher;

use std::sync::Arc;

use flagbase_engine::guard::Rule;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    caller::Caller,
    catalog::{Document, Kind, Page},
    documents::{DocumentKind, Documents},
    feed::Feed,
    flags::Asked,
    permissions::Permission,
    refusal::{Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
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

static GUARD: DocumentKind = DocumentKind {
    kind: Kind::Guard,
    noun: "guard",
    read: Permission::FlagRead,
    create: Permission::GuardWrite,
    update: Permission::GuardWrite,
    delete: Permission::GuardWrite,
    missing: not_found,
};

/// Shows, makes, changes and removes guards.
pub struct Guards {
    feed: Arc<Feed>,
    documents: Documents,
}

impl Guards {
    /// Guards kept in `feed`'s catalog.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { documents: Documents::new(Arc::clone(&feed), &GUARD), feed }
    }

    /// Guards of an environment, by key.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.documents.list(caller, environment, page).await
    }

    /// One guard.
    pub async fn get(&self, caller: &Caller, environment: &str, key: &str) -> Result<Document, Refusal> {
        self.documents.get(caller, environment, key).await
    }

    /// Replaces the guard, or makes it. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        key: &str,
        body: &Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        let guard = {
            let snapshot = self.feed.permitted(asked.caller, asked.environment, GUARD.update)?;
            check::read(body, key, snapshot.require_environment(asked.environment)?)?
        };
        self.documents.put(asked, (key, crate::environments::body(&guard)?), seen, |_| Ok(())).await
    }

    /// Removes the guard.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        self.documents.delete(asked, key, seen, |_| Ok(())).await
    }
}

fn not_found(environment: &EnvironmentSnapshot, key: &str) -> Refusal {
    let place = &environment.definition.key;
    Refusal::not_found("guard_not_found", format!("guard `{key}` not found in environment `{place}`"))
}
