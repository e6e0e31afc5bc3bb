//! API keys: made, listed, revoked, and recognised.

use std::sync::Arc;

use jiff::Timestamp;
use subtle::ConstantTimeEq as _;

use super::{Identity, lifetime, policy::fault, roles::commit, sha256};
use crate::{
    caller::{Caller, Principal},
    catalog::{DocumentId, Draft, Expect, Kind, Revision, Write},
    keys::ApiKey,
    permissions::{Permission, Permissions},
    refusal::{Class, Refusal},
};

/// What every key's token begins with.
pub(super) const PREFIX: &str = "fb_";

/// Keys of one environment, at most.
const MOST: usize = 1000;

/// An API key to be made.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// What people call it.
    pub name: String,
    /// The only environment it admits to.
    pub environment: String,
    /// What it permits there; no more than its maker may do.
    pub permissions: Vec<Permission>,
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
    /// The change that made it.
    pub revision: Revision,
}

impl Identity {
    /// Makes a key. Nobody can put more into it than he may do himself in that environment.
    pub async fn create_key(
        &self,
        caller: &Caller,
        ask: KeyRequest,
        reason: &str,
    ) -> Result<NewKey, Refusal> {
        let (key, token) = self.new_key(caller, ask)?;
        let revision = self.writer.create_key(caller, reason, key.clone()).await?;
        Ok(NewKey { key: Arc::new(key), token, revision })
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
        let beyond: Vec<_> = wanted
            .iter()
            .filter(|permission| !caller.permissions(&snapshot, environment).allow(*permission))
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
            return Err(Refusal::new(
                Class::Unauthenticated,
                "key_expired",
                format!("API key `{}` has expired; make a new one", key.name),
            ));
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
    if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
}

fn unknown(id: &str) -> Refusal {
    let id: String = id.chars().take(64).collect();
    Refusal::not_found("key_not_found", format!("there is no API key `{id}`"))
}
