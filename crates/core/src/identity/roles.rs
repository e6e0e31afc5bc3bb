//! Roles, as administrators see and change them.

use std::sync::Arc;

use flagbase_engine::Fault;

use super::{Identity, policy::fault, writer::finish};
use crate::{
    caller::Caller,
    catalog::{Actor, DocumentId, Draft, Expect, Kind, Page, Revision, Write},
    feed::Feed,
    refusal::{Class, Precondition, Refusal},
    roles::{ADMIN, Role},
};

/// Roles beside the built-in ones, at most.
const MOST: u32 = 200;

/// Words that callers without a user go by.
const RESERVED: [&str; 2] = ["guest", "service"];

/// A role and the revision that wrote it; 0 for a built-in role as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRole {
    /// The role.
    pub role: Role,
    /// Its revision.
    pub revision: Revision,
}

impl Identity {
    /// All roles, by key.
    pub async fn roles(&self, caller: &Caller) -> Result<Vec<StoredRole>, Refusal> {
        self.require_manager(caller)?;
        let page = Page { limit: MOST + 3, ..Page::default() };
        let stored = self.feed.catalog().list(Kind::Role, "", page).await?;
        let snapshot = self.feed.snapshots().get();
        let revision =
            |key: &str| stored.iter().find(|one| *one.id.key == *key).map_or(0, |one| one.revision);
        let mut roles: Vec<_> = snapshot
            .roles()
            .map(|role| StoredRole { role: Role::clone(role), revision: revision(&role.key) })
            .collect();
        roles.sort_by(|a, b| a.role.key.cmp(&b.role.key));
        Ok(roles)
    }

    /// One role.
    pub async fn role(&self, caller: &Caller, key: &str) -> Result<StoredRole, Refusal> {
        self.require_manager(caller)?;
        self.stored_role(key).await?.ok_or_else(|| unknown(key))
    }

    async fn stored_role(&self, key: &str) -> Result<Option<StoredRole>, Refusal> {
        let revision = self.role_revision(key).await?.unwrap_or(0);
        let role = self.feed.snapshots().load().role(key).map(|role| Role::clone(role));
        Ok(role.map(|role| StoredRole { role, revision }))
    }

    async fn role_revision(&self, key: &str) -> Result<Option<Revision>, Refusal> {
        let stored = self.feed.catalog().get(&DocumentId::new(Kind::Role, "", key)).await?;
        Ok(stored.map(|document| document.revision))
    }

    /// Creates or replaces a role; it acts on the next request of whoever holds it. Nobody can put more into a role,
    /// or change a role that permits more, than he has himself. `admin` is fixed.
    pub async fn put_role(
        &self,
        caller: &Caller,
        role: Role,
        seen: Precondition,
        reason: &str,
    ) -> Result<StoredRole, Refusal> {
        self.require_manager(caller)?;
        self.check_role(&role)?;
        self.may_change_role(caller, &role.key)?;
        Self::has_all_of(caller, &self.feed.snapshots().load(), &role)?;
        let stored = self.role_revision(&role.key).await?;
        let shown = stored.or_else(|| is_built_in(&role.key).then_some(0));
        seen.expect(&format!("role `{}`", role.key), shown)?;
        let expect = stored.map_or(Expect::Absent, Expect::At);
        let body = serde_json::to_value(&role).map_err(|error| {
            Refusal::new(Class::Internal, "internal", "the role cannot be written").because(error)
        })?;
        let verb = if shown.is_some() { "updated" } else { "created" };
        let change = draft(&role.key, verb, expect, Write::Put(body));
        let next = (change, role.key.as_str(), Some(role.clone()));
        let revision = self.writer.write_role((caller.actor(), reason), next).await?;
        Ok(StoredRole { role, revision })
    }

    /// Removes a role; whoever holds it may do nothing by it any more. A built-in role becomes what it was.
    pub async fn delete_role(
        &self,
        caller: &Caller,
        key: &str,
        seen: Precondition,
        reason: &str,
    ) -> Result<(), Refusal> {
        self.require_manager(caller)?;
        self.may_change_role(caller, key)?;
        let Some(revision) = self.role_revision(key).await? else {
            return Err(if is_built_in(key) { built_in(key) } else { unknown(key) });
        };
        let needed =
            self.config.default_role == key || self.config.self_assignable_roles.iter().any(|one| one == key);
        if needed && !is_built_in(key) {
            return Err(Refusal::new(
                Class::Conflict,
                "role_in_use",
                format!("role `{key}` is what the configuration gives to new accounts; change that first"),
            ));
        }
        let expect = seen.expect(&format!("role `{key}`"), Some(revision))?;
        let change = draft(key, "deleted", expect, Write::Delete);
        self.writer.write_role((caller.actor(), reason), (change, key, None)).await?;
        Ok(())
    }

    fn may_change_role(&self, caller: &Caller, key: &str) -> Result<(), Refusal> {
        if key == ADMIN {
            return Err(built_in(key));
        }
        let snapshot = self.feed.snapshots().load();
        snapshot.role(key).map_or(Ok(()), |before| Self::has_all_of(caller, &snapshot, before))
    }

    fn check_role(&self, role: &Role) -> Result<(), Refusal> {
        let mut faults = role.faults();
        let snapshot = self.feed.snapshots().load();
        for scope in role.permissions.keys() {
            let named = scope.strip_prefix("environment:");
            let named = named.map(|place| place.split_once('/').map_or(place, |(place, _)| place));
            if let Some(Err(unknown)) = named.map(|key| snapshot.require_environment(key)) {
                faults.push(place(scope, &unknown.message));
            }
        }
        if RESERVED.contains(&role.key.as_str()) {
            faults.push(fault(
                "/key",
                &format!("`{}` is what callers without a user are called; choose another", role.key),
            ));
        }
        let room = snapshot.role(&role.key).is_some() || snapshot.roles().count() < MOST as usize + 3;
        if !room {
            faults.push(fault("", &format!("there are {MOST} roles already; remove one first")));
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
    }
}

fn draft(key: &str, verb: &'static str, expect: Expect, write: Write) -> Draft {
    Draft { id: DocumentId::new(Kind::Role, "", key), verb, expect, write, detail: serde_json::Value::Null }
}

/// Commits one change and applies it; returns its revision.
pub(super) async fn commit(
    feed: Arc<Feed>,
    actor: Actor,
    reason: &str,
    draft: Draft,
) -> Result<Revision, Refusal> {
    let reason = reason.to_owned();
    finish(async move {
        let changes = feed.edit().await.commit(actor, &reason, vec![draft]).await?;
        Ok(changes.last().map_or(0, |change| change.revision))
    })
    .await
}

fn place(scope: &str, message: &str) -> Fault {
    fault(&format!("/permissions/{}", scope.replace('~', "~0").replace('/', "~1")), message)
}

fn is_built_in(key: &str) -> bool {
    Role::built_in().iter().any(|role| role.key == key)
}

fn built_in(key: &str) -> Refusal {
    Refusal::new(Class::Conflict, "role_built_in", format!("role `{key}` is built in and stays as it is"))
}

fn unknown(key: &str) -> Refusal {
    let key: String = key.chars().take(64).collect();
    Refusal::not_found("role_not_found", format!("role `{key}` does not exist"))
}
