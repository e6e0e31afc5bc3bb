//! Signing secrets and signatures, by the Standard Webhooks specification.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::random::Random;

/// What every secret begins with when people see it.
const PREFIX: &str = "whsec_";

/// Bytes of a secret that is made here; the specification asks for 24 to 64.
const BYTES: usize = 32;

/// A secret that signs messages: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// A text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no signing secret: expected `whsec_` and the base64 of 24 to 64 bytes")]
pub struct NoSecret;

impl SigningSecret {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.bytes::<BYTES>().to_vec())
    }

    /// `whsec_` and its base64: for its owner's eyes, and for the store.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// `v1,` and the base64 of the HMAC-SHA256 of `<id>.<seconds>.<body>`.
    fn signature(&self, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
        // No length is refused by HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

impl FromStr for SigningSecret {
    type Err = NoSecret;

    fn from_str(text: &str) -> Result<Self, NoSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NoSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NoSecret) }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The value of `webhook-signature`: one signature per secret, blanks between.
pub fn sign(secrets: &[&SigningSecret], id: &str, at: Timestamp, body: &[u8]) -> String {
    let signatures: Vec<_> =
        secrets.iter().filter_map(|secret| secret.signature(id, at.as_second(), body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's text.
    #[test]
    fn the_specifications_example_is_signed_alike() {
        let secret: SigningSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let signature = sign(&[&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_shown_only_when_asked_and_reads_back() {
        struct Sevens;
        impl Random for Sevens {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(7);
            }
        }
        let secret = SigningSecret::generate(&Sevens);
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert!(secret.reveal().starts_with("whsec_BwcHBwcH"));
        assert_eq!(secret.reveal().parse::<SigningSecret>().unwrap(), secret);
    }

    #[test]
    fn what_is_too_short_or_no_base64_is_no_secret() {
        for text in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"] {
            assert!(text.parse::<SigningSecret>().is_err(), "{text}");
        }
    }

    #[test]
    fn two_secrets_give_two_signatures() {
        let first: SigningSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let second: SigningSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX".parse().unwrap();
        let both = sign(&[&second, &first], "m", Timestamp::UNIX_EPOCH, b"{}");
        let alone = sign(&[&first], "m", Timestamp::UNIX_EPOCH, b"{}");
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').nth(1), Some(alone.as_str()));
    }
}
