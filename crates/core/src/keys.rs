//! API keys: what service accounts identify themselves with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::permissions::{Permission, Permissions};

/// A service account's key, as stored. The secret is not: only its hash is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public part of the token, `fb_<id>_<secret>`; 16 hex digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The only environment it admits to.
    pub environment: String,
    /// What it permits there.
    pub permissions: Vec<Permission>,
    /// SHA-256 of the secret part, in hex.
    pub secret_hash: String,
    /// When it was made; `None` for one that was written before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it ends; `None`: never by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The user or key that made it.
    pub created_by: String,
}

impl ApiKey {
    /// What it permits, as a set.
    pub fn permitted(&self) -> Permissions {
        self.permissions.iter().copied().collect()
    }
}
