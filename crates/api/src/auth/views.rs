//! People and sessions as they are shown.

use std::collections::BTreeMap;

use flagbase_core::{
    caller::{Caller, Principal},
    identity::{Login, Profile, SessionInfo},
    permissions::Permission,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::users::{GrantBody, UserView};

/// A new account.
#[derive(Serialize, ToSchema)]
pub(super) struct RegisteredView {
    /// 32 hex digits.
    id: String,
    /// In lower case.
    email: String,
    /// The role that was granted.
    role: String,
    /// Always `default`.
    tenant_id: &'static str,
    /// None yet.
    groups: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Profile> for RegisteredView {
    fn from(user: Profile) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            role: user.role.to_string(),
            tenant_id: "default",
            groups: user.groups.iter().map(ToString::to_string).collect(),
            created_at: user.created_at,
        }
    }
}

/// A new session.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginView {
    /// To be sent as `Authorization: Bearer <token>`.
    token: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whose it is.
    user: UserView,
}

impl From<Login> for LoginView {
    fn from(login: Login) -> Self {
        Self { token: login.token, expires_at: login.expires_at, user: login.user.into() }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// 32 hex digits.
    id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What the client said it was.
    client: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl From<SessionInfo> for SessionView {
    fn from(session: SessionInfo) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: session.created_at,
            expires_at: session.expires_at,
            client: session.client,
            current: session.current,
        }
    }
}

/// The caller's own session.
#[derive(Serialize, ToSchema)]
struct OwnSession {
    /// 32 hex digits.
    id: String,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Who is asking.
#[derive(Serialize, ToSchema)]
pub(super) struct MeView {
    /// `user` or `api_key`.
    kind: &'static str,
    /// The user's or key's id.
    id: String,
    /// The user's address; absent for keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The key's name; absent for users.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The only environment the key admits to; absent for users.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// The role in every environment; `service` for keys.
    role: String,
    /// Always `default`.
    tenant_id: &'static str,
    /// Names of groups.
    groups: Vec<String>,
    /// Roles in one environment each.
    grants: Vec<GrantBody>,
    /// The session; absent for keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<OwnSession>,
    /// What may be done, by environment.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    permissions: BTreeMap<String, Vec<Permission>>,
}

impl MeView {
    pub(super) fn of(caller: &Caller, permissions: BTreeMap<String, Vec<Permission>>) -> Self {
        let key = match &caller.principal {
            Principal::Key(key) => Some(key),
            Principal::User | Principal::Nobody => None,
        };
        Self {
            kind: if key.is_some() { "api_key" } else { "user" },
            id: caller.id.to_string(),
            email: key.is_none().then(|| caller.email.to_string()),
            name: key.map(|key| key.name.clone()),
            environment: key.map(|key| key.environment.clone()),
            role: caller.role.to_string(),
            tenant_id: "default",
            groups: caller.groups.iter().map(ToString::to_string).collect(),
            grants: caller.grants.iter().map(GrantBody::from).collect(),
            session: caller
                .session
                .as_ref()
                .map(|id| OwnSession { id: id.to_string(), expires_at: caller.expires_at }),
            permissions,
        }
    }
}
