//! Setting, naming and removing secrets, and opening them for the functions they belong to.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use papaya::HashMap;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Keyring, OpenError, Vault, VaultError};
use crate::{
    caller::Caller,
    catalog::{Commit, DocumentId, Draft, Expect, Kind, Write},
    feed::Feed,
    flags::Asked,
    functions::{GuestSecrets, HostError, not_found},
    permissions::Permission,
    refusal::{Class, Refusal},
};

/// Secrets of one function, at most.
pub const MOST_SECRETS: usize = 100;

/// The longest secret, in bytes.
pub const MOST_SECRET: usize = 64 << 10;

/// Functions whose secrets are kept open, at most.
const MOST_OPEN: usize = 4096;

/// What may be known of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Sets, names and removes secrets, and opens them for their functions.
pub struct Secrets {
    feed: Arc<Feed>,
    vault: Arc<dyn Vault>,
    keyring: Keyring,
    /// Opened values of functions that asked, good until something about the function changes.
    opened: HashMap<DocumentId, Arc<Opened>, foldhash::fast::RandomState>,
}

/// The secrets of one function. Values are overwritten in memory when they are forgotten.
struct Opened {
    stamp: u64,
    values: BTreeMap<String, Result<Zeroizing<String>, OpenError>>,
}

impl Secrets {
    /// Secrets kept in `vault`, sealed by `keyring`.
    pub fn new(feed: Arc<Feed>, vault: Arc<dyn Vault>, keyring: Keyring) -> Self {
        Self { feed, vault, keyring, opened: HashMap::default() }
    }

    /// The names of a function's secrets, never their values.
    pub async fn list(
        &self,
        caller: &Caller,
        environment: &str,
        function: &str,
    ) -> Result<Vec<SecretInfo>, Refusal> {
        self.feed.permitted(caller, environment, Permission::FunctionRead)?;
        let function = self.function(environment, function)?;
        let sealed = self.vault.sealed(&function).await?;
        Ok(sealed.into_iter().map(|sealed| SecretInfo { name: sealed.name, set_at: sealed.set_at }).collect())
    }

    /// Sets a secret, in place of the one of that name. Running instances get it with their next call.
    pub async fn set(
        &self,
        asked: Asked<'_>,
        function: &str,
        (name, value): (&str, &str),
    ) -> Result<SecretInfo, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FunctionWrite)?;
        check(name, value)?;
        // In this node's turn to edit, so that the function does not go meanwhile.
        let _turn = self.feed.edit().await;
        let function = self.function(asked.environment, function)?;
        let there = self.vault.sealed(&function).await?;
        if there.len() >= MOST_SECRETS && there.iter().all(|sealed| sealed.name != name) {
            let message = format!("the function has {MOST_SECRETS} secrets already; delete one first");
            return Err(Refusal::new(Class::Conflict, "too_many_secrets", message));
        }
        let now = self.feed.clock().now();
        let sealed = self.keyring.seal(&function, (name, value), self.feed.random(), now);
        let info = SecretInfo { name: name.to_owned(), set_at: now };
        let commit = self.told(&asked, &function, ("secret_set", name));
        let changes = self.vault.put(&function, sealed, commit).await?;
        self.feed.applied(changes).await?;
        Ok(info)
    }

    /// Removes a secret.
    pub async fn delete(&self, asked: Asked<'_>, function: &str, name: &str) -> Result<(), Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FunctionWrite)?;
        let function = self.function(asked.environment, function)?;
        let commit = self.told(&asked, &function, ("secret_deleted", name));
        let Some(changes) = self.vault.delete(&function, name, commit).await? else {
            let shown: String = name.chars().take(64).collect();
            let message = format!("{function} has no secret `{shown}`");
            return Err(Refusal::not_found("secret_not_found", message));
        };
        self.feed.applied(changes).await?;
        Ok(())
    }

    /// What is logged: who did it to which secret, and nothing of its value.
    fn told(&self, asked: &Asked<'_>, function: &DocumentId, (verb, name): (&'static str, &str)) -> Commit {
        let draft = Draft {
            id: function.clone(),
            verb,
            expect: Expect::Any,
            write: Write::Nothing,
            detail: json!({ "name": name }),
        };
        self.feed.draft(asked.caller.actor(), asked.reason, vec![draft])
    }

    fn function(&self, environment: &str, name: &str) -> Result<DocumentId, Refusal> {
        let snapshot = self.feed.snapshots().load();
        let scope = snapshot.require_environment(environment)?;
        if scope.functions.contains_key(name) {
            return Ok(DocumentId::new(Kind::Function, environment, name));
        }
        let shown: String = name.chars().take(64).collect();
        Err(not_found(scope, &shown))
    }

    /// All secrets of `function`, from memory while nothing about it has changed.
    async fn of(&self, function: &DocumentId) -> Result<Arc<Opened>, VaultError> {
        // Taken before they are read: what changes meanwhile makes it worthless.
        let stamp = self.feed.epochs().of_function(&function.key);
        if let Some(opened) = self.opened.pin().get(function).filter(|opened| opened.stamp == stamp) {
            return Ok(Arc::clone(opened));
        }
        let sealed = self.vault.sealed(function).await?;
        let values = sealed.iter().map(|sealed| {
            let value = self.keyring.open(function, sealed);
            if let Err(error) = &value {
                tracing::error!(%function, "{error}");
            }
            (sealed.name.clone(), value)
        });
        let opened = Arc::new(Opened { stamp, values: values.collect() });
        let all = self.opened.pin();
        if all.len() >= MOST_OPEN {
            all.clear();
        }
        all.insert(function.clone(), Arc::clone(&opened));
        Ok(opened)
    }
}

impl Secrets {
    /// The same for the function itself, which is told less of what went wrong than the log.
    async fn of_guest(&self, function: &DocumentId) -> Result<Arc<Opened>, HostError> {
        self.of(function).await.map_err(|error| {
            tracing::error!(%function, error = &error as &dyn std::error::Error, "secrets cannot be read");
            HostError::Failed(error.to_string())
        })
    }
}

#[async_trait]
impl GuestSecrets for Secrets {
    async fn open(&self, function: &DocumentId, name: &str) -> Result<Option<String>, HostError> {
        match self.of_guest(function).await?.values.get(name) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value.to_string())),
            Some(Err(error)) => Err(HostError::Failed(error.to_string())),
        }
    }

    async fn all(&self, function: &DocumentId) -> Result<BTreeMap<String, String>, HostError> {
        let opened = self.of_guest(function).await?;
        let readable = opened.values.iter().map(|(name, value)| match value {
            Ok(value) => Ok((name.clone(), value.to_string())),
            Err(error) => Err(HostError::Failed(error.to_string())),
        });
        readable.collect()
    }
}

fn check(name: &str, value: &str) -> Result<(), Refusal> {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !begins || name.len() > 128 || !name.bytes().all(known) {
        let shown: String = name.chars().take(64).collect();
        let message = format!(
            "`{shown}` cannot name a secret; begin with a letter or `_`, and write letters, digits, `_`, `-` and `.`, at most 128"
        );
        return Err(Refusal::fault("/name", message));
    }
    match value.len() {
        0 => Err(Refusal::fault("/value", "is empty; delete the secret instead")),
        1..=MOST_SECRET => Ok(()),
        long => {
            let message = format!("has {long} bytes; a secret has at most {MOST_SECRET}");
            Err(Refusal::fault("/value", message))
        }
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unavailable(source) => Self::unavailable(source),
            VaultError::Corrupt(source) => Self::corrupt(source),
        }
    }
}
