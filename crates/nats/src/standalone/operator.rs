//! Users that an operator's accounts vouch for: a chain of JWTs, each signed by the one before it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flagbase_nats::{
    Access, Admitted, Credentials, Denied, Identity, Permissions, Responses, Rules,
    nkey::{Kind, NKey},
};
use serde::Deserialize;

/// The accounts of one operator.
#[derive(Debug)]
pub(super) struct Accounts {
    /// The keys that sign for each account.
    signers: BTreeMap<String, Vec<NKey>>,
}

/// Why nobody could be admitted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UntrustedError {
    #[error("`operator` is no JWT that an operator signed for itself")]
    Operator,
    #[error("an account in `resolver_preload` was not signed by the operator: get it again")]
    Account,
}

/// What a JWT says.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    /// Seconds since 1970.
    #[serde(default)]
    exp: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    nats: Nats,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Nats {
    signing_keys: Vec<serde_json::Value>,
    issuer_account: String,
    #[serde(rename = "pub")]
    publish: Subjects,
    #[serde(rename = "sub")]
    subscribe: Subjects,
    resp: Option<Answers>,
    /// Below zero means any number.
    subs: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Subjects {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Answers {
    max: i64,
    /// Nanoseconds.
    ttl: u64,
}

impl Accounts {
    /// Checks that the operator vouches for each of `accounts`.
    pub(super) fn of(operator: &str, accounts: &[String]) -> Result<Self, UntrustedError> {
        let claims = claims(operator).ok_or(UntrustedError::Operator)?;
        let root: NKey = claims.sub.parse().map_err(|_| UntrustedError::Operator)?;
        if root.kind() != Kind::Operator || claims.iss != claims.sub || !is_signed(operator, &root) {
            return Err(UntrustedError::Operator);
        }
        let trusted = keys(root, &claims, Kind::Operator);
        let mut signers = BTreeMap::new();
        for account in accounts {
            let claims = self::claims(account).ok_or(UntrustedError::Account)?;
            let key: NKey = claims.sub.parse().map_err(|_| UntrustedError::Account)?;
            if key.kind() != Kind::Account || !is_signed_by_one_of(account, &claims, &trusted) {
                return Err(UntrustedError::Account);
            }
            signers.insert(claims.sub.clone(), keys(key, &claims, Kind::Account));
        }
        Ok(Self { signers })
    }

    /// Who the bearer of this JWT is, provided that they sign as that user.
    fn identify(&self, credentials: &Credentials, now: SystemTime) -> Result<Admitted, Denied> {
        let jwt = credentials.jwt.as_deref().ok_or(Denied::Violation)?;
        let claims = claims(jwt).ok_or(Denied::Violation)?;
        let user: NKey = claims.sub.parse().map_err(|_| Denied::Violation)?;
        let account =
            Some(&claims.nats.issuer_account).filter(|account| !account.is_empty()).unwrap_or(&claims.iss);
        let signers = self.signers.get(account).ok_or(Denied::Violation)?;
        let signed = credentials.signature.as_deref().is_some_and(|signature| {
            !credentials.nonce.is_empty() && user.verifies_text(&credentials.nonce, signature)
        });
        if user.kind() != Kind::User || !is_signed_by_one_of(jwt, &claims, signers) || !signed {
            return Err(Denied::Violation);
        }
        let expires_after = match claims.exp {
            0 => None,
            seconds => {
                let expires = UNIX_EPOCH + Duration::from_secs(seconds);
                Some(expires.duration_since(now).map_err(|_| Denied::Expired)?)
            }
        };
        let max_subscriptions =
            claims.nats.subs.and_then(|subs| usize::try_from(subs).ok()).filter(|subs| *subs > 0);
        let name = if claims.name.is_empty() { &claims.sub } else { &claims.name };
        let admitted = Admitted::everything(Identity::new(name));
        Ok(Admitted { permissions: claims.nats.permissions(), expires_after, max_subscriptions, ..admitted })
    }
}

#[async_trait]
impl Access for Accounts {
    fn required(&self) -> bool {
        true
    }

    #[expect(clippy::disallowed_methods, reason = "the program is on its own: whether a JWT has expired")]
    async fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        self.identify(credentials, SystemTime::now())
    }
}

impl Nats {
    fn permissions(self) -> Permissions {
        let rules = |subjects: Subjects| Rules {
            allow: subjects.allow.filter(|allow| !allow.is_empty()),
            deny: subjects.deny.unwrap_or_default(),
        };
        let responses = self.resp.map(|answers| Responses {
            max: usize::try_from(answers.max).unwrap_or(usize::MAX),
            expires_after: Duration::from_nanos(answers.ttl),
        });
        let mut permissions =
            Permissions { publish: rules(self.publish), subscribe: rules(self.subscribe), responses };
        if responses.is_some() {
            permissions.publish.allow.get_or_insert_default();
        }
        permissions
    }
}

/// What is in the middle of a JWT. Nothing is said of its signature.
fn claims(jwt: &str) -> Option<Claims> {
    let mut parts = jwt.split('.');
    let (_, body, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
}

/// The key itself and those it lets sign in its place.
fn keys(key: NKey, claims: &Claims, kind: Kind) -> Vec<NKey> {
    let others = claims.nats.signing_keys.iter().filter_map(|key| {
        // A key with limits is an object around it.
        let text = key.as_str().or_else(|| key.get("key")?.as_str())?;
        text.parse().ok().filter(|key: &NKey| key.kind() == kind)
    });
    std::iter::once(key).chain(others).collect()
}

fn is_signed_by_one_of(jwt: &str, claims: &Claims, keys: &[NKey]) -> bool {
    keys.iter().any(|key| claims.iss == key.to_string() && is_signed(jwt, key))
}

fn is_signed(jwt: &str, key: &NKey) -> bool {
    jwt.rsplit_once('.').is_some_and(|(signed, signature)| key.verifies_text(signed, signature))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    struct Pair(Ed25519KeyPair, NKey);

    impl Pair {
        fn new(kind: Kind, seed: u8) -> Self {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            let key = NKey::new(kind, pair.public_key().as_ref().try_into().unwrap());
            Self(pair, key)
        }

        fn sign(&self, text: &str) -> String {
            URL_SAFE_NO_PAD.encode(self.0.sign(text.as_bytes()))
        }

        fn jwt(&self, subject: &Self, more: &str) -> String {
            let body = format!("{{\"iss\":\"{}\",\"sub\":\"{}\"{more}}}", self.1, subject.1);
            let signed = format!("e30.{}", URL_SAFE_NO_PAD.encode(body));
            let signature = self.sign(&signed);
            format!("{signed}.{signature}")
        }
    }

    struct World {
        operator: Pair,
        account: Pair,
        user: Pair,
    }

    impl World {
        fn new() -> Self {
            Self {
                operator: Pair::new(Kind::Operator, 1),
                account: Pair::new(Kind::Account, 2),
                user: Pair::new(Kind::User, 3),
            }
        }

        fn accounts(&self) -> Accounts {
            let operator = self.operator.jwt(&self.operator, "");
            Accounts::of(&operator, &[self.operator.jwt(&self.account, "")]).unwrap()
        }

        fn credentials(&self, jwt: String) -> Credentials {
            let signature = Some(self.user.sign("nonce"));
            Credentials { jwt: Some(jwt), nonce: "nonce".to_owned(), signature, ..Credentials::default() }
        }

        fn identify(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
            self.accounts().identify(credentials, UNIX_EPOCH + Duration::from_secs(1000))
        }
    }

    #[test]
    fn a_user_of_a_known_account_is_admitted_with_its_permissions() {
        let world = World::new();
        let more =
            ",\"name\":\"alice\",\"exp\":1060,\"nats\":{\"pub\":{\"allow\":[\"a\"]},\"sub\":{},\"subs\":-1}";
        let admitted = world.identify(&world.credentials(world.account.jwt(&world.user, more))).unwrap();
        assert_eq!(admitted.identity.as_str(), "alice");
        assert_eq!(admitted.permissions.publish.allow, Some(vec!["a".to_owned()]));
        assert_eq!(admitted.permissions.subscribe, Rules::default());
        assert_eq!(
            (admitted.expires_after, admitted.max_subscriptions),
            (Some(Duration::from_mins(1)), None)
        );
    }

    #[test]
    fn nobody_is_admitted_who_does_not_sign_or_is_not_vouched_for() {
        let world = World::new();
        let good = world.credentials(world.account.jwt(&world.user, ""));
        assert!(world.identify(&good).is_ok());
        let denied = |credentials: Credentials| world.identify(&credentials).unwrap_err();
        assert_eq!(denied(Credentials { signature: None, ..good.clone() }), Denied::Violation);
        assert_eq!(denied(Credentials { nonce: "other".to_owned(), ..good.clone() }), Denied::Violation);
        assert_eq!(
            denied(world.credentials(Pair::new(Kind::Account, 9).jwt(&world.user, ""))),
            Denied::Violation
        );
        assert_eq!(denied(world.credentials(world.user.jwt(&world.user, ""))), Denied::Violation);
        assert_eq!(denied(world.credentials("not.a.jwt".to_owned())), Denied::Violation);
        let expired = world.account.jwt(&world.user, ",\"exp\":999");
        assert_eq!(denied(world.credentials(expired)), Denied::Expired);
        let mut forged = world.account.jwt(&world.user, "");
        forged.replace_range(4..8, "AAAA");
        assert_eq!(denied(world.credentials(forged)), Denied::Violation);
    }

    #[test]
    fn a_signing_key_signs_in_the_place_of_its_account() {
        let world = World::new();
        let signer = Pair::new(Kind::Account, 7);
        let more = format!(",\"nats\":{{\"signing_keys\":[\"{}\"]}}", signer.1);
        let operator = world.operator.jwt(&world.operator, "");
        let accounts = Accounts::of(&operator, &[world.operator.jwt(&world.account, &more)]).unwrap();
        let user =
            signer.jwt(&world.user, &format!(",\"nats\":{{\"issuer_account\":\"{}\"}}", world.account.1));
        assert!(accounts.identify(&world.credentials(user), UNIX_EPOCH).is_ok());
        let without = signer.jwt(&world.user, "");
        assert!(accounts.identify(&world.credentials(without), UNIX_EPOCH).is_err());
    }

    #[test]
    fn an_operator_vouches_for_itself_and_its_accounts() {
        let world = World::new();
        let other = Pair::new(Kind::Operator, 5);
        let operator = world.operator.jwt(&world.operator, "");
        let of = |operator: &str, account: String| Accounts::of(operator, &[account]).unwrap_err();
        assert_eq!(of(&operator, other.jwt(&world.account, "")), UntrustedError::Account);
        assert_eq!(of(&operator, world.operator.jwt(&world.user, "")), UntrustedError::Account);
        assert_eq!(of(&other.jwt(&world.operator, ""), String::new()), UntrustedError::Operator);
        assert_eq!(of("", String::new()), UntrustedError::Operator);
    }
}
