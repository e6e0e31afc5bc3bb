//! Session tokens: JWT (RFC 7519), HS256 and nothing else, verified strictly.

use std::sync::Arc;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::config::Secret;
use crate::{
    accounts::{Session, User},
    refusal::{Class, Refusal},
};

/// Longer tokens are not even looked at, in bytes.
const LONGEST: usize = 8 * 1024;

/// How far a clock may be behind the one that issued a token, in seconds.
const SKEW: i64 = 60;

/// Signs and verifies session tokens.
pub(super) struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    kid: String,
}

/// What a verified token says. The role and groups in it are hints for whoever holds it, and not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The user's id.
    pub(super) user: Arc<str>,
    /// The session's id.
    pub(super) session: Arc<str>,
    /// When the token ends.
    pub(super) expires_at: Timestamp,
}

/// The claims of a token; those after `exp` are the first Flagbase's.
#[derive(Serialize)]
struct Issued<'a> {
    sub: &'a str,
    sid: &'a str,
    iat: i64,
    exp: i64,
    user_id: &'a str,
    email: &'a str,
    tenant_id: &'static str,
    role: &'a str,
    groups: &'a [Arc<str>],
}

#[derive(Deserialize)]
struct Received {
    sub: String,
    sid: String,
    iat: i64,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
}

impl Tokens {
    pub(super) fn new(secret: &Secret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The library reads the machine's clock; what concerns time is checked here, against the one passed in.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        validation.leeway = 0;
        let digest = Sha256::new().chain_update(b"flagbase kid\0").chain_update(secret.reveal()).finalize();
        Self {
            signing: EncodingKey::from_secret(secret.reveal()),
            verifying: DecodingKey::from_secret(secret.reveal()),
            validation,
            kid: hex::encode(digest).chars().take(16).collect(),
        }
    }

    /// A token for `session` of `user`.
    pub(super) fn sign(&self, user: &User, session: &Session) -> Result<String, Refusal> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::HS256) };
        let claims = Issued {
            sub: &user.id,
            sid: &session.id,
            iat: session.created_at.as_second(),
            exp: session.expires_at.as_second(),
            user_id: &user.id,
            email: &user.email,
            tenant_id: "default",
            role: &user.role,
            groups: &user.groups,
        };
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|error| {
            Refusal::new(Class::Internal, "internal", "the token could not be signed; see the server's log")
                .because(error)
        })
    }

    /// What `token` says, when it is one of ours and good at `now`.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Claim, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::token_invalid());
        }
        let data = jsonwebtoken::decode::<Received>(token, &self.verifying, &self.validation)
            .map_err(|_| Refusal::token_invalid())?;
        let claims = data.claims;
        let ids_fit = [&claims.sub, &claims.sid].iter().all(|id| (1..=64).contains(&id.len()));
        let from = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
        let begun = from <= now.as_second().saturating_add(SKEW);
        if !self.accepts(&data.header) || !ids_fit || !begun {
            return Err(Refusal::token_invalid());
        }
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| Refusal::token_invalid())?;
        if expires_at <= now {
            return Err(expired());
        }
        Ok(Claim { user: claims.sub.into(), session: claims.sid.into(), expires_at })
    }

    /// Whether the header asks for nothing but what [`Tokens::sign`] writes: no key of the sender's choice, no
    /// extension that would have to be understood.
    fn accepts(&self, header: &Header) -> bool {
        let ours = header.kid.as_ref().is_some_and(|kid| *kid == self.kid);
        let foreign_key = header.jku.is_some()
            || header.jwk.is_some()
            || header.x5u.is_some()
            || header.x5c.is_some()
            || header.x5t.is_some()
            || header.x5t_s256.is_some();
        let extended = header.crit.is_some() || header.zip.is_some() || header.enc.is_some();
        header.typ.as_deref() == Some("JWT") && ours && !foreign_key && !extended
    }
}

fn expired() -> Refusal {
    Refusal::new(Class::Unauthenticated, "token_expired", "the token has expired; log in again")
}

#[cfg(test)]
mod tests;
