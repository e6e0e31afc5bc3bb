//! A fixed list of those who may connect.

use std::fmt;

use async_trait::async_trait;
use subtle::ConstantTimeEq as _;

use crate::{Access, Admitted, Credentials, Denied, Identity, Permissions, nkey::NKey};

/// Those who may connect, told apart by password, token or key.
#[derive(Debug, Clone, Default)]
pub struct StaticUsers {
    users: Vec<User>,
}

#[derive(Debug, Clone)]
struct User {
    proof: Proof,
    permissions: Permissions,
}

#[derive(Clone)]
enum Proof {
    Password { user: String, password: String },
    Token(String),
    NKey(NKey),
}

impl StaticUsers {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// And somebody with a name and a password, as it is or as its bcrypt hash.
    #[must_use]
    pub fn password(self, user: &str, password: &str, permissions: Permissions) -> Self {
        self.with(Proof::Password { user: user.to_owned(), password: password.to_owned() }, permissions)
    }

    /// And everybody who knows this token.
    #[must_use]
    pub fn token(self, token: &str, permissions: Permissions) -> Self {
        self.with(Proof::Token(token.to_owned()), permissions)
    }

    /// And whoever has the private half of this key.
    #[must_use]
    pub fn nkey(self, key: NKey, permissions: Permissions) -> Self {
        self.with(Proof::NKey(key), permissions)
    }

    fn with(mut self, proof: Proof, permissions: Permissions) -> Self {
        self.users.push(User { proof, permissions });
        self
    }
}

#[async_trait]
impl Access for StaticUsers {
    fn required(&self) -> bool {
        true
    }

    async fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        for user in &self.users {
            if user.proof.is_of(credentials).await {
                let identity = Identity::new(&user.proof.name());
                return Ok(Admitted {
                    permissions: user.permissions.clone(),
                    ..Admitted::everything(identity)
                });
            }
        }
        Err(Denied::Violation)
    }
}

impl Proof {
    async fn is_of(&self, credentials: &Credentials) -> bool {
        let said = |said: &Option<String>, right: &str| {
            said.as_ref().is_some_and(|said| bool::from(said.as_bytes().ct_eq(right.as_bytes())))
        };
        match self {
            Self::Password { user, password } if is_hash(password) => {
                credentials.user.as_ref() == Some(user)
                    && fits(credentials.password.as_deref(), password).await
            }
            Self::Password { user, password } => {
                credentials.user.as_ref() == Some(user) && said(&credentials.password, password)
            }
            Self::Token(token) => said(&credentials.token, token),
            Self::NKey(key) => {
                credentials.nkey.as_ref().is_some_and(|said| *said == key.to_string())
                    && !credentials.nonce.is_empty()
                    && credentials
                        .signature
                        .as_ref()
                        .is_some_and(|signature| key.verifies_text(&credentials.nonce, signature))
            }
        }
    }

    /// How monitoring calls those who prove themselves so.
    fn name(&self) -> String {
        match self {
            Self::Password { user, .. } => user.clone(),
            Self::Token(_) => "[token]".to_owned(),
            Self::NKey(key) => key.to_string(),
        }
    }
}

fn is_hash(password: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|version| password.starts_with(version))
}

/// Whether the hash is of what was said. It takes long by intention, so it does not hold up other connections.
async fn fits(said: Option<&str>, hash: &str) -> bool {
    let Some(said) = said.map(str::to_owned) else { return false };
    let hash = hash.to_owned();
    let fits = tokio::task::spawn_blocking(move || bcrypt::verify(said, &hash).unwrap_or(false));
    fits.await.unwrap_or(false)
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::nkey::Kind;

    async fn name(users: &StaticUsers, credentials: Credentials) -> Result<String, Denied> {
        users.admit(&credentials).await.map(|admitted| admitted.identity.as_str().to_owned())
    }

    fn password(user: &str, password: &str) -> Credentials {
        Credentials {
            user: Some(user.to_owned()),
            password: Some(password.to_owned()),
            ..Credentials::default()
        }
    }

    #[tokio::test]
    async fn a_password_is_of_its_user_alone() {
        let users = StaticUsers::new().password("alice", "one", Permissions::default()).password(
            "bob",
            "two",
            Permissions::default(),
        );
        assert!(users.required());
        assert_eq!(name(&users, password("bob", "two")).await, Ok("bob".to_owned()));
        assert_eq!(name(&users, password("bob", "one")).await, Err(Denied::Violation));
        assert_eq!(name(&users, Credentials::default()).await, Err(Denied::Violation));
    }

    #[tokio::test]
    async fn a_password_may_be_kept_as_its_hash() {
        let hash = bcrypt::hash("one", 4).unwrap();
        let users = StaticUsers::new().password("alice", &hash, Permissions::default());
        assert_eq!(name(&users, password("alice", "one")).await, Ok("alice".to_owned()));
        for wrong in ["two", "", &hash] {
            assert_eq!(name(&users, password("alice", wrong)).await, Err(Denied::Violation));
        }
        let broken = StaticUsers::new().password("alice", "$2a$nonsense", Permissions::default());
        assert_eq!(name(&broken, password("alice", "$2a$nonsense")).await, Err(Denied::Violation));
    }

    #[tokio::test]
    async fn a_token_is_enough() {
        let users = StaticUsers::new().token("s3cr3t", Permissions::default());
        let with = |token: &str| Credentials { token: Some(token.to_owned()), ..Credentials::default() };
        assert_eq!(name(&users, with("s3cr3t")).await, Ok("[token]".to_owned()));
        assert_eq!(name(&users, with("s3cr3")).await, Err(Denied::Violation));
        assert!(!format!("{users:?}").contains("s3cr3t"));
    }

    #[tokio::test]
    async fn a_key_has_to_sign_the_nonce_of_this_connection() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let key = NKey::new(Kind::User, pair.public_key().as_ref().try_into().unwrap());
        let users = StaticUsers::new().nkey(key, Permissions::default());
        let signed = |nonce: &str, signed: &str| Credentials {
            nkey: Some(key.to_string()),
            nonce: nonce.to_owned(),
            signature: Some(URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()))),
            ..Credentials::default()
        };
        assert_eq!(name(&users, signed("fresh", "fresh")).await, Ok(key.to_string()));
        assert_eq!(name(&users, signed("fresh", "stale")).await, Err(Denied::Violation));
        assert_eq!(name(&users, signed("", "")).await, Err(Denied::Violation));
        let unsigned = Credentials { signature: None, ..signed("fresh", "fresh") };
        assert_eq!(name(&users, unsigned).await, Err(Denied::Violation));
    }
}
