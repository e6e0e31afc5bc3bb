//! Users and sessions as they are shown: without what must stay secret.

use std::sync::Arc;

use jiff::Timestamp;

use crate::accounts::{Grant, Session, User};

/// A user as shown to people: everything but the password's hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// 32 hex digits.
    pub id: Arc<str>,
    /// In lower case.
    pub email: Arc<str>,
    /// The role that holds in every environment.
    pub role: Arc<str>,
    /// Names of groups.
    pub groups: Vec<Arc<str>>,
    /// Roles held in one environment only.
    pub grants: Vec<Grant>,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts changes; becomes the `ETag`.
    pub version: u64,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            role: user.role,
            groups: user.groups,
            grants: user.grants,
            disabled: user.disabled,
            created_at: user.created_at,
            updated_at: user.updated_at,
            version: user.version,
        }
    }
}

/// A session as shown to its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionInfo {
    /// 32 hex digits.
    pub id: Arc<str>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// What the client said it was.
    pub client: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl SessionInfo {
    pub(super) fn of(session: Session, current: Option<&Arc<str>>) -> Self {
        Self {
            current: current.is_some_and(|id| *id == session.id),
            id: session.id,
            created_at: session.created_at,
            expires_at: session.expires_at,
            client: session.client,
        }
    }
}
