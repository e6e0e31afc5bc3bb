//! What identity is configured with.

use std::{fmt, time::Duration};

/// The secret of the first Flagbase's sample configuration: known to everybody, so it never signs.
const WELL_KNOWN: &[u8] = b"change-me-in-production";

/// Bytes that must never be shown: `Debug` hides them, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps `bytes` from being shown.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Who may make an account for himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody: administrators make the accounts.
    Closed,
}

/// What identity is configured with.
#[derive(Debug, Clone)]
pub struct IdentityConfig {
    /// Signs session tokens. The well-known one and an empty one are refused.
    pub secret: Secret,
    /// How long a session lasts.
    pub token_ttl: Duration,
    /// Who may register.
    pub registration: Registration,
    /// The role of an account that asked for none.
    pub default_role: String,
    /// Roles people may choose for themselves.
    pub self_assignable_roles: Vec<String>,
    /// Passwords hashed at the same time, at least 1.
    pub hash_concurrency: usize,
    /// Passwords that may wait for their turn.
    pub hash_queue: usize,
    /// Failed logins of one address allowed within the window; ten times as many from one client.
    pub login_attempts: u32,
    /// What attempts are counted in, and the longest lockout.
    pub login_window: Duration,
    /// How long the setup token is good for.
    pub setup_token_ttl: Duration,
}

/// The signing secret is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing secret is empty or the well-known default; use 32 random bytes")]
pub struct KnownSecret;

impl IdentityConfig {
    pub(super) fn check(&self) -> Result<(), KnownSecret> {
        let secret = self.secret.reveal();
        if secret.is_empty() || secret == WELL_KNOWN { Err(KnownSecret) } else { Ok(()) }
    }
}
