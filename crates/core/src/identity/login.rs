//! Coming and going: register, log in, change the password, log out.

use std::{net::IpAddr, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tracing::field::display;

use super::{Identity, Profile, Registration, ended, policy, sha256, writer::Notice};
use crate::{
    accounts::{Invitation, InvitationAsk, Session, User, UserRef, UserWrite},
    caller::{Caller, Principal},
    catalog::Actor,
    refusal::{Class, Refusal},
};

/// Sessions one user has at a time; the oldest ends when there is one more.
const MOST_SESSIONS: usize = 1000;

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address, when known.
    pub address: Option<IpAddr>,
    /// What the client says it is (`User-Agent`).
    pub client: String,
}

/// An address and a password.
#[derive(Clone)]
pub struct Credentials {
    /// In any case.
    pub email: String,
    /// In the clear.
    pub password: String,
}

/// Somebody who wants an account.
#[derive(Clone)]
pub struct Register {
    /// What he will log in with.
    pub credentials: Credentials,
    /// The role he asks for; `None` or empty: the default one, or the invitation's.
    pub role: Option<String>,
    /// The token of an invitation.
    pub invitation: Option<String>,
}

/// A new session.
#[derive(Clone)]
pub struct Login {
    /// To be sent as `Authorization: Bearer <token>`.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub user: Profile,
}

impl Identity {
    /// Makes an account for whoever asks, as far as registration is open to him.
    pub async fn register(&self, ask: Register, origin: &Origin) -> Result<Profile, Refusal> {
        self.clients.attempt(origin.address)?;
        let invitation = self.invitation_of(&ask).await?;
        let role = self.role_of(&ask, invitation.as_ref())?;
        let invitation = invitation.map(|invitation| invitation.token_hash);
        let user = self.new_user(ask.credentials, role).await?;
        let notice = Notice {
            actor: actor(&user),
            reason: String::new(),
            verb: "created",
            detail: json!({"role": user.role, "registered": true}),
        };
        let write = UserWrite::Create { user: user.clone(), invitation, first_admin: false };
        self.writer
            .create(write, Arc::clone(&user.id), notice)
            .await
            .map_err(|refusal| if refusal.class == Class::Stale { bad_invitation() } else { refusal })?;
        tracing::info!(user_id = %user.id, role = %user.role, "registered");
        Ok(user.into())
    }

    async fn invitation_of(&self, ask: &Register) -> Result<Option<Invitation>, Refusal> {
        let token = ask.invitation.as_deref().filter(|token| !token.is_empty());
        let closed = |code, message: &str| Err(Refusal::new(Class::Forbidden, code, message));
        match (self.config.registration, token) {
            (Registration::Open, None) => return Ok(None),
            (Registration::Closed, _) => {
                return closed(
                    "registration_closed",
                    "registration is closed; ask an administrator for an account",
                );
            }
            (Registration::Invite, None) => {
                return closed(
                    "invitation_required",
                    "registration needs an invitation; ask an administrator for one",
                );
            }
            (Registration::Open | Registration::Invite, Some(_)) => {}
        }
        let hash = sha256(token.unwrap_or_default());
        let found = self.accounts.invitations(InvitationAsk::Find(hash)).await?.pop();
        let email = policy::normal(&ask.credentials.email);
        found
            .filter(|invitation| !invitation.setup && invitation.expires_at > self.clock.now())
            .filter(|invitation| invitation.email.as_ref().is_none_or(|only| *only == email))
            .ok_or_else(bad_invitation)
            .map(Some)
    }

    /// The role that is granted: never more than anybody may have, or than the invitation gives.
    fn role_of(&self, ask: &Register, invitation: Option<&Invitation>) -> Result<Arc<str>, Refusal> {
        let asked = ask.role.as_deref().filter(|role| !role.is_empty());
        let free = |role: &str| self.config.self_assignable_roles.iter().any(|free| free == role);
        let role: Arc<str> = match (asked, invitation) {
            (None, None) => self.config.default_role.as_str().into(),
            (None, Some(invitation)) => Arc::clone(&invitation.role),
            (Some(asked), Some(invitation)) if *invitation.role == *asked => asked.into(),
            (Some(asked), None) if free(asked) => asked.into(),
            (Some(asked), _) => return Err(self.not_assignable(asked)),
        };
        if self.feed.snapshots().load().role(&role).is_none() {
            return Err(self.not_assignable(&role));
        }
        Ok(role)
    }

    fn not_assignable(&self, role: &str) -> Refusal {
        let role: String = role.chars().take(64).collect();
        let free: Vec<_> = self.config.self_assignable_roles.iter().map(|role| format!("`{role}`")).collect();
        Refusal::new(
            Class::Forbidden,
            "role_not_assignable",
            format!(
                "role `{role}` is granted by administrators only and no account was made; ask for {} or for no role",
                free.join(" or ")
            ),
        )
    }

    /// A user who is not stored yet, with the password hashed. Fails on what an address or password may not be.
    pub(super) async fn new_user(&self, credentials: Credentials, role: Arc<str>) -> Result<User, Refusal> {
        let mut faults = Vec::new();
        let email = policy::email(&credentials.email, "/email", &mut faults);
        policy::password(&credentials.password, &email, "/password", &mut faults);
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        let password_hash = self.passwords.hash(credentials.password).await?;
        let now = self.clock.now();
        Ok(User {
            id: self.random.hex(16).into(),
            email,
            password_hash,
            role,
            groups: Vec::new(),
            grants: Vec::new(),
            disabled: false,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// Begins a session. Wrong passwords and unknown addresses get the same answer after the same work.
    pub async fn login(&self, credentials: Credentials, origin: &Origin) -> Result<Login, Refusal> {
        self.clients.attempt(origin.address)?;
        let email = policy::normal(&credentials.email);
        if email.len() > 254 || !policy::may_be_password(&credentials.password) {
            return Err(wrong());
        }
        self.lockout.begin(&email, self.clock.now())?;
        let user = self.accounts.user(UserRef::Email(&email)).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let verified = self.passwords.verify(credentials.password.clone(), hash).await?;
        let Some(user) = user.filter(|_| verified.right) else {
            // Counted by the boundary (`flagbase_auth_failures_total`): a line each would let anybody fill the log.
            tracing::debug!(address = origin.address.map(display), %email, "login failed");
            return Err(wrong());
        };
        self.lockout.succeeded(&email);
        if user.disabled {
            return Err(Refusal::new(
                Class::Forbidden,
                "user_disabled",
                "this account is disabled; ask an administrator",
            ));
        }
        if verified.outdated {
            self.rehash(user.clone(), credentials.password).await;
        }
        self.begin_session(user, origin).await
    }

    /// Better parameters for an old hash; when that fails, the next login tries again.
    async fn rehash(&self, mut user: User, password: String) {
        let stored = match self.passwords.hash(password).await {
            Ok(hash) => {
                user.password_hash = hash;
                self.writer.rehash(user).await
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = stored {
            tracing::warn!(%refusal, "an outdated password hash could not be replaced");
        }
    }

    pub(super) async fn begin_session(&self, user: User, origin: &Origin) -> Result<Login, Refusal> {
        let now = self.clock.now();
        // Whole seconds, because that is what the token says.
        let lifetime = SignedDuration::try_from(self.config.token_ttl).unwrap_or(SignedDuration::MAX);
        let expires_at = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        let expires_at = Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at);
        let session = Session {
            id: self.random.hex(16).into(),
            user_id: Arc::clone(&user.id),
            created_at: now,
            expires_at,
            revoked_at: None,
            client: origin.client.chars().filter(|c| !c.is_control()).take(200).collect(),
            overrides: Vec::new(),
        };
        let token = self.tokens.sign(&user, &session)?;
        self.end_oldest_sessions(&user, now).await?;
        let address = origin.address.map(display);
        tracing::info!(user_id = %user.id, session_id = %session.id, address, "logged in");
        let id = Arc::clone(&session.id);
        self.writer.begin_session(session).await?;
        self.unchanged(&user, id).await?;
        Ok(Login { token, expires_at, user: user.into() })
    }

    /// Ends the new session again when its user was changed while the password was looked at: what was proven may
    /// be the old password.
    async fn unchanged(&self, user: &User, session: Arc<str>) -> Result<(), Refusal> {
        let stored = self.accounts.session(&session).await?;
        if stored.is_some_and(|(_, now)| now.updated_at == user.updated_at && !now.disabled) {
            return Ok(());
        }
        self.writer.end_session(session, self.clock.now(), Actor::system()).await?;
        Err(Refusal::new(Class::Conflict, "user_changed", "the account was changed meanwhile; log in again"))
    }

    async fn end_oldest_sessions(&self, user: &User, now: Timestamp) -> Result<(), Refusal> {
        let sessions = self.accounts.sessions(&user.id, now).await?;
        for oldest in sessions.into_iter().skip(MOST_SESSIONS - 1) {
            self.writer.end_session(oldest.id, now, Actor::system()).await?;
        }
        Ok(())
    }

    /// Ends the session of `caller`.
    pub async fn logout(&self, caller: &Caller) -> Result<(), Refusal> {
        let session = own_session(caller)?;
        self.writer.end_session(Arc::clone(session), self.clock.now(), caller.actor()).await
    }

    /// Changes the password of `caller`, who must know the present one, and ends all his other sessions.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: String,
        new: String,
    ) -> Result<(), Refusal> {
        let session = own_session(caller)?;
        let mut user = self.writer.user(&caller.id).await?;
        let mut faults = Vec::new();
        policy::password(&new, &user.email, "/new", &mut faults);
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        let now = self.clock.now();
        self.lockout.begin(&user.email, now)?;
        let hash = Some(user.password_hash.clone()).filter(|_| policy::may_be_password(&current));
        if !self.passwords.verify(current, hash).await?.right {
            return Err(Refusal::fault("/current", "is not the present password"));
        }
        self.lockout.succeeded(&user.email);
        user.password_hash = self.passwords.hash(new).await?;
        user.updated_at = now;
        let notice = Notice {
            actor: caller.actor(),
            reason: String::new(),
            verb: "updated",
            detail: json!({"changed": ["password"]}),
        };
        self.writer.update(user, false, notice).await?;
        self.end_sessions_except(caller, session).await
    }

    async fn end_sessions_except(&self, caller: &Caller, kept: &Arc<str>) -> Result<(), Refusal> {
        let now = self.clock.now();
        for session in self.accounts.sessions(&caller.id, now).await? {
            if session.id != *kept {
                self.writer.end_session(session.id, now, caller.actor()).await?;
            }
        }
        Ok(())
    }
}

pub(super) fn own_session(caller: &Caller) -> Result<&Arc<str>, Refusal> {
    caller.require_somebody()?;
    match (&caller.principal, &caller.session) {
        (Principal::User, Some(session)) => Ok(session),
        (Principal::User, None) => Err(ended()),
        _ => Err(Refusal::new(
            Class::Forbidden,
            "no_session",
            "an API key has no session; log in with an address and a password for this",
        )),
    }
}

/// The user as the actor of what he does.
pub(super) fn actor(user: &User) -> Actor {
    Actor { kind: "user".into(), id: Arc::clone(&user.id), name: Arc::clone(&user.email) }
}

fn wrong() -> Refusal {
    Refusal::new(
        Class::Unauthenticated,
        "invalid_credentials",
        "invalid credentials; check the address and the password",
    )
}

fn bad_invitation() -> Refusal {
    Refusal::new(
        Class::Forbidden,
        "invalid_invitation",
        "this invitation is unknown, used, expired or for another address; ask for a new one",
    )
}
