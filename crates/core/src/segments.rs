//! Segments: reusable sets of conditions.

use std::sync::Arc;

use flagbase_engine::Segment;
use serde_json::Value;

use crate::{
    caller::Caller,
    catalog::{Document, DocumentId, Draft, Expect, Kind, Page, Write},
    feed::Feed,
    flags::{Asked, in_use},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
};

/// Creates, changes and deletes segments.
pub struct Segments {
    feed: Arc<Feed>,
}

impl Segments {
    /// Segments kept in `feed`'s catalog.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { feed }
    }

    /// Segments of an environment, by key.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.feed.permitted(caller, environment, Permission::FlagRead)?;
        Ok(self.feed.catalog().list(Kind::Segment, environment, page).await?)
    }

    /// One segment.
    pub async fn get(&self, caller: &Caller, environment: &str, key: &str) -> Result<Document, Refusal> {
        self.feed.permitted(caller, environment, Permission::FlagRead)?;
        self.find(environment, key).await
    }

    /// Makes a segment; refused when there is one under this key.
    pub async fn create(&self, asked: Asked<'_>, body: &Value) -> Result<Document, Refusal> {
        let key = body.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (document, _) = self.put(asked, &key, body.clone(), Precondition::Absent).await.map_err(
            |refusal| match refusal.class {
                Class::Stale => Refusal::new(
                    Class::Conflict,
                    "segment_exists",
                    format!("segment `{key}` exists already; change it, or choose another key"),
                ),
                _ => refusal,
            },
        )?;
        Ok(document)
    }

    /// Replaces the whole segment, or makes it. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        key: &str,
        mut body: Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        crate::flags::name(&mut body, key)?;
        let segment = Segment::from_json(&body).map_err(Refusal::invalid)?;
        let edit = self.feed.edit().await;
        let id = DocumentId::new(Kind::Segment, asked.environment, key);
        let current = self.feed.catalog().get(&id).await?.map(|document| document.revision);
        let permission = if current.is_some() { Permission::FlagUpdate } else { Permission::FlagCreate };
        self.feed.permitted(asked.caller, asked.environment, permission)?;
        let expect = seen.expect(&format!("segment `{key}`"), current)?;
        let snapshot = self.feed.snapshots().get();
        let rules = &snapshot.require_environment(asked.environment)?.rules;
        rules.put_segment(&segment).map_err(Refusal::invalid)?;
        let verb = if expect == Expect::Absent { "created" } else { "updated" };
        let write = Write::Put(segment.to_json());
        let draft = Draft { id, verb, expect, write, detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        Ok((self.find(asked.environment, key).await?, expect == Expect::Absent))
    }

    /// Removes the segment. Refused while a flag uses it.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FlagDelete)?;
        let edit = self.feed.edit().await;
        let current = self.find(asked.environment, key).await?;
        let expect = seen.expect(&format!("segment `{key}`"), Some(current.revision))?;
        let snapshot = self.feed.snapshots().get();
        let rules = &snapshot.require_environment(asked.environment)?.rules;
        rules.remove_segment(key).map_err(|faults| in_use("segment_in_use", &faults))?;
        let (verb, write) = ("deleted", Write::Delete);
        let draft = Draft { id: current.id, verb, expect, write, detail: Value::Null };
        edit.commit(asked.caller.actor(), asked.reason, vec![draft]).await?;
        Ok(())
    }

    async fn find(&self, environment: &str, key: &str) -> Result<Document, Refusal> {
        let id = DocumentId::new(Kind::Segment, environment, key);
        self.feed.catalog().get(&id).await?.ok_or_else(|| {
            Refusal::not_found(
                "segment_not_found",
                format!("segment `{key}` not found in environment `{environment}`"),
            )
        })
    }
}
