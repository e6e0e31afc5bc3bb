//! Who may connect.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::Permissions;

/// Decides who may connect and what they may do. Asynchronous, because a token may have to be looked up.
#[async_trait]
pub trait Access: Send + Sync {
    /// Whether a client has to say who it is. Then INFO says so, and nothing is processed before it has.
    fn required(&self) -> bool;

    /// Decides about one client. Bytes it sent after CONNECT wait until this has answered.
    async fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied>;
}

/// What a client said of itself in CONNECT, and what the server knows of the connection.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Name of a user.
    pub user: Option<String>,
    /// Password of that user.
    pub password: Option<String>,
    /// A token, instead of user and password.
    pub token: Option<String>,
    /// Public NKey.
    pub nkey: Option<String>,
    /// The nonce signed with that key, in base64.
    pub signature: Option<String>,
    /// A JWT.
    pub jwt: Option<String>,
    /// What the server asked to be signed.
    pub nonce: String,
    /// What the client calls itself.
    pub name: Option<String>,
    /// Language of the client library.
    pub lang: Option<String>,
    /// Version of the client library.
    pub version: Option<String>,
    /// Where the client comes from.
    pub peer: Option<SocketAddr>,
    /// Subject of its verified TLS certificate.
    pub tls_subject: Option<String>,
}

/// Who a client is: an opaque text, shown by monitoring as the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(Arc<str>);

/// A client that may connect.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who it is; what [`Server::revoke`](crate::Server::revoke) and
    /// [`Server::disconnect`](crate::Server::disconnect) are asked about.
    pub identity: Identity,
    /// What it may publish and subscribe to.
    pub permissions: Permissions,
    /// How long this holds; then the client is disconnected.
    pub expires_after: Option<Duration>,
    /// Most subscriptions it may have, where that is less than the server's limit.
    pub max_subscriptions: Option<usize>,
}

/// Why a client may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody knows it, or what it brings does not fit.
    #[error("not admitted: check the user, password or token")]
    Violation,
    /// What it brings was good once.
    #[error("the credentials have expired: get new ones")]
    Expired,
    /// What it brings was taken back.
    #[error("the credentials were revoked: get new ones")]
    Revoked,
}

/// Everybody may connect and do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl Access for Anonymous {
    fn required(&self) -> bool {
        false
    }

    async fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        Ok(Admitted::everything(Identity::new(credentials.user.as_deref().unwrap_or_default())))
    }
}

impl Identity {
    /// The identity with this text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Admitted {
    /// May do everything, for as long as it likes.
    pub fn everything(identity: Identity) -> Self {
        Self { identity, permissions: Permissions::default(), expires_after: None, max_subscriptions: None }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let secret = || Some("hunter2".to_owned());
        let credentials = Credentials {
            password: secret(),
            token: secret(),
            jwt: secret(),
            signature: secret(),
            ..Credentials::default()
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
