//! Session overrides: a flag set for one session only.

use std::sync::Arc;

use flagbase_engine::{CompiledFlag, CompiledVariant};
use serde_json::{Value, json};

use crate::{
    accounts::{Accounts, Override, Session},
    caller::{Caller, Principal},
    catalog::{DocumentId, Draft, Expect, Kind, Write},
    feed::Feed,
    flags::not_found,
    permissions::Permission,
    refusal::{Class, Refusal},
};

/// Overrides in one session, at most.
const MOST: usize = 100;

/// Sets flags for one session only. What is set follows the session through the gateway and ends with it.
pub struct Overrides {
    feed: Arc<Feed>,
    accounts: Arc<dyn Accounts>,
}

/// Whose overrides, on whose behalf.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The session; `None`: the caller's own.
    pub session: Option<&'a str>,
}

/// What to serve instead.
#[derive(Debug, Clone, PartialEq)]
pub enum Instead {
    /// The variant of this name.
    Variant(String),
    /// The variant with this value; when none has it, the one of this name, or whose value reads the same.
    Value(Value),
}

impl Overrides {
    /// Overrides of sessions kept in `accounts`.
    pub fn new(feed: Arc<Feed>, accounts: Arc<dyn Accounts>) -> Self {
        Self { feed, accounts }
    }

    /// What is set for a session.
    pub async fn list(&self, target: Target<'_>) -> Result<Vec<Override>, Refusal> {
        Ok(self.session(target).await?.overrides)
    }

    /// Sets a flag for a session.
    pub async fn set(
        &self,
        target: Target<'_>,
        environment: &str,
        key: &str,
        instead: Instead,
    ) -> Result<Override, Refusal> {
        let variant = self.variant(target, environment, key, &instead)?;
        // A session has no revision: editing in turn keeps two overrides set at once from losing one.
        let _turn = self.feed.edit().await;
        let mut session = self.session(target).await?;
        let set = Override {
            environment: environment.into(),
            flag: key.into(),
            variant,
            set_at: self.feed.clock().now(),
            set_by: Arc::clone(&target.caller.id),
        };
        session.overrides.retain(|old| !(*old.environment == *environment && *old.flag == *key));
        if session.overrides.len() >= MOST {
            return Err(Refusal::new(
                Class::Conflict,
                "too_many_overrides",
                format!("this session has {MOST} overrides already; remove some"),
            ));
        }
        session.overrides.push(set.clone());
        let detail = json!({"environment": environment, "flag": key, "variant": set.variant});
        self.write(target, session, detail).await?;
        Ok(set)
    }

    /// Removes what is set for a session: one flag, or all. Removing what is not there is fine.
    pub async fn remove(&self, target: Target<'_>, flag: Option<(&str, &str)>) -> Result<(), Refusal> {
        let _turn = self.feed.edit().await;
        let mut session = self.session(target).await?;
        let before = session.overrides.len();
        session.overrides.retain(|set| {
            flag.is_some_and(|(environment, key)| !(*set.environment == *environment && *set.flag == *key))
        });
        if session.overrides.len() == before {
            return Ok(());
        }
        let detail = match flag {
            Some((environment, key)) => {
                json!({"environment": environment, "flag": key, "variant": null})
            }
            None => json!({"all": true}),
        };
        self.write(target, session, detail).await
    }

    fn variant(
        &self,
        target: Target<'_>,
        environment: &str,
        key: &str,
        instead: &Instead,
    ) -> Result<Arc<str>, Refusal> {
        let snapshot = self.feed.snapshots().get();
        let scope = snapshot.require_environment(environment)?;
        target.caller.require(&snapshot, scope, Permission::FlagOverride)?;
        let flag = scope.rules.flag(key).ok_or_else(|| not_found(scope, key))?;
        let found = match instead {
            Instead::Variant(name) => flag.variant(name),
            Instead::Value(value) => named(flag, value),
        };
        found.map(|variant| Arc::clone(&variant.name)).ok_or_else(|| {
            let names: Vec<_> = flag.variants().map(|variant| format!("`{}`", variant.name)).collect();
            let pointer = match instead {
                Instead::Variant(_) => "/variant",
                Instead::Value(_) => "/value",
            };
            Refusal::fault(pointer, format!("flag `{key}` has no such variant; it has {}", names.join(", ")))
        })
    }

    /// The session that is meant: one's own, another of one's own, or with `user.manage` anybody's.
    async fn session(&self, Target { caller, session }: Target<'_>) -> Result<Session, Refusal> {
        caller.require_somebody()?;
        let own = caller.session.as_deref();
        let Some(id) = session.or(own) else {
            return Err(Refusal::new(
                Class::Forbidden,
                "no_session",
                "an API key has no session; log in as a user to override a flag for one",
            ));
        };
        let found = self.accounts.session(id).await?.map(|(session, _)| session);
        let his = matches!(caller.principal, Principal::User)
            && found.as_ref().is_some_and(|session| session.user_id == caller.id);
        if !his {
            let snapshot = self.feed.snapshots().get();
            caller.require_everywhere(&snapshot, Permission::UserManage)?;
        }
        let not_found = || Refusal::not_found("session_not_found", format!("session `{id}` does not exist"));
        found.filter(|session| session.revoked_at.is_none()).ok_or_else(not_found)
    }

    async fn write(&self, target: Target<'_>, session: Session, mut detail: Value) -> Result<(), Refusal> {
        if let Some(object) = detail.as_object_mut() {
            object.insert("user_id".to_owned(), json!(session.user_id));
        }
        let draft = Draft {
            id: DocumentId::new(Kind::Session, "", &session.id),
            verb: "overridden",
            expect: Expect::Any,
            write: Write::Nothing,
            detail,
        };
        let notice = self.feed.draft(target.caller.actor(), "", vec![draft]);
        let changes = self.accounts.write_session(session, notice).await?;
        self.feed.applied(changes).await?;
        Ok(())
    }
}

/// The variant that is meant by a value. People who set one say `v3` for the variant, and 3 where the flag has the text `3`.
fn named<'f>(flag: &'f CompiledFlag, value: &Value) -> Option<&'f CompiledVariant> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let exact = flag.variants().find(|variant| variant.value == *value);
    let alike = || flag.variants().find(|variant| variant.value.as_str() == Some(text.as_str()));
    exact.or_else(|| flag.variant(&text)).or_else(alike)
}
