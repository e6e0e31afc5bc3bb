//! Buckets: objects under keys that people choose, in blobs under names that are ours.
//!
//! A bucket is a document. Its objects are not: there may be millions. [`ObjectIndex`] knows which object is in which
//! blob; an object is there from the moment the index has it, and what has no place in the index any more is removed
//! from the blobs. Each write is an event of the change log, without the bytes.

mod index;
mod objects;
mod sweep;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    blobs::Blobs,
    caller::Caller,
    catalog::{Document, DocumentId, Kind, Page},
    documents::{DocumentKind, Documents},
    feed::Feed,
    flags::Asked,
    functions::{Body, is_function_name},
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
};

pub use index::{IndexError, Object, ObjectIndex, Replaced, Usage};
pub use objects::{MOST_KEY, MOST_LISTED, Objects, Part};

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 1000;

const BUCKETS: DocumentKind = DocumentKind {
    kind: Kind::Bucket,
    noun: "bucket",
    read: Permission::BucketRead,
    create: Permission::BucketWrite,
    update: Permission::BucketWrite,
    delete: Permission::BucketWrite,
    missing,
};

/// Shows, makes and removes buckets, and reads and writes what is in them, for callers who may.
pub struct Buckets {
    feed: Arc<Feed>,
    documents: Documents,
    objects: Arc<Objects>,
}

impl Buckets {
    /// Buckets of `feed`'s catalog, their objects known by `index`, their bytes in `blobs`.
    pub fn new(feed: Arc<Feed>, index: Arc<dyn ObjectIndex>, blobs: Arc<dyn Blobs>) -> Self {
        let documents = Documents::new(Arc::clone(&feed), &BUCKETS);
        let objects = Arc::new(Objects::new(Arc::clone(&feed), index, blobs));
        Self { feed, documents, objects }
    }

    /// Objects, whoever asks: for what looked at permissions by itself.
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// Buckets of an environment, by name.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        self.documents.list(caller, environment, page).await
    }

    /// One bucket, and how much is in it.
    pub async fn get(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
    ) -> Result<(Document, Usage), Refusal> {
        let document = self.documents.get(caller, environment, name).await?;
        let usage = self.objects.usage(&document.id).await?;
        Ok((document, usage))
    }

    /// Makes a bucket, or says something else of it: `{"name", "description"}`. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        name: &str,
        body: &Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        let body = check(name, body)?;
        self.documents.put(asked, (name, body), seen, |_| Ok(())).await
    }

    /// Removes a bucket that holds nothing.
    pub async fn delete(&self, asked: Asked<'_>, name: &str, seen: Precondition) -> Result<(), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::BucketWrite)?;
        let bucket = DocumentId::new(Kind::Bucket, asked.environment, name);
        if !self.objects.list(&bucket, "", "", 1).await?.is_empty() {
            let message = format!("bucket `{name}` still holds objects; delete them first");
            return Err(Refusal::new(Class::Conflict, "bucket_not_empty", message));
        }
        self.documents.delete(asked, name, seen, |_| Ok(())).await
    }

    /// Keeps an object under `key`, in place of what was there.
    pub async fn put_object(
        &self,
        asked: Asked<'_>,
        (bucket, key): (&str, &str),
        content_type: &str,
        body: Body,
    ) -> Result<Object, Refusal> {
        let bucket = self.admit(asked.caller, asked.environment, bucket, Permission::BucketWrite)?;
        self.objects.put(asked.caller.actor(), &bucket, (key, content_type), body).await
    }

    /// An object, and its bytes from byte `range.0` up to before `range.1`.
    pub async fn get_object(
        &self,
        caller: &Caller,
        environment: &str,
        (bucket, key): (&str, &str),
        range: Option<(u64, u64)>,
    ) -> Result<Part, Refusal> {
        let bucket = self.admit(caller, environment, bucket, Permission::BucketRead)?;
        let found = self.objects.get(&bucket, key, range).await?;
        found.ok_or_else(|| no_object(&bucket, key))
    }

    /// What is known of an object.
    pub async fn head_object(
        &self,
        caller: &Caller,
        environment: &str,
        (bucket, key): (&str, &str),
    ) -> Result<Object, Refusal> {
        let bucket = self.admit(caller, environment, bucket, Permission::BucketRead)?;
        let found = self.objects.head(&bucket, key).await?;
        found.ok_or_else(|| no_object(&bucket, key))
    }

    /// Removes an object; returns whether it was there.
    pub async fn delete_object(
        &self,
        asked: Asked<'_>,
        (bucket, key): (&str, &str),
    ) -> Result<bool, Refusal> {
        let bucket = self.admit(asked.caller, asked.environment, bucket, Permission::BucketWrite)?;
        self.objects.delete(asked.caller.actor(), &bucket, key).await
    }

    /// Objects of a bucket whose keys begin with `prefix`, in order, after `after`, at most `limit`.
    pub async fn list_objects(
        &self,
        caller: &Caller,
        environment: &str,
        (bucket, prefix, after): (&str, &str, &str),
        limit: u32,
    ) -> Result<Vec<Object>, Refusal> {
        let bucket = self.admit(caller, environment, bucket, Permission::BucketRead)?;
        self.objects.list(&bucket, prefix, after, limit).await
    }

    fn admit(
        &self,
        caller: &Caller,
        environment: &str,
        bucket: &str,
        permission: Permission,
    ) -> Result<DocumentId, Refusal> {
        self.feed.permitted(caller, environment, permission)?;
        Ok(DocumentId::new(Kind::Bucket, environment, bucket))
    }
}

/// The document of a bucket called `name`, as `body` says.
fn check(name: &str, body: &Value) -> Result<Value, Refusal> {
    if !is_function_name(name) {
        let shown: String = name.chars().take(64).collect();
        let message =
            format!("`{shown}` cannot name a bucket; write 1 to 63 lower-case letters, digits and `-`");
        return Err(Refusal::fault("/name", message));
    }
    let members = body.as_object().ok_or_else(|| Refusal::fault("", "expected an object"))?;
    if let Some(unknown) = members.keys().find(|key| !matches!(key.as_str(), "name" | "description")) {
        let message = format!("`{unknown}` is unknown; a bucket has `name` and `description`");
        return Err(Refusal::fault(&format!("/{unknown}"), message));
    }
    if members.get("name").is_some_and(|said| said != name) {
        return Err(Refusal::fault("/name", format!("is not `{name}`, as the path says")));
    }
    let description = match members.get("description") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) if text.chars().count() <= LONGEST_DESCRIPTION => text,
        Some(_) => {
            let message = format!("expected a text of at most {LONGEST_DESCRIPTION} characters");
            return Err(Refusal::fault("/description", message));
        }
    };
    Ok(json!({ "name": name, "description": description }))
}

fn missing(environment: &EnvironmentSnapshot, name: &str) -> Refusal {
    no_bucket(&DocumentId::new(Kind::Bucket, &environment.definition.key, name))
}

fn no_bucket(bucket: &DocumentId) -> Refusal {
    let (name, environment) = (shown(&bucket.key), &bucket.environment);
    Refusal::not_found(
        "bucket_not_found",
        format!("bucket `{name}` not found in environment `{environment}`"),
    )
}

fn no_object(bucket: &DocumentId, key: &str) -> Refusal {
    Refusal::not_found("object_not_found", format!("bucket `{}` has no object `{}`", bucket.key, shown(key)))
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
