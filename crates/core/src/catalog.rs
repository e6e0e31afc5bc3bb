//! The catalog: versioned configuration documents and the one ordered change log.
//!
//! The change log is the audit log, the history, the outbox of the bus and the feed that every node and
//! every stream follows. Revisions come from one counter, updated in the transaction that writes the
//! change, so they have no gaps and are visible in order.

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A position in the change log; 0 is before the first change.
pub type Revision = u64;

/// Any error of a driver, kept as the source of a port's error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a document, or a change without a document, is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A place where flags live; its own scope is empty.
    Environment,
    /// A feature flag.
    Flag,
    /// A reusable set of conditions.
    Segment,
    /// A rule that takes a flag back.
    Guard,
    /// A gateway route.
    Route,
    /// Code that people bring, with all its versions.
    Function,
    /// A place for objects.
    Bucket,
    /// An endpoint that is told of events; its scope is empty when it is told of all.
    Webhook,
    /// A named set of permissions; not scoped.
    Role,
    /// A service account's key; not scoped.
    ApiKey,
    /// A user: not a document (users live in `Accounts`), only changes about them.
    User,
    /// A session: not a document, only changes about it.
    Session,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Environment,
        Self::Flag,
        Self::Segment,
        Self::Guard,
        Self::Route,
        Self::Function,
        Self::Bucket,
        Self::Webhook,
        Self::Role,
        Self::ApiKey,
        Self::User,
        Self::Session,
    ];

    /// The word used in subjects, columns and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::Segment => "segment",
            Self::Guard => "guard",
            Self::Route => "route",
            Self::Function => "function",
            Self::Bucket => "bucket",
            Self::Webhook => "webhook",
            Self::Role => "role",
            Self::ApiKey => "api_key",
            Self::User => "user",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("unknown kind `{word}`"))
    }
}

/// The address of a document: kind, environment ("" when not scoped) and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentId {
    /// What it is.
    pub kind: Kind,
    /// The environment it belongs to; empty for kinds that belong to none.
    pub environment: Arc<str>,
    /// Unique within kind and environment.
    pub key: Arc<str>,
}

impl DocumentId {
    /// The address of `key` of `kind` in `environment`.
    pub fn new(kind: Kind, environment: &str, key: &str) -> Self {
        Self { kind, environment: environment.into(), key: key.into() }
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.environment.is_empty() {
            write!(f, "{} `{}`", self.kind, self.key)
        } else {
            write!(f, "{} `{}` in environment `{}`", self.kind, self.key, self.environment)
        }
    }
}

/// A stored document and the revision that wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its address.
    pub id: DocumentId,
    /// The change that wrote this body; becomes the `ETag`.
    pub revision: Revision,
    /// The body, as its capability writes it.
    pub body: Value,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// Who did it: `kind` is `user`, `api_key`, `guard`, `function` or `system`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `user`, `api_key`, `guard`, `function` or `system`.
    pub kind: Arc<str>,
    /// The user's or key's id, the guard's key, the function's name.
    pub id: Arc<str>,
    /// What people call it: the email, the key's name.
    pub name: Arc<str>,
}

impl Actor {
    /// Flagbase itself.
    pub fn system() -> Self {
        Self { kind: "system".into(), id: "flagbase".into(), name: "flagbase".into() }
    }
}

/// What the writer expects of the document before its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist yet.
    Absent,
    /// It exists, at exactly this revision.
    At(Revision),
    /// Anything: for changes without a document.
    Any,
}

/// One change to commit.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is about.
    pub id: DocumentId,
    /// Past tense of what happened: `created`, `updated`, `enabled`, `disabled`, `deleted`, …
    pub verb: &'static str,
    /// What must be true of the stored document.
    pub expect: Expect,
    /// What to write.
    pub write: Write,
    /// More about it, such as a guard's evidence; null when there is nothing.
    pub detail: Value,
}

/// What a change does to its document.
#[derive(Debug, Clone)]
pub enum Write {
    /// Store this body.
    Put(Value),
    /// Remove the document.
    Delete,
    /// Remove the document of a bucket, unless it holds an object, an older version or a delete marker.
    DeleteEmpty,
    /// Touch no document: the change is a notice, without a body before or after.
    Nothing,
}

/// Changes that are written together or not at all, in order.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What to change; each gets a revision of its own, consecutive.
    pub drafts: Vec<Draft>,
    /// Who.
    pub actor: Actor,
    /// Why, in the actor's words; empty when not given.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// One event id per draft (UUID version 7).
    pub events: Vec<Uuid>,
}

/// A row of the change log.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its position.
    pub revision: Revision,
    /// The id of the event it is published as.
    pub event: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Why; empty when not given.
    pub reason: String,
    /// What about.
    pub id: DocumentId,
    /// Past tense of what happened.
    pub verb: String,
    /// The body before; `None` when there was none.
    pub before: Option<Value>,
    /// The body after; `None` when there is none.
    pub after: Option<Value>,
    /// More about it; null when there is nothing.
    pub detail: Value,
}

impl Change {
    /// A document seen as the change that made it, for loading.
    pub(crate) fn of_document(document: Document) -> Self {
        Self {
            revision: document.revision,
            event: Uuid::nil(),
            at: document.updated_at,
            actor: Actor::system(),
            reason: String::new(),
            id: document.id,
            verb: String::new(),
            before: None,
            after: Some(document.body),
            detail: Value::Null,
        }
    }
}

/// A page of a listing, in key order.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Only keys greater than this one.
    pub after: Option<String>,
    /// Only documents whose key or name contains this, ignoring case.
    pub search: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// All that the catalog can report.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The document is there already, or was written since: the current revision, `None` when it is gone.
    #[error("{id} was written by someone else")]
    Conflict {
        /// Which document.
        id: DocumentId,
        /// Its revision now.
        current: Option<Revision>,
    },
    /// Something is kept in what was to be removed only when empty.
    #[error("{0} is not empty")]
    NotEmpty(DocumentId),
    /// The store does not answer, or cannot write (a full disk).
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored makes no sense")]
    Corrupt(#[source] BoxError),
}

/// Durable home of configuration. Every implementation passes `testkit::catalog`.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Writes documents and change rows in one durable transaction. Returns the changes as logged, in order;
    /// the last one's revision is the catalog's head.
    async fn commit(&self, commit: Commit) -> Result<Vec<Change>, CatalogError>;

    /// One document; `None` when there is none.
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>, CatalogError>;

    /// Documents of one kind and environment, by key.
    async fn list(&self, kind: Kind, environment: &str, page: Page) -> Result<Vec<Document>, CatalogError>;

    /// Every document, read at one point in time, handed to `each` one by one; returns the head revision
    /// at that point. Streaming, because an environment may hold 100 000 flags.
    async fn scan(&self, each: &mut (dyn FnMut(Document) + Send)) -> Result<Revision, CatalogError>;

    /// Changes after `after`, oldest first, at most `limit`.
    async fn changes(&self, after: Revision, limit: u32) -> Result<Vec<Change>, CatalogError>;

    /// Changes of one document, newest first, before `before` when given.
    async fn history(
        &self,
        id: &DocumentId,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Vec<Change>, CatalogError>;

    /// The last revision.
    async fn head(&self) -> Result<Revision, CatalogError>;
}
