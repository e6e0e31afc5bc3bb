//! Users, as administrators see and change them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Credentials, Identity, Profile, policy, writer::Notice};
use crate::{
    accounts::{Grant, User, UserPage, UserWrite},
    caller::Caller,
    refusal::{Precondition, Refusal},
};

/// An account to be made by an administrator.
#[derive(Clone)]
pub struct NewUser {
    /// What its owner will log in with.
    pub credentials: Credentials,
    /// The role in every environment; `None`: the default one.
    pub role: Option<String>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Roles in one environment only.
    pub grants: Vec<Grant>,
}

/// What to change of an account; `None` leaves it as it is.
#[derive(Clone, Default)]
pub struct UserPatch {
    /// The role in every environment.
    pub role: Option<String>,
    /// Names of groups.
    pub groups: Option<Vec<String>>,
    /// Roles in one environment only.
    pub grants: Option<Vec<Grant>>,
    /// Disabling ends all sessions.
    pub disabled: Option<bool>,
    /// A new password ends all sessions.
    pub password: Option<String>,
}

impl Identity {
    /// A page of users, by address.
    pub async fn users(&self, caller: &Caller, page: UserPage) -> Result<Vec<Profile>, Refusal> {
        self.require_manager(caller)?;
        Ok(self.accounts.users(page).await?.into_iter().map(Profile::from).collect())
    }

    /// One user.
    pub async fn user(&self, caller: &Caller, id: &str) -> Result<Profile, Refusal> {
        self.require_manager(caller)?;
        Ok(self.writer.user(id).await?.into())
    }

    /// Makes an account; nobody can give more than he has himself.
    pub async fn create_user(&self, caller: &Caller, new: NewUser, reason: &str) -> Result<Profile, Refusal> {
        self.require_manager(caller)?;
        let role = new.role.unwrap_or_else(|| self.config.default_role.clone());
        self.may_grant(caller, &role, "/role")?;
        self.check_grants(caller, &new.grants)?;
        let groups = checked_groups(&new.groups)?;
        let user = self.new_user(new.credentials, role.into()).await?;
        let user = User { groups, grants: new.grants, ..user };
        let notice = Notice {
            actor: caller.actor(),
            reason: reason.to_owned(),
            verb: "created",
            detail: json!({"role": user.role}),
        };
        let write = UserWrite::Create { user: user.clone(), invitation: None, first_admin: false };
        self.writer.create(write, Arc::clone(&user.id), notice).await?;
        Ok(user.into())
    }

    /// Changes an account, at the version the caller saw. It acts on the next request of that user.
    pub async fn update_user(
        &self,
        caller: &Caller,
        (id, seen): (&str, Precondition),
        patch: UserPatch,
        reason: &str,
    ) -> Result<Profile, Refusal> {
        self.require_manager(caller)?;
        let before = self.writer.user(id).await?;
        seen.expect(&format!("user `{}`", before.id), Some(before.version))?;
        self.may_change(caller, &before)?;
        let end_sessions = patch.password.is_some() || patch.disabled == Some(true);
        let after = self.patched(caller, &before, patch).await?;
        let notice = Notice {
            actor: caller.actor(),
            reason: reason.to_owned(),
            verb: verb(&before, &after),
            detail: difference(&before, &after),
        };
        self.writer.update(after.clone(), end_sessions, notice).await?;
        Ok(Profile { version: after.version + 1, ..after.into() })
    }

    async fn patched(&self, caller: &Caller, before: &User, patch: UserPatch) -> Result<User, Refusal> {
        let mut user = before.clone();
        if let Some(role) = patch.role {
            self.may_grant(caller, &role, "/role")?;
            user.role = role.into();
        }
        if let Some(grants) = patch.grants {
            self.check_grants(caller, &grants)?;
            user.grants = grants;
        }
        if let Some(groups) = patch.groups {
            user.groups = checked_groups(&groups)?;
        }
        if let Some(password) = patch.password {
            let mut faults = Vec::new();
            policy::password(&password, &user.email, "/password", &mut faults);
            if !faults.is_empty() {
                return Err(Refusal::invalid(faults));
            }
            user.password_hash = self.passwords.hash(password).await?;
            self.lockout.succeeded(&user.email);
        }
        user.disabled = patch.disabled.unwrap_or(user.disabled);
        user.updated_at = self.clock.now();
        Ok(user)
    }

    /// Removes an account and its sessions.
    pub async fn delete_user(
        &self,
        caller: &Caller,
        (id, seen): (&str, Precondition),
        reason: &str,
    ) -> Result<(), Refusal> {
        self.require_manager(caller)?;
        let user = self.writer.user(id).await?;
        seen.expect(&format!("user `{}`", user.id), Some(user.version))?;
        self.may_change(caller, &user)?;
        let notice = Notice {
            actor: caller.actor(),
            reason: reason.to_owned(),
            verb: "deleted",
            detail: json!({"role": user.role}),
        };
        self.writer.delete(Arc::clone(&user.id), user.version, notice).await
    }
}

fn checked_groups(names: &[String]) -> Result<Vec<Arc<str>>, Refusal> {
    let mut faults = Vec::new();
    let groups = policy::groups(names, "/groups", &mut faults);
    if faults.is_empty() { Ok(groups) } else { Err(Refusal::invalid(faults)) }
}

fn verb(before: &User, after: &User) -> &'static str {
    match (before.disabled, after.disabled) {
        (false, true) => "disabled",
        (true, false) => "enabled",
        _ => "updated",
    }
}

/// What changed, without anything secret.
fn difference(before: &User, after: &User) -> Value {
    let parts = [
        ("role", before.role != after.role),
        ("groups", before.groups != after.groups),
        ("grants", before.grants != after.grants),
        ("disabled", before.disabled != after.disabled),
        ("password", before.password_hash != after.password_hash),
    ];
    let changed: Vec<_> = parts.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect();
    let mut detail = json!({"changed": changed});
    if before.role != after.role
        && let Value::Object(members) = &mut detail
    {
        members.insert("role".to_owned(), json!({"before": before.role, "after": after.role}));
    }
    detail
}
