//! Setup: how the first administrator comes to be. Never "whoever registers first".

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Credentials, Identity, Invited, Login, Origin, Profile, invitations, login, policy, sha256,
    writer::Notice,
};
use crate::{
    accounts::{Invitation, InvitationAsk, UserRef, UserWrite},
    catalog::Actor,
    refusal::{Class, Refusal},
    roles::ADMIN,
};

impl Identity {
    /// Whether there is no administrator yet.
    pub async fn needs_setup(&self) -> Result<bool, Refusal> {
        Ok(!self.accounts.has_admin().await?)
    }

    /// A new setup token, which replaces the one before. Fails when there is an administrator.
    pub async fn setup_token(&self) -> Result<Invited, Refusal> {
        if !self.needs_setup().await? {
            return Err(setup_done());
        }
        let lifetime = SignedDuration::try_from(self.config.setup_token_ttl).unwrap_or(SignedDuration::MAX);
        let expires_at = self.clock.now().saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        let token = self.random.hex(32);
        let token_hash = sha256(&token);
        let id = invitations::id(&token_hash);
        let invitation = Invitation { token_hash, role: ADMIN.into(), email: None, setup: true, expires_at };
        self.accounts.invitations(InvitationAsk::Put(invitation)).await?;
        Ok(Invited { id, token, role: ADMIN.into(), email: None, expires_at })
    }

    /// Makes the first administrator and logs him in.
    ///
    /// The token is used up in the transaction that makes the account: of two who race one wins, and whatever fails
    /// before leaves the token good.
    pub async fn set_up(
        &self,
        token: &str,
        credentials: Credentials,
        origin: &Origin,
    ) -> Result<Login, Refusal> {
        self.clients.attempt(origin.address)?;
        if !self.needs_setup().await? {
            return Err(setup_done());
        }
        let hash = sha256(token);
        let found = self.accounts.invitations(InvitationAsk::Find(hash.clone())).await?.pop();
        if !found.is_some_and(|invitation| invitation.setup && invitation.expires_at > self.clock.now()) {
            return Err(bad_token());
        }
        let user = self.new_user(credentials, ADMIN.into()).await?;
        let notice = Notice {
            actor: login::actor(&user),
            reason: String::new(),
            verb: "created",
            detail: json!({"role": ADMIN, "setup": true}),
        };
        let write = UserWrite::Create { user: user.clone(), invitation: Some(hash), first_admin: true };
        self.writer
            .create(write, Arc::clone(&user.id), notice)
            .await
            .map_err(|refusal| if refusal.class == Class::Stale { bad_token() } else { refusal })?;
        tracing::info!(user_id = %user.id, "the first administrator was made");
        self.begin_session(user, origin).await
    }

    /// Makes an administrator, from the machine itself.
    pub async fn create_admin(&self, credentials: Credentials) -> Result<Profile, Refusal> {
        let user = self.new_user(credentials, ADMIN.into()).await?;
        let notice = Notice {
            actor: Actor::system(),
            reason: "made on the machine itself".to_owned(),
            verb: "created",
            detail: json!({"role": ADMIN}),
        };
        let write = UserWrite::Create { user: user.clone(), invitation: None, first_admin: false };
        self.writer.create(write, Arc::clone(&user.id), notice).await?;
        Ok(user.into())
    }

    /// Sets the password of an account and ends its sessions, from the machine itself.
    pub async fn reset_password(&self, credentials: Credentials) -> Result<Profile, Refusal> {
        let email = policy::normal(&credentials.email);
        let mut user = self.accounts.user(UserRef::Email(&email)).await?.ok_or_else(|| {
            let email: String = email.chars().take(254).collect();
            Refusal::not_found("user_not_found", format!("there is no account with the address `{email}`"))
        })?;
        let mut faults = Vec::new();
        policy::password(&credentials.password, &email, "/password", &mut faults);
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        user.password_hash = self.passwords.hash(credentials.password).await?;
        user.updated_at = self.clock.now();
        let notice = Notice {
            actor: Actor::system(),
            reason: "reset on the machine itself".to_owned(),
            verb: "updated",
            detail: json!({"changed": ["password"]}),
        };
        self.writer.update(user.clone(), true, notice).await?;
        self.lockout.succeeded(&email);
        user.version += 1;
        Ok(user.into())
    }
}

fn setup_done() -> Refusal {
    Refusal::new(Class::Conflict, "setup_done", "an administrator exists already; ask for an invitation")
}

fn bad_token() -> Refusal {
    Refusal::new(
        Class::Unauthenticated,
        "invalid_setup_token",
        "invalid or expired setup token; `flagbase admin setup-token` makes a new one",
    )
}
