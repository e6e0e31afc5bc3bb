//! Accounts: users, sessions and invitations. There may be millions, so they are never in the snapshot.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{BoxError, Change, Commit};

/// A person who can log in. `Debug` hides the password's hash.
#[derive(Clone, PartialEq)]
pub struct User {
    /// 32 hex digits.
    pub id: Arc<str>,
    /// Unique, compared in lower case.
    pub email: Arc<str>,
    /// The password's hash in PHC string form (argon2id).
    pub password_hash: String,
    /// The role that holds in every environment.
    pub role: Arc<str>,
    /// Names of groups, for targeting.
    pub groups: Vec<Arc<str>>,
    /// Roles held in one environment only.
    pub grants: Vec<Grant>,
    /// A disabled user cannot log in, and his sessions admit nobody.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts changes; becomes the `ETag`.
    pub version: u64,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart, so that a new field has to be thought about.
        let Self {
            id,
            email,
            password_hash: _,
            role,
            groups,
            grants,
            disabled,
            created_at,
            updated_at,
            version,
        } = self;
        f.debug_struct("User")
            .field("id", id)
            .field("email", email)
            .field("password_hash", &"[redacted]")
            .field("role", role)
            .field("groups", groups)
            .field("grants", grants)
            .field("disabled", disabled)
            .field("created_at", created_at)
            .field("updated_at", updated_at)
            .field("version", version)
            .finish()
    }
}

/// A role held in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The environment's key.
    pub environment: Arc<str>,
    /// The role's key.
    pub role: Arc<str>,
}

/// A login.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// 32 hex digits; the `sid` claim.
    pub id: Arc<str>,
    /// Whose.
    pub user_id: Arc<str>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was ended before that.
    pub revoked_at: Option<Timestamp>,
    /// What the client said it was (`User-Agent`), cut to 200 characters.
    pub client: String,
    /// Flags set for this session only.
    pub overrides: Vec<Override>,
}

/// A flag set for one session only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The environment's key.
    pub environment: Arc<str>,
    /// The flag's key.
    pub flag: Arc<str>,
    /// The variant served to this session.
    pub variant: Arc<str>,
    /// When it was set.
    pub set_at: Timestamp,
    /// Who set it (a user id or key id).
    pub set_by: Arc<str>,
}

/// A one-time right to make an account. The setup token is an invitation of an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct Invitation {
    /// SHA-256 of the token, in hex; the token itself is stored nowhere.
    pub token_hash: String,
    /// The role it grants.
    pub role: Arc<str>,
    /// The only address that may use it, when given.
    pub email: Option<Arc<str>>,
    /// Whether it is the setup token: usable only while there is no administrator, replaced by the next one.
    pub setup: bool,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// How to find a user.
#[derive(Debug, Clone, Copy)]
pub enum UserRef<'a> {
    /// By id.
    Id(&'a str),
    /// By email, any case.
    Email(&'a str),
}

/// A change of a user.
#[derive(Debug, Clone)]
pub enum UserWrite {
    /// Makes the account; fails when the email is taken.
    Create {
        /// The new user, at version 1.
        user: User,
        /// Hash of the invitation that is used up by this, in the same transaction.
        invitation: Option<String>,
        /// Fails with [`AccountsError::AdminExists`] when an administrator exists.
        first_admin: bool,
    },
    /// Replaces the account when it is at `user.version`; the stored version is one more.
    Update {
        /// The new state, carrying the version that was seen.
        user: User,
        /// Whether all its sessions end.
        end_sessions: bool,
    },
    /// Removes the account and its sessions when it is at this version.
    Delete {
        /// Whose.
        id: Arc<str>,
        /// The version that was seen.
        version: u64,
    },
}

/// A page of users, in email order.
#[derive(Debug, Clone, Default)]
pub struct UserPage {
    /// Only emails greater than this one.
    pub after: Option<String>,
    /// Only emails that contain this.
    pub search: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// All that accounts can report.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The email is taken.
    #[error("user already exists")]
    Exists,
    /// There is an administrator already, so the setup token is void.
    #[error("an administrator exists already")]
    AdminExists,
    /// The user was changed or removed since it was read, or the invitation was used or has ended.
    #[error("written by someone else in the meantime")]
    Conflict,
    /// The store does not answer, or cannot write (a full disk).
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read.
    #[error("what is stored makes no sense")]
    Corrupt(#[source] BoxError),
}

/// Durable home of users, sessions and invitations. Every implementation passes `testkit::accounts`.
///
/// Every write carries a [`Commit`] whose drafts (usually with [`crate::catalog::Write::Nothing`]) are appended
/// to the catalog's change log in the same transaction, so that every node forgets what it had cached in order
/// with everything else. A commit without drafts appends nothing.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Creates, changes or removes a user. Returns the changes as logged.
    async fn write_user(&self, write: UserWrite, notice: Commit) -> Result<Vec<Change>, AccountsError>;

    /// One user; `None` when there is none.
    async fn user(&self, by: UserRef<'_>) -> Result<Option<User>, AccountsError>;

    /// A page of users.
    async fn users(&self, page: UserPage) -> Result<Vec<User>, AccountsError>;

    /// Whether an enabled user has the role `admin`.
    async fn has_admin(&self) -> Result<bool, AccountsError>;

    /// Stores a session, new or changed. Returns the changes as logged.
    async fn write_session(&self, session: Session, notice: Commit) -> Result<Vec<Change>, AccountsError>;

    /// One session and its user, read at one point in time; `None` when either is gone.
    async fn session(&self, id: &str) -> Result<Option<(Session, User)>, AccountsError>;

    /// Sessions of a user that are neither revoked nor past `now`, newest first.
    async fn sessions(&self, user_id: &str, now: Timestamp) -> Result<Vec<Session>, AccountsError>;

    /// Stores, looks up, lists or removes invitations. Returns those that were meant.
    async fn invitations(&self, ask: InvitationAsk) -> Result<Vec<Invitation>, AccountsError>;
}

/// What to do with invitations.
#[derive(Debug, Clone)]
pub enum InvitationAsk {
    /// Store it; a setup token replaces the one before. Returns it.
    Put(Invitation),
    /// Find it by the hash of its token.
    Find(String),
    /// List those that end after this time, the first to end first; the setup token is not among them.
    Open(Timestamp),
    /// Take it back, by the hash of its token. Returns it; nothing when there is none any more.
    Remove(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_printed_does_not_tell_the_hash_of_his_password() {
        let user = User {
            id: "u1".into(),
            email: "alice@example.com".into(),
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
            role: "developer".into(),
            groups: Vec::new(),
            grants: Vec::new(),
            disabled: false,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        };
        for printed in [format!("{user:?}"), format!("{:?}", UserWrite::Update { user, end_sessions: false })]
        {
            assert!(printed.contains("alice@example.com") && printed.contains("[redacted]"), "{printed}");
            assert!(!printed.contains("argon2id"), "{printed}");
        }
    }
}
