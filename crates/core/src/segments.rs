//! Segments: reusable sets of conditions.

use std::sync::Arc;

use flagbase_engine::Segment;
use serde_json::Value;

use crate::{
    caller::Caller,
    catalog::{Document, Kind, Page},
    documents::{DocumentKind, Documents},
    feed::Feed,
    flags::{Asked, in_use},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
};

static SEGMENT: DocumentKind = DocumentKind {
    kind: Kind::Segment,
    noun: "segment",
    read: Permission::FlagRead,
    create: Permission::FlagCreate,
    update: Permission::FlagUpdate,
    delete: Permission::FlagDelete,
    missing: not_found,
};

/// Creates, changes and deletes segments.
pub struct Segments {
    documents: Documents,
}

impl Segments {
    /// Segments kept in `feed`'s catalog.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { documents: Documents::new(feed, &SEGMENT) }
    }

    /// Segments of an environment, by key.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.documents.list(caller, environment, page).await
    }

    /// One segment.
    pub async fn get(&self, caller: &Caller, environment: &str, key: &str) -> Result<Document, Refusal> {
        self.documents.get(caller, environment, key).await
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
        let fits = |environment: &EnvironmentSnapshot| {
            environment.rules.put_segment(&segment).map(drop).map_err(Refusal::invalid)
        };
        self.documents.put(asked, (key, segment.to_json()), seen, fits).await
    }

    /// Removes the segment. Refused while a flag uses it.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        let unused = |environment: &EnvironmentSnapshot| {
            let left = environment.rules.remove_segment(key);
            left.map(drop).map_err(|faults| in_use("segment_in_use", &faults))
        };
        self.documents.delete(asked, key, seen, unused).await
    }
}

fn not_found(environment: &EnvironmentSnapshot, key: &str) -> Refusal {
    let place = &environment.definition.key;
    Refusal::not_found("segment_not_found", format!("segment `{key}` not found in environment `{place}`"))
}
