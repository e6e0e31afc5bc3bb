//! Invitations: one-time rights to make an account with a given role.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Identity, lifetime, policy, sha256};
use crate::{
    accounts::{Invitation, InvitationAsk},
    caller::Caller,
    refusal::Refusal,
};

/// How long an invitation is good for when nobody said.
const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct InvitationRequest {
    /// The role it grants.
    pub role: String,
    /// The only address that may use it.
    pub email: Option<String>,
    /// How long it is good for, such as `72h`; a week when not given.
    pub expires_in: Option<String>,
}

/// An invitation that waits to be used.
#[derive(Debug, Clone)]
pub struct OpenInvitation {
    /// What it is called: 16 hex digits, of which the token cannot be guessed.
    pub id: String,
    /// The role it grants.
    pub role: Arc<str>,
    /// The only address that may use it.
    pub email: Option<Arc<str>>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An invitation, told once.
#[derive(Clone)]
pub struct Invited {
    /// What it is called from now on.
    pub id: String,
    /// To be given to whoever is invited; it is stored nowhere.
    pub token: String,
    /// The role it grants.
    pub role: Arc<str>,
    /// The only address that may use it.
    pub email: Option<Arc<str>>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Identity {
    /// Invites somebody; nobody can invite to more than he has himself.
    pub async fn invite(&self, caller: &Caller, ask: InvitationRequest) -> Result<Invited, Refusal> {
        self.require_manager(caller)?;
        self.may_grant(caller, &ask.role, "/role")?;
        let mut faults = Vec::new();
        let email = ask.email.map(|email| policy::email(&email, "/email", &mut faults));
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        let good_for = match &ask.expires_in {
            Some(text) => lifetime(text, "/expires_in")?,
            None => DEFAULT_LIFETIME,
        };
        let expires_at = self.clock.now().saturating_add(good_for).unwrap_or(Timestamp::MAX);
        let token = self.random.hex(32);
        let token_hash = sha256(&token);
        let id = id(&token_hash);
        let role: Arc<str> = ask.role.into();
        let invitation = Invitation {
            token_hash,
            role: Arc::clone(&role),
            email: email.clone(),
            setup: false,
            expires_at,
        };
        self.accounts.invitations(InvitationAsk::Put(invitation)).await?;
        tracing::info!(by = %caller.id, %role, invitation = id, "invited somebody");
        Ok(Invited { id, token, role, email, expires_at })
    }

    /// The invitations nobody has used yet, the first to end first.
    pub async fn open_invitations(&self, caller: &Caller) -> Result<Vec<OpenInvitation>, Refusal> {
        self.require_manager(caller)?;
        let open = self.accounts.invitations(InvitationAsk::Open(self.clock.now())).await?;
        let told = |invitation: Invitation| OpenInvitation {
            id: id(&invitation.token_hash),
            role: invitation.role,
            email: invitation.email,
            expires_at: invitation.expires_at,
        };
        Ok(open.into_iter().map(told).collect())
    }

    /// Takes an invitation back: its token is worth nothing from now on.
    pub async fn revoke_invitation(&self, caller: &Caller, invitation: &str) -> Result<(), Refusal> {
        self.require_manager(caller)?;
        let open = self.accounts.invitations(InvitationAsk::Open(self.clock.now())).await?;
        let meant = open.into_iter().find(|open| id(&open.token_hash) == invitation);
        let gone = match meant {
            Some(meant) => self.accounts.invitations(InvitationAsk::Remove(meant.token_hash)).await?.pop(),
            None => None,
        };
        let Some(gone) = gone else {
            let message =
                format!("invitation `{invitation}` is not open; it was used, has ended, or never was");
            return Err(Refusal::not_found("invitation_not_found", message));
        };
        tracing::info!(by = %caller.id, role = %gone.role, invitation, "took an invitation back");
        Ok(())
    }
}

/// What an invitation is called. The hash is of 32 random bytes, so that it gives nothing away.
pub(super) fn id(token_hash: &str) -> String {
    token_hash.chars().take(16).collect()
}
