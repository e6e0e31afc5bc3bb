//! API keys: what service accounts identify themselves with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::permissions::{Permission, Permissions};

/// What the ids of S3 access keys begin with.
pub const ACCESS_PREFIX: &str = "FB";

/// A service account's key, as stored. The secret is not: only its hash is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public part of the token, `fb_<id>_<secret>`; 16 hex digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The only environment it admits to.
    pub environment: String,
    /// What it permits there.
    pub permissions: Vec<Permission>,
    /// Where what it permits about buckets holds; nothing here: in all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<KeyBucket>,
    /// The secret of the S3 access key that it is, too; sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<SealedSecret>,
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

/// Where a key may do what it may do with buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyBucket {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that begin with this.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Of the key's permissions about buckets, these; `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Permission>>,
}

/// A secret that has to be read again: nobody can without the server's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Which key sealed it.
    pub key_id: String,
    /// Nonce, ciphertext and tag, in hexadecimal.
    pub sealed: String,
}

impl ApiKey {
    /// What it permits in its environment, as a set. What it permits in some buckets only is not in it.
    pub fn permitted(&self) -> Permissions {
        let all: Permissions = self.permissions.iter().copied().collect();
        if self.buckets.is_empty() { all } else { all.without(Permissions::of_buckets()) }
    }

    /// Whether it is an S3 access key, too.
    pub fn is_access_key(&self) -> bool {
        self.access.is_some()
    }

    /// The id of the S3 access key that it is: 20 characters.
    pub fn access_key_id(&self) -> String {
        format!("{ACCESS_PREFIX}{:0<18}", self.id.to_ascii_uppercase())
    }
}
