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

/// An invitation, told once.
#[derive(Clone)]
pub struct Invited {
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
        let role: Arc<str> = ask.role.into();
        let invitation = Invitation {
            token_hash: sha256(&token),
            role: Arc::clone(&role),
            email: email.clone(),
            setup: false,
            expires_at,
        };
        self.accounts.invitation(InvitationAsk::Put(invitation)).await?;
        tracing::info!(by = %caller.id, %role, "invited somebody");
        Ok(Invited { token, role, email, expires_at })
    }
}
