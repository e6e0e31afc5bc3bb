//! Callers: who a request comes from, as far as it was verified, and what that admits.

use std::sync::{Arc, LazyLock};

use flagbase_engine::{Context, Evaluation, Slot, Value};
use jiff::Timestamp;

use crate::{
    accounts::{Grant, Override, Session, User},
    catalog::Actor,
    keys::ApiKey,
    permissions::{Permission, Permissions},
    refusal::{Class, Refusal},
    snapshot::{EnvironmentSnapshot, Snapshot},
};

/// A verified caller. Immutable: a change of its user or session makes a new one.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What stands behind it.
    pub principal: Principal,
    /// User id or key id; empty for nobody.
    pub id: Arc<str>,
    /// The user's email, the key's name; empty for nobody.
    pub email: Arc<str>,
    /// The role in every environment; `guest` for nobody, `service` for keys.
    pub role: Arc<str>,
    /// Names of groups.
    pub groups: Arc<[Arc<str>]>,
    /// Roles in one environment each.
    pub grants: Vec<Grant>,
    /// The session, for users.
    pub session: Option<Arc<str>>,
    /// Flags set for this session only.
    pub overrides: Vec<Override>,
    /// When what was verified ends; `None`: never by itself.
    pub expires_at: Option<Timestamp>,
}

/// What stands behind a caller.
#[derive(Debug, Clone)]
pub enum Principal {
    /// No token was sent.
    Nobody,
    /// A user with a session.
    User,
    /// A service account.
    Key(Arc<ApiKey>),
}

static NOBODY: LazyLock<Arc<Caller>> = LazyLock::new(|| {
    Arc::new(Caller {
        principal: Principal::Nobody,
        id: "".into(),
        email: "".into(),
        role: "guest".into(),
        groups: Arc::new([]),
        grants: Vec::new(),
        session: None,
        overrides: Vec::new(),
        expires_at: None,
    })
});

impl Caller {
    /// A user with a session, until the token or the session ends.
    pub(crate) fn of_user(user: User, session: Session, token_ends: Timestamp) -> Self {
        Self {
            principal: Principal::User,
            id: user.id,
            email: user.email,
            role: user.role,
            groups: user.groups.into(),
            grants: user.grants,
            session: Some(session.id),
            overrides: session.overrides,
            expires_at: Some(token_ends.min(session.expires_at)),
        }
    }

    /// A user as far as the account says who he is and what he may do: without a session, for nobody who asks.
    pub(crate) fn of_account(user: &User) -> Self {
        Self {
            principal: Principal::User,
            id: Arc::clone(&user.id),
            email: Arc::clone(&user.email),
            role: Arc::clone(&user.role),
            groups: user.groups.clone().into(),
            grants: user.grants.clone(),
            ..Self::clone(&NOBODY)
        }
    }

    /// A service account.
    pub(crate) fn of_key(key: Arc<ApiKey>) -> Self {
        Self {
            id: key.id.as_str().into(),
            email: key.name.as_str().into(),
            role: "service".into(),
            expires_at: key.expires_at,
            principal: Principal::Key(key),
            ..Self::clone(&NOBODY)
        }
    }

    /// Whoever sends no token.
    pub fn nobody() -> Arc<Self> {
        Arc::clone(&NOBODY)
    }

    /// Whether no token was sent.
    pub fn is_nobody(&self) -> bool {
        matches!(self.principal, Principal::Nobody)
    }

    /// Who this is in the change log.
    pub fn actor(&self) -> Actor {
        let kind = match self.principal {
            Principal::Nobody => "anonymous",
            Principal::User => "user",
            Principal::Key(_) => "api_key",
        };
        Actor { kind: kind.into(), id: Arc::clone(&self.id), name: Arc::clone(&self.email) }
    }

    /// What this caller may do in `environment`.
    pub fn permissions(&self, snapshot: &Snapshot, environment: &EnvironmentSnapshot) -> Permissions {
        let of_role = |role: &str| {
            snapshot.role(role).map_or(Permissions::NONE, |role| role.permits(&environment.definition))
        };
        match &self.principal {
            Principal::Key(key) if key.environment == environment.definition.key => key.permitted(),
            Principal::Nobody | Principal::Key(_) => Permissions::NONE,
            Principal::User => self
                .grants
                .iter()
                .filter(|grant| *grant.environment == *environment.definition.key)
                .fold(of_role(&self.role), |all, grant| all.or(of_role(&grant.role))),
        }
    }

    /// Fails unless this caller may do `permission` in `environment`.
    pub fn require(
        &self,
        snapshot: &Snapshot,
        environment: &EnvironmentSnapshot,
        permission: Permission,
    ) -> Result<(), Refusal> {
        if self.permissions(snapshot, environment).allow(permission) {
            return Ok(());
        }
        Err(self.refused(permission, &format!(" in environment `{}`", environment.definition.key)))
    }

    /// Fails unless this caller may do `permission` everywhere: users, roles, environments belong to none.
    pub fn require_everywhere(&self, snapshot: &Snapshot, permission: Permission) -> Result<(), Refusal> {
        let permitted = matches!(self.principal, Principal::User)
            && snapshot.role(&self.role).is_some_and(|role| role.permits_everywhere().allow(permission));
        if permitted { Ok(()) } else { Err(self.refused(permission, "")) }
    }

    /// Fails for nobody.
    pub fn require_somebody(&self) -> Result<(), Refusal> {
        if self.is_nobody() { Err(Refusal::unauthenticated()) } else { Ok(()) }
    }

    fn refused(&self, permission: Permission, place: &str) -> Refusal {
        if self.is_nobody() {
            return Refusal::unauthenticated();
        }
        let permission = permission.as_str();
        let message = match &self.principal {
            Principal::Key(_) if place.is_empty() => {
                format!("this API key does not hold `{permission}`: only people can; log in for this")
            }
            Principal::Key(_) => {
                format!("this API key does not hold `{permission}`{place}; make one that does")
            }
            Principal::Nobody | Principal::User => {
                let role = &self.role;
                format!(
                    "role `{role}` does not permit `{permission}`{place}; ask an administrator for a role that does"
                )
            }
        };
        Refusal::new(Class::Forbidden, "forbidden", message)
    }

    /// The attributes that rules see. `header` reads a request header by its lower-case name; headers can only fill
    /// attributes that the environment declares, so nothing verified can be forged by them.
    pub fn context<'a>(
        &'a self,
        environment: &'a EnvironmentSnapshot,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Context<'a> {
        let mut context = self.context_without_headers(environment);
        for (name, slot) in &environment.headers {
            if let Some(value) = header(name) {
                context.set(*slot, Value::Str(value));
            }
        }
        context
    }

    /// The same, as far as it was verified.
    #[inline]
    pub fn context_without_headers<'a>(&'a self, environment: &'a EnvironmentSnapshot) -> Context<'a> {
        let mut context = Context::new();
        context.set(Slot::ANONYMOUS, Value::Bool(self.is_nobody()));
        context.set(Slot::ROLE, Value::Str(&self.role));
        context.set(Slot::ENVIRONMENT, Value::Str(&environment.definition.key));
        if !self.is_nobody() {
            context.set(Slot::USER_ID, Value::Str(&self.id));
            context.set(Slot::EMAIL, Value::Str(&self.email));
            context.set(Slot::TENANT_ID, Value::Str("default"));
            context.set(Slot::GROUPS, Value::List(&self.groups));
        }
        if let Some(session) = &self.session {
            context.set(Slot::SESSION_ID, Value::Str(session));
        }
        context
    }

    /// The variant set for this session, when there is one and the flag still has it.
    pub fn overridden<'r>(
        &self,
        environment: &'r EnvironmentSnapshot,
        flag: &'r flagbase_engine::CompiledFlag,
    ) -> Option<Evaluation<'r>> {
        self.overrides
            .iter()
            .find(|set| **flag.key() == *set.flag && *set.environment == *environment.definition.key)
            .and_then(|set| flag.override_with(&set.variant))
    }
}

impl Refusal {
    /// No token was sent where one is needed.
    pub fn unauthenticated() -> Self {
        Self::new(
            Class::Unauthenticated,
            "unauthenticated",
            "this needs a token; log in, and send `Authorization: Bearer <token>`",
        )
    }

    /// A token was sent and admits nobody. Why (form, signature, an unknown key) is not told: it would help guessing.
    pub fn token_invalid() -> Self {
        Self::new(
            Class::Unauthenticated,
            "token_invalid",
            "the token that was sent is not valid here; log in again, or use an API key that is not revoked",
        )
    }
}

/// Where the request came from; travels in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub crate::gateway::Forwarded);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_speaks_of_roles_to_people_and_of_keys_to_programs() {
        let key = ApiKey {
            id: "0123456789abcdef".into(),
            name: "ci".into(),
            environment: "default".into(),
            created_by: "u1".into(),
            ..ApiKey::default()
        };
        let key = Caller::of_key(Arc::new(key));
        let there = key.refused(Permission::FlagUpdate, " in environment `default`");
        assert_eq!(
            there.message,
            "this API key does not hold `flag.update` in environment `default`; make one that does"
        );
        for refusal in [there, key.refused(Permission::UserManage, "")] {
            assert!(!refusal.message.contains("role"), "{refusal}");
        }
        let person = Caller { principal: Principal::User, role: "user".into(), ..Caller::clone(&NOBODY) };
        let refusal = person.refused(Permission::FlagUpdate, " in environment `default`");
        assert!(refusal.message.starts_with("role `user` does not permit `flag.update`"), "{refusal}");
    }

    #[test]
    fn no_token_and_a_bad_token_are_told_apart_in_the_same_class() {
        let (missing, bad) = (Refusal::unauthenticated(), Refusal::token_invalid());
        assert_eq!((missing.class, bad.class), (Class::Unauthenticated, Class::Unauthenticated));
        assert_eq!((missing.code, bad.code), ("unauthenticated", "token_invalid"));
        assert_ne!(missing.message, bad.message);
    }
}
