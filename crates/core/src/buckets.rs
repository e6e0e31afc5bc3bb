//! Buckets: objects under keys that people choose, in blobs under names that are ours.
//!
//! A bucket is a document. Its objects are not: there may be millions. [`ObjectIndex`] knows which object is in which
//! blobs, [`Uploads`] knows what is on its way; an object is there from the moment the index has it, and what has no place
//! there any more is removed from the blobs. Each write is an event of the change log, without the bytes.
//!
//! Façades ask [`Buckets::admit`] first, which looks at permissions, the policy and what is public, and use
//! [`Objects`] with the bucket that it gives.

mod access;
mod cache;
mod conditions;
mod definition;
mod digest;
mod index;
mod media;
mod object;
mod objects;
mod policy;
mod releases;
mod sign;
mod tags;
mod upkeep;
mod uploads;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    blobs::Blobs,
    caller::Caller,
    catalog::{Document, DocumentId, Kind, Page, Write},
    documents::{DocumentKind, Documents},
    feed::Feed,
    flags::Asked,
    permissions::Permission,
    refusal::{Class, Precondition, Refusal},
    snapshot::EnvironmentSnapshot,
};

pub use access::{Act, Action, Granted, Visitor, may, permitted};
pub use conditions::{Conditions, Form, Judgement, etags, http_date};
pub use definition::{
    Bucket, CorsRule, LifecycleRule, Public, Quota, Settings, Site, Versioning, is_bucket_name,
};
pub use digest::{
    Algorithm, Checksum, Digested, Digests, Late, Outcome, checksum_of_parts, crc64, crc64_of, digesting,
    etag_of_parts, opaque_etag,
};
pub use index::{Amendment, Condition, Deletion, IndexError, ObjectIndex, Placed, Terms};
pub use media::media_type;
pub use object::{Listed, Listing, NULL_VERSION, Object, ObjectHead, Piece, Position, Usage};
pub use objects::{
    Appended, Begin, Complete, Copying, Fits, MOST_KEY, MOST_LISTED, Objects, Part, PartOf, Pick, Put,
};
pub use policy::{Policy, Question, Verdict, matches_wildcard};
pub use sign::{Claim, LONGEST_SIGNED, Signer};
pub use tags::{TagFault, check_tags};
pub use upkeep::{Damage, Scrubbed, Upkeep};
pub use uploads::{MOST_PARTS, Upload, UploadForm, UploadPart, Uploads, UploadsListed};

const BUCKETS: DocumentKind = DocumentKind {
    kind: Kind::Bucket,
    noun: "bucket",
    read: Permission::BucketList,
    create: Permission::BucketManage,
    update: Permission::BucketManage,
    delete: Permission::BucketManage,
    missing,
};

/// What buckets are made from.
pub struct BucketsParts {
    /// The change log and the snapshot.
    pub feed: Arc<Feed>,
    /// Which objects there are.
    pub index: Arc<dyn ObjectIndex>,
    /// Which uploads there are.
    pub uploads: Arc<dyn Uploads>,
    /// Their bytes.
    pub blobs: Arc<dyn Blobs>,
    /// Signs URLs.
    pub signer: Signer,
}

/// Shows, makes and removes buckets, and says who may do what with what is in them.
pub struct Buckets {
    feed: Arc<Feed>,
    documents: Documents,
    objects: Arc<Objects>,
    signer: Signer,
}

impl Buckets {
    /// Buckets of the feed's catalog.
    pub fn new(parts: BucketsParts) -> Self {
        let BucketsParts { feed, index, uploads, blobs, signer } = parts;
        let documents = Documents::new(Arc::clone(&feed), &BUCKETS);
        let objects = Arc::new(Objects::new(Arc::clone(&feed), (index, uploads), blobs));
        Self { feed, documents, objects, signer }
    }

    /// Objects, whoever asks: for what looked at permissions by itself.
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// The bucket called `name`, when `visitor` may do `act` there.
    pub fn admit(&self, visitor: &Visitor<'_>, name: &str, act: Act<'_>) -> Result<Arc<Bucket>, Refusal> {
        self.granted(visitor, name, act).map(|(bucket, _)| bucket)
    }

    /// The same, and why: what everybody may do is answered with more care.
    pub fn granted(
        &self,
        visitor: &Visitor<'_>,
        name: &str,
        act: Act<'_>,
    ) -> Result<(Arc<Bucket>, Granted), Refusal> {
        let snapshot = self.feed.snapshots().load();
        let environment = snapshot.require_environment(visitor.environment)?;
        let Some(bucket) = environment.buckets.get(name) else {
            // Whether there is a bucket is told to those who may see it.
            let permission = act.action.permission();
            let to = (name, act.to);
            if !permitted(&snapshot, environment, visitor.caller, to).allow(permission) {
                let required = visitor.caller.require(&snapshot, environment, permission);
                required.map_err(|refusal| {
                    access::elsewhere(visitor.caller, visitor.environment, to, permission).unwrap_or(refusal)
                })?;
            }
            return Err(missing(environment, name));
        };
        let granted = may(&snapshot, bucket, visitor, act)?;
        Ok((Arc::clone(bucket), granted))
    }

    /// Buckets of an environment that the caller may see, by name.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page,
    ) -> Result<Vec<Document>, Refusal> {
        let snapshot = self.feed.snapshots().get();
        let place = snapshot.require_environment(environment)?;
        if caller.permissions(&snapshot, place).allow(Permission::BucketList) {
            return self.documents.list(caller, environment, page).await;
        }
        let mut names: Vec<_> = place.buckets.keys().filter(|name| self.seen(caller, place, name)).collect();
        names.sort();
        if names.is_empty() {
            caller.require(&snapshot, place, Permission::BucketList)?;
        }
        let after = page.after.unwrap_or_default();
        let mut documents = Vec::new();
        for name in names.into_iter().filter(|name| ***name > *after).take(page.limit as usize) {
            documents.extend(self.documents.current(environment, name).await?);
        }
        Ok(documents)
    }

    /// One bucket, and how much is in it.
    pub async fn get(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
    ) -> Result<(Document, Usage), Refusal> {
        let snapshot = self.feed.snapshots().get();
        let place = snapshot.require_environment(environment)?;
        if !self.seen(caller, place, name) {
            caller.require(&snapshot, place, Permission::BucketList)?;
        }
        let document = self.documents.find(environment, name).await?;
        let usage = self.objects.usage(&document.id).await?;
        Ok((document, usage))
    }

    /// Makes a bucket, or replaces all that is said of it: members that `body` leaves out are as in a new one. What is in it
    /// stays. Returns it and whether it is new.
    pub async fn put(
        &self,
        asked: Asked<'_>,
        name: &str,
        body: &Value,
        seen: Precondition,
    ) -> Result<(Document, bool), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::BucketManage)?;
        let settings = definition::read(name, body)?;
        let versioning = settings.versioning;
        let body = stored(&settings)?;
        let name = name.to_owned();
        let fits = move |environment: &EnvironmentSnapshot| {
            let before = environment.buckets.get(name.as_str()).map(|bucket| bucket.settings.versioning);
            if before.is_none() {
                definition::check_new_name(&name)?;
            }
            match (before.unwrap_or_default(), versioning) {
                (Versioning::Enabled | Versioning::Suspended, Versioning::Off) => {
                    let message = "versions were kept, so it cannot be `off` again; write `suspended`";
                    Err(Refusal::fault("/versioning", message))
                }
                _ => Ok(()),
            }
        };
        let named = settings.name.clone();
        let put = self.documents.put(asked, (&named, body), seen, fits).await;
        put.map_err(|mut refusal| {
            if (refusal.class, seen) == (Class::Stale, Precondition::Absent) {
                refusal.message = format!(
                    "bucket `{named}` exists already; `flagbase bucket set {named}` (PATCH) changes it, or choose another \
                     name"
                );
            }
            refusal
        })
    }

    /// Changes members of a bucket: each member of `patch` takes the place of the one there is; null takes it away.
    pub async fn patch(
        &self,
        asked: Asked<'_>,
        name: &str,
        patch: &Value,
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::BucketManage)?;
        let members = patch.as_object().ok_or_else(|| Refusal::fault("", "expected an object"))?;
        let document = self.documents.find(asked.environment, name).await?;
        let seen = match seen {
            Precondition::None => Precondition::Match(document.revision),
            said => said,
        };
        let mut body = document.body;
        if let Some(there) = body.as_object_mut() {
            for (member, value) in members {
                match value {
                    Value::Null => drop(there.remove(member)),
                    value => drop(there.insert(member.clone(), value.clone())),
                }
            }
        }
        let (document, _) = self.put(asked, name, &body, seen).await?;
        Ok(document)
    }

    /// Removes a bucket that holds nothing: no object, no older version, no upload.
    pub async fn delete(&self, asked: Asked<'_>, name: &str, seen: Precondition) -> Result<(), Refusal> {
        let unused = |environment: &EnvironmentSnapshot| {
            let leads = |target: crate::gateway::BucketTarget| *target.name == *name;
            match environment.routes.routes().find(|route| route.route.buckets().any(leads)) {
                Some(route) => {
                    let message = format!(
                        "route `{}` leads to bucket `{name}`; change the route, or delete it first",
                        route.id
                    );
                    Err(Refusal::new(Class::Conflict, "bucket_in_use", message))
                }
                None => Ok(()),
            }
        };
        // Looked at where objects are written, so that none is lost that is written at this moment.
        self.documents.remove(asked, (name, Write::DeleteEmpty), seen, unused).await
    }

    /// Signs a URL for what `visitor` may do himself.
    pub fn sign(&self, visitor: &Visitor<'_>, claim: Claim) -> Result<(Claim, String), Refusal> {
        let action = match claim.method.as_str() {
            "GET" if claim.version.is_some() => Action::GetVersion,
            "GET" => Action::GetObject,
            "PUT" => Action::PutObject,
            "DELETE" => Action::DeleteObject,
            _ => return Err(Refusal::fault("/method", "expected `GET`, `PUT` or `DELETE`")),
        };
        self.admit(visitor, &claim.bucket, Act::new(action, &claim.key))?;
        let now = self.feed.clock().now();
        let longest = now.checked_add(LONGEST_SIGNED).unwrap_or(now);
        if claim.expires <= now || claim.expires > longest {
            return Err(Refusal::fault("/expires_in", "expected 1 second to 7 days"));
        }
        let kind = match visitor.caller.principal {
            crate::caller::Principal::Key(_) => "key",
            _ => "user",
        };
        let claim = Claim { by: format!("{kind}:{}", visitor.caller.id), ..claim };
        let signature = self.signer.sign(&claim);
        Ok((claim, signature))
    }

    /// The bucket that a signed URL leads to, when it is what was signed, has not ended, and the key that signed it was not
    /// withdrawn.
    pub fn signed(&self, claim: &Claim, signature: &str) -> Result<Arc<Bucket>, Refusal> {
        self.signer.verify(claim, signature, self.feed.clock().now())?;
        let snapshot = self.feed.snapshots().load();
        if let Some(id) = claim.by.strip_prefix("key:")
            && snapshot.key(id).is_none_or(|key| key.has_ended(self.feed.clock().now()))
        {
            let message = "the API key that signed this URL was withdrawn; ask for a new one";
            return Err(Refusal::new(Class::Forbidden, "signature_invalid", message));
        }
        self.objects.bucket(&claim.environment, &claim.bucket)
    }

    /// Whether the caller may do anything in a bucket.
    fn seen(&self, caller: &Caller, environment: &EnvironmentSnapshot, name: &str) -> bool {
        let snapshot = self.feed.snapshots().load();
        access::touches(&snapshot, environment, caller, name)
    }
}

fn stored(settings: &Settings) -> Result<Value, Refusal> {
    serde_json::to_value(settings).map_err(|error| Refusal::corrupt(error.into()))
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

/// What is to be said of a release that holds nothing.
pub fn empty_release(bucket: &Bucket, prefix: &str) -> String {
    let (name, index) = (bucket.name(), &bucket.site().index);
    let place = if prefix.is_empty() { String::new() } else { format!(" under `{prefix}`") };
    format!(
        "bucket `{name}` holds nothing{place}, where `{prefix}{index}` is looked for; upload the release, or choose another one"
    )
}

/// There is no object under `key`.
pub fn no_object(bucket: &Bucket, key: &str) -> Refusal {
    let message = format!("bucket `{}` has no object `{}`", bucket.name(), shown(key));
    Refusal::not_found("object_not_found", message)
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
