//! API keys: made, listed, revoked, and recognised.

use std::sync::Arc;

use base64::Engine as _;
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Identity, lifetime, policy::fault, roles::commit, sha256};
use crate::{
    buckets::{MOST_KEY, is_bucket_name, permitted},
    caller::{Caller, Principal},
    catalog::{DocumentId, Draft, Expect, Kind, Revision, Write},
    functions::vault::Sealed,
    keys::{ACCESS_PREFIX, ApiKey, KeyBucket, SealedSecret},
    permissions::{Permission, Permissions},
    refusal::{Class, Refusal},
};

/// What every key's token begins with.
pub(super) const PREFIX: &str = "fb_";

/// Keys of one environment, at most.
const MOST: usize = 1000;

/// Buckets that one key may name.
const MOST_BUCKETS: usize = 100;

/// What the secret of an access key is sealed as.
const ACCESS: &str = "s3";

/// An API key to be made.
#[derive(Debug, Clone, Default)]
pub struct KeyRequest {
    /// What people call it.
    pub name: String,
    /// The only environment it admits to.
    pub environment: String,
    /// What it permits there; no more than its maker may do.
    pub permissions: Vec<Permission>,
    /// Where what it permits about buckets holds; nothing here: in all of them.
    pub buckets: Vec<KeyBucket>,
    /// How long it is good for, such as `720h`; `None`: until it is revoked.
    pub expires_in: Option<String>,
}

/// A new key, with its token: the only time it is told.
#[derive(Clone)]
pub struct NewKey {
    /// As stored.
    pub key: Arc<ApiKey>,
    /// To be sent as `Authorization: Bearer <token>` or `X-API-Key: <token>`.
    pub token: String,
    /// The S3 access key that it is, too, when it permits anything about buckets: its id, and its secret, which is told
    /// this once.
    pub access: Option<(String, String)>,
    /// The change that made it.
    pub revision: Revision,
}

/// Who an S3 access key is.
pub struct AccessKey {
    /// The API key.
    pub key: Arc<ApiKey>,
    /// The caller that it is.
    pub caller: Arc<Caller>,
    /// What requests are signed with.
    pub secret: Zeroizing<String>,
}

impl Identity {
    /// Makes a key. Nobody can put more into it than he may do himself in that environment.
    pub async fn create_key(
        &self,
        caller: &Caller,
        ask: KeyRequest,
        reason: &str,
    ) -> Result<NewKey, Refusal> {
        let (mut key, token) = self.new_key(caller, ask)?;
        let access = self.access_of(&mut key);
        let revision = self.writer.create_key(caller, reason, key.clone()).await?;
        Ok(NewKey { key: Arc::new(key), token, access, revision })
    }

    /// Makes a key an S3 access key when it permits anything about buckets. Returns the access key's id and secret.
    fn access_of(&self, key: &mut ApiKey) -> Option<(String, String)> {
        let keyring = self.keyring.as_ref()?;
        let about_buckets = Permissions::of_buckets();
        key.permissions.iter().find(|permission| about_buckets.allow(**permission))?;
        let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.random.bytes::<30>());
        let (place, now) = (place(&key.id), self.clock.now());
        let sealed = keyring.seal(&place, (ACCESS, &secret), self.random.as_ref(), now);
        key.access = Some(SealedSecret { key_id: sealed.key_id, sealed: hex::encode(sealed.bytes) });
        Some((key.access_key_id(), secret))
    }

    /// Who the S3 access key `id` is, and its secret. Takes no lock and waits for nothing.
    ///
    /// # Errors
    /// There is no such key, it has ended, or its secret cannot be opened.
    pub fn access_key(&self, id: &str) -> Result<AccessKey, Refusal> {
        let snapshot = self.feed.snapshots().load();
        let digits = id.strip_prefix(ACCESS_PREFIX).filter(|digits| id.len() == 20 && digits.is_ascii());
        let known = digits.and_then(|digits| snapshot.key(&digits.get(..16)?.to_ascii_lowercase()));
        let key = known.filter(|key| key.access_key_id() == id).ok_or_else(Refusal::token_invalid)?;
        if key.has_ended(self.clock.now()) {
            return Err(expired(key));
        }
        let (Some(keyring), Some(access)) = (&self.keyring, &key.access) else {
            return Err(Refusal::token_invalid());
        };
        let sealed = Sealed {
            name: ACCESS.to_owned(),
            key_id: access.key_id.clone(),
            bytes: hex::decode(&access.sealed).map_err(|error| Refusal::corrupt(error.into()))?,
            set_at: Timestamp::UNIX_EPOCH,
        };
        let secret = keyring.open(&place(&key.id), &sealed).map_err(|error| {
            let message = "the secret of this access key cannot be opened; make another key";
            Refusal::new(Class::Unauthenticated, "key_sealed", message).because(error)
        })?;
        let caller = Arc::new(Caller::of_key(Arc::clone(key)));
        Ok(AccessKey { key: Arc::clone(key), caller, secret })
    }

    fn new_key(&self, caller: &Caller, ask: KeyRequest) -> Result<(ApiKey, String), Refusal> {
        caller.require_somebody()?;
        let snapshot = self.feed.snapshots().load();
        let environment = snapshot.require_environment(&ask.environment)?;
        caller.require(&snapshot, environment, Permission::KeyManage)?;
        if !matches!(caller.principal, Principal::User) {
            // A key that makes keys would outlive its own end.
            return Err(Refusal::new(
                Class::Forbidden,
                "forbidden",
                "API keys are made by users, not by other keys",
            ));
        }
        check(&ask)?;
        let wanted: Permissions = ask.permissions.iter().copied().collect();
        let own = caller.permissions(&snapshot, environment);
        // What holds in some buckets only has to be permitted there, and nowhere else.
        let here = |scope: &KeyBucket, permission| {
            let said = scope.permissions.as_ref().is_none_or(|said| said.contains(&permission));
            !said
                || permitted(&snapshot, environment, caller, (&scope.bucket, &scope.prefix)).allow(permission)
        };
        let in_buckets = |permission| {
            Permissions::of_buckets().allow(permission)
                && !ask.buckets.is_empty()
                && ask.buckets.iter().all(|scope| here(scope, permission))
        };
        let beyond: Vec<_> = wanted
            .iter()
            .filter(|permission| !own.allow(*permission) && !in_buckets(*permission))
            .map(|permission| format!("`{}`", permission.as_str()))
            .collect();
        if !beyond.is_empty() {
            return Err(Refusal::new(
                Class::Forbidden,
                "beyond_own_role",
                format!(
                    "a key cannot permit what its maker may not do in `{}`: {}",
                    ask.environment,
                    beyond.join(", ")
                ),
            ));
        }
        if snapshot.keys().filter(|key| key.environment == ask.environment).count() >= MOST {
            return Err(Refusal::new(
                Class::Conflict,
                "too_many_keys",
                format!("environment `{}` has {MOST} keys already; revoke one first", ask.environment),
            ));
        }
        let expires_at = match &ask.expires_in {
            Some(text) => self.clock.now().checked_add(lifetime(text, "/expires_in")?).ok(),
            None => None,
        };
        let (id, secret) = (self.random.hex(8), self.random.hex(32));
        let key = ApiKey {
            name: ask.name,
            environment: ask.environment,
            permissions: wanted.iter().collect(),
            buckets: ask.buckets,
            access: None,
            secret_hash: sha256(&secret),
            created_at: Some(self.clock.now()),
            expires_at,
            created_by: caller.id.to_string(),
            id: id.clone(),
        };
        Ok((key, format!("{PREFIX}{id}_{secret}")))
    }

    /// The keys that the caller may see and revoke, by name: all for whoever administers users, otherwise those he made
    /// himself.
    pub fn keys(&self, caller: &Caller) -> Result<Vec<Arc<ApiKey>>, Refusal> {
        caller.require_somebody()?;
        let snapshot = self.feed.snapshots().get();
        let all = caller.require_everywhere(&snapshot, Permission::UserManage).is_ok();
        let anywhere = snapshot
            .environments()
            .any(|environment| caller.permissions(&snapshot, environment).allow(Permission::KeyManage));
        if !all && !anywhere {
            caller.require_everywhere(&snapshot, Permission::KeyManage)?;
        }
        let mut keys: Vec<_> =
            snapshot.keys().filter(|key| all || key.created_by == *caller.id).map(Arc::clone).collect();
        keys.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(keys)
    }

    /// Withdraws a key; it admits nobody from the next request on. Keys that the caller may not see do not exist for
    /// him.
    pub async fn revoke_key(&self, caller: &Caller, id: &str, reason: &str) -> Result<(), Refusal> {
        if !self.keys(caller)?.iter().any(|key| key.id == id) {
            return Err(unknown(id));
        }
        let document = DocumentId::new(Kind::ApiKey, "", id);
        let stored = self.feed.catalog().get(&document).await?.ok_or_else(|| unknown(id))?;
        let draft = Draft {
            id: document,
            verb: "deleted",
            expect: Expect::At(stored.revision),
            write: Write::Delete,
            detail: serde_json::Value::Null,
        };
        commit(Arc::clone(&self.feed), caller.actor(), reason, draft).await?;
        Ok(())
    }

    /// The key whose token this is.
    pub(super) fn key_behind(&self, token: &str) -> Result<Arc<ApiKey>, Refusal> {
        let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let Some((id, secret)) = parts.filter(|(id, secret)| id.len() <= 64 && secret.len() <= 128) else {
            return Err(Refusal::token_invalid());
        };
        let key = self.feed.snapshots().load().key(id).map(Arc::clone).ok_or_else(Refusal::token_invalid)?;
        if !bool::from(sha256(secret).as_bytes().ct_eq(key.secret_hash.as_bytes())) {
            return Err(Refusal::token_invalid());
        }
        if key.has_ended(self.clock.now()) {
            return Err(expired(&key));
        }
        Ok(key)
    }
}

impl ApiKey {
    /// Whether it admits nobody any more at `now`.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

fn expired(key: &ApiKey) -> Refusal {
    Refusal::new(
        Class::Unauthenticated,
        "key_expired",
        format!("API key `{}` has expired; make a new one", key.name),
    )
}

/// What the secret of an access key is sealed for.
fn place(id: &str) -> DocumentId {
    DocumentId::new(Kind::ApiKey, "", id)
}

fn check(ask: &KeyRequest) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    let length = ask.name.chars().count();
    if !(1..=100).contains(&length) || ask.name.trim() != ask.name || ask.name.contains(char::is_control) {
        faults.push(fault("/name", "expected a name of 1 to 100 characters"));
    }
    if ask.permissions.is_empty() {
        faults.push(fault("/permissions", "is empty; name at least one, such as `flag.evaluate`"));
    }
    for (at, permission) in ask.permissions.iter().enumerate() {
        if matches!(permission, Permission::UserManage | Permission::KeyManage | Permission::EnvironmentWrite)
        {
            let message = format!("`{}` is for people; a key cannot have it", permission.as_str());
            faults.push(fault(&format!("/permissions/{at}"), &message));
        }
    }
    if ask.buckets.len() > MOST_BUCKETS {
        faults.push(fault("/buckets", "names more than 100 buckets; use fewer"));
    }
    for (at, scope) in ask.buckets.iter().enumerate() {
        if !is_bucket_name(&scope.bucket) || scope.prefix.len() > MOST_KEY {
            faults.push(fault(&format!("/buckets/{at}"), "names no bucket, or its prefix is too long"));
        }
        let own = scope.permissions.iter().flatten();
        if let Some(more) = own.into_iter().find(|permission| !ask.permissions.contains(permission)) {
            let message = format!("`{}` is not in `/permissions`; add it there", more.as_str());
            faults.push(fault(&format!("/buckets/{at}/permissions"), &message));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
}

fn unknown(id: &str) -> Refusal {
    let id: String = id.chars().take(64).collect();
    Refusal::not_found("key_not_found", format!("there is no API key `{id}`"))
}
