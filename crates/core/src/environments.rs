//! Environments: places where flags live, and the attributes their rules may use.

use std::sync::Arc;

use flagbase_engine::{Attributes, Fault, Flag, Ruleset, Segment};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    caller::Caller,
    catalog::{Actor, Document, DocumentId, Draft, Expect, Kind, Page, Write},
    feed::Feed,
    flags::Asked,
    guards::Guard,
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::DEFAULT_ENVIRONMENT,
};

/// What an environment is for; decides what roles permit in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentKind {
    /// Developers may change everything.
    #[default]
    Development,
    /// Developers read and evaluate, until granted more.
    Production,
}

/// An attribute that rules may use beside the well-known ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredAttribute {
    /// Its name in conditions.
    pub name: String,
    /// The request header its value is read from, at the gateway and at evaluation; none: only from an
    /// evaluation's own context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// A place where flags live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Unique; lower-case letters, digits, `-`, `_`; at most 64.
    pub key: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub kind: EnvironmentKind,
    /// Attributes beside the well-known ones.
    #[serde(default)]
    pub attributes: Vec<DeclaredAttribute>,
}

/// Creates, changes and deletes environments.
pub struct Environments {
    feed: Arc<Feed>,
}

impl Environments {
    /// Environments kept in `feed`'s catalog.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { feed }
    }

    /// Makes the default environment when there is none: a development one, so that whoever runs this on a laptop can
    /// begin at once.
    pub async fn ensure_default(&self, kind: EnvironmentKind) -> Result<(), Refusal> {
        let edit = self.feed.edit().await;
        if self.feed.snapshots().get().environment(DEFAULT_ENVIRONMENT).is_some() {
            return Ok(());
        }
        let environment = Environment {
            key: DEFAULT_ENVIRONMENT.to_owned(),
            name: "Default".to_owned(),
            kind,
            attributes: Vec::new(),
        };
        edit.commit(Actor::system(), "first start", making(&environment)?).await?;
        Ok(())
    }

    /// The environments the caller may read.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Document>, Refusal> {
        caller.require_somebody()?;
        let snapshot = self.feed.snapshots().get();
        let page = Page { limit: u32::MAX, ..Page::default() };
        let mut documents = self.feed.catalog().list(Kind::Environment, "", page).await?;
        documents.retain(|document| {
            snapshot.environment(&document.id.key).is_some_and(|environment| {
                caller.require(&snapshot, environment, Permission::FlagRead).is_ok()
            })
        });
        Ok(documents)
    }

    /// One environment.
    pub async fn get(&self, caller: &Caller, key: &str) -> Result<Document, Refusal> {
        let snapshot = self.feed.snapshots().get();
        caller.require(&snapshot, snapshot.require_environment(key)?, Permission::FlagRead)?;
        self.find(key).await
    }

    /// Replaces the definition, or makes the environment. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        environment: Environment,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        let snapshot = self.feed.snapshots().get();
        asked.caller.require_everywhere(&snapshot, Permission::EnvironmentWrite)?;
        check(&environment)?;
        let edit = self.feed.edit().await;
        let current = self.feed.catalog().get(&id(&environment.key)).await?;
        let what = format!("environment `{}`", environment.key);
        let expect = seen.expect(&what, current.as_ref().map(|document| document.revision))?;
        let drafts = if expect == Expect::Absent {
            making(&environment)?
        } else {
            self.check_attributes(&environment).await?;
            vec![draft(&environment, "updated", expect)?]
        };
        edit.commit(asked.caller.actor(), asked.reason, drafts).await?;
        Ok((self.find(&environment.key).await?, expect == Expect::Absent))
    }

    /// Removes an environment that holds no flags, segments, routes, functions, buckets or webhooks.
    pub async fn delete(&self, asked: Asked<'_>, key: &str, seen: Precondition) -> Result<(), Refusal> {
        let snapshot = self.feed.snapshots().get();
        asked.caller.require_everywhere(&snapshot, Permission::EnvironmentWrite)?;
        let edit = self.feed.edit().await;
        let current = self.find(key).await?;
        if key == DEFAULT_ENVIRONMENT {
            return Err(conflict("environment_in_use", "the default environment cannot be deleted"));
        }
        let expect = seen.expect(&format!("environment `{key}`"), Some(current.revision))?;
        let mut drafts = Vec::new();
        for kind in [Kind::Flag, Kind::Segment, Kind::Route, Kind::Function, Kind::Bucket, Kind::Webhook] {
            let page = Page { limit: 1, ..Page::default() };
            if let Some(document) = self.feed.catalog().list(kind, key, page).await?.first() {
                return Err(conflict(
                    "environment_in_use",
                    format!("{} is still there; delete what the environment holds first", document.id),
                ));
            }
        }
        let page = Page { limit: u32::MAX, ..Page::default() };
        for guard in self.feed.catalog().list(Kind::Guard, key, page).await? {
            drafts.push(deletion(guard.id, Expect::At(guard.revision)));
        }
        drafts.push(deletion(current.id, expect));
        edit.commit(asked.caller.actor(), asked.reason, drafts).await?;
        Ok(())
    }

    /// Fails when a flag or segment uses an attribute that the new definition lacks.
    async fn check_attributes(&self, environment: &Environment) -> Result<(), Refusal> {
        let names = environment.attributes.iter().map(|attribute| attribute.name.as_str());
        let attributes = Arc::new(Attributes::new(names));
        let (mut flags, mut segments) = (Vec::new(), Vec::new());
        let page = || Page { limit: u32::MAX, ..Page::default() };
        for document in self.feed.catalog().list(Kind::Flag, &environment.key, page()).await? {
            flags.extend(Flag::from_json(&document.body).map(|flag| (flag, document.revision)));
        }
        for document in self.feed.catalog().list(Kind::Segment, &environment.key, page()).await? {
            segments.extend(Segment::from_json(&document.body));
        }
        let (_, faults) = Ruleset::load(attributes, segments.into_iter(), flags.into_iter());
        match faults.first() {
            None => Ok(()),
            Some((key, found)) => Err(conflict(
                "attribute_in_use",
                format!(
                    "`{key}` would no longer make sense: {}",
                    found.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
                ),
            )),
        }
    }

    async fn find(&self, key: &str) -> Result<Document, Refusal> {
        if let Some(document) = self.feed.catalog().get(&id(key)).await? {
            return Ok(document);
        }
        self.feed.snapshots().get().require_environment(key)?;
        Err(Refusal::not_found("environment_not_found", format!("environment `{key}` does not exist")))
    }
}

fn id(key: &str) -> DocumentId {
    DocumentId::new(Kind::Environment, "", key)
}

fn draft(environment: &Environment, verb: &'static str, expect: Expect) -> Result<Draft, Refusal> {
    let write = Write::Put(body(environment)?);
    Ok(Draft { id: id(&environment.key), verb, expect, write, detail: Value::Null })
}

/// A new environment starts with the guard every environment has.
fn making(environment: &Environment) -> Result<Vec<Draft>, Refusal> {
    let guard = Guard::default_for(&environment.key);
    let guard = Draft {
        id: DocumentId::new(Kind::Guard, &environment.key, &guard.key),
        verb: "created",
        expect: Expect::Absent,
        write: Write::Put(body(&guard)?),
        detail: Value::Null,
    };
    Ok(vec![draft(environment, "created", Expect::Absent)?, guard])
}

fn deletion(id: DocumentId, expect: Expect) -> Draft {
    Draft { id, verb: "deleted", expect, write: Write::Delete, detail: Value::Null }
}

/// A document's body as JSON.
pub(crate) fn body<T: Serialize>(document: &T) -> Result<Value, Refusal> {
    serde_json::to_value(document).map_err(|error| {
        Refusal::new(Class::Internal, "internal", "the document cannot be written").because(error)
    })
}

fn conflict(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(Class::Conflict, code, message)
}

fn check(environment: &Environment) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    if !is_key(&environment.key) {
        faults.push(Fault::new(
            "/key",
            format!("`{}` is no key: use 1 to 64 lower-case letters, digits, `-` or `_`", environment.key),
        ));
    }
    if environment.name.chars().count() > 200 {
        faults.push(Fault::new("/name", "longer than 200 characters; shorten it"));
    }
    if environment.attributes.len() > 64 {
        faults.push(Fault::new("/attributes", "more than 64 attributes; remove some"));
    }
    let well_known = Attributes::new([]);
    for (at, attribute) in environment.attributes.iter().enumerate() {
        let pointer = format!("/attributes/{at}");
        let name = attribute.name.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            faults.push(Fault::new(
                format!("{pointer}/name"),
                format!("`{name}` is no attribute name: use 1 to 64 letters, digits, `_`, `-` or `.`"),
            ));
        } else if well_known.slot(name).is_some() {
            faults.push(Fault::new(
                format!("{pointer}/name"),
                format!(
                    "`{name}` is always known and cannot be declared: it is filled from what is verified"
                ),
            ));
        } else if environment.attributes.iter().take(at).any(|other| other.name == name) {
            faults.push(Fault::new(format!("{pointer}/name"), format!("`{name}` is declared twice")));
        }
        faults.extend(attribute.header.as_deref().and_then(|header| check_header(&pointer, header)));
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
}

fn check_header(pointer: &str, header: &str) -> Option<Fault> {
    let lower = header.to_ascii_lowercase();
    let secret = matches!(lower.as_str(), "authorization" | "cookie" | "x-api-key" | "proxy-authorization");
    let valid = http::HeaderName::from_bytes(lower.as_bytes()).is_ok()
        && !lower.starts_with("x-flagbase-")
        && !lower.contains('_')
        && lower.len() <= 64;
    (secret || !valid).then(|| {
        Fault::new(
            format!("{pointer}/header"),
            format!("`{header}` cannot be read: name a request header without `_`, not a credential, not `X-Flagbase-*`"),
        )
    })
}

/// Whether `key` can name an environment, a guard or a role.
pub(crate) fn is_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    (1..=64).contains(&key.len()) && key.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(attribute: &str, header: Option<&str>) -> Environment {
        let declared = DeclaredAttribute { name: attribute.to_owned(), header: header.map(str::to_owned) };
        Environment {
            key: "staging".into(),
            name: String::new(),
            kind: EnvironmentKind::Production,
            attributes: vec![declared],
        }
    }

    #[test]
    fn what_is_verified_cannot_be_declared_as_an_attribute() {
        for name in ["role", "email", "userId", "groups"] {
            let refusal = check(&with(name, Some("x-anything"))).unwrap_err();
            assert_eq!(refusal.faults.first().unwrap().pointer, "/attributes/0/name", "{name}");
        }
    }

    #[test]
    fn credentials_and_our_own_headers_cannot_fill_attributes() {
        for header in ["Authorization", "X-Flagbase-User", "x_country", "", "a b"] {
            assert!(check(&with("country", Some(header))).is_err(), "{header}");
        }
        assert!(check(&with("country", Some("X-Country"))).is_ok());
    }

    #[test]
    fn a_key_is_short_and_plain() {
        assert!(is_key("staging-2") && !is_key("") && !is_key("Staging") && !is_key(&"a".repeat(65)));
    }
}
