//! Signed URLs: who has one may do one thing to one object for some time, without a token.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use crate::{
    identity::Secret,
    refusal::{Class, Refusal},
};

/// What the key is derived for: the server's secret signs other things, too.
const PURPOSE: &[u8] = b"flagbase signed URLs, version 1";

/// The longest time a URL may be good for.
pub const LONGEST_SIGNED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What URLs may be for.
const METHODS: [&str; 3] = ["GET", "PUT", "DELETE"];

/// What a URL permits. Every member is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// `GET` (which admits `HEAD`), `PUT` or `DELETE`.
    pub method: String,
    /// The environment's key.
    pub environment: String,
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The version that may be read; `None`: the newest.
    pub version: Option<String>,
    /// Until when, to the second.
    pub expires: Timestamp,
    /// How many bytes may be written.
    pub max_size: Option<u64>,
    /// The media type that has to be written.
    pub content_type: Option<String>,
    /// Who signed it: `user:<id>` or `key:<id>`.
    pub by: String,
}

/// Signs and verifies.
#[derive(Clone)]
pub struct Signer {
    key: Hmac<Sha256>,
}

impl Signer {
    /// Signs with a key that is derived from the server's secret.
    pub fn new(secret: &[u8]) -> Self {
        let secret = Salt::new(HKDF_SHA256, PURPOSE).extract(secret);
        let mut key = [0; 32];
        let filled = secret.expand(&[b"key"], HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        debug_assert!(filled.is_ok(), "32 bytes are what the algorithm gives");
        // A key is filled up to a block with zeros (RFC 2104).
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        Self { key: Hmac::new(&block.into()) }
    }

    /// The same, of the secret that signs session tokens.
    pub fn of(secret: &Secret) -> Self {
        Self::new(secret.reveal())
    }

    /// The signature, 64 hexadecimal digits.
    pub fn sign(&self, claim: &Claim) -> String {
        hex::encode(self.over(claim).finalize().into_bytes())
    }

    /// Refuses a signature that is not of this claim, and one that has ended.
    pub fn verify(&self, claim: &Claim, signature: &str, now: Timestamp) -> Result<(), Refusal> {
        let wrong = || {
            let message = "the signature of this URL is not of what it says; use it as it was made";
            Refusal::new(Class::Forbidden, "signature_invalid", message)
        };
        let given = hex::decode(signature).map_err(|_| wrong())?;
        if self.over(claim).verify_slice(&given).is_err() {
            return Err(self.other_method(claim, &given).unwrap_or_else(wrong));
        }
        if claim.expires <= now {
            let message = format!("this URL was good until {}; ask for a new one", claim.expires);
            return Err(Refusal::new(Class::Forbidden, "signature_expired", message));
        }
        Ok(())
    }

    /// What to say when the signature would be good for another method.
    fn other_method(&self, claim: &Claim, given: &[u8]) -> Option<Refusal> {
        let meant = METHODS.into_iter().find(|method| {
            let claim = Claim { method: (*method).to_owned(), ..claim.clone() };
            self.over(&claim).verify_slice(given).is_ok()
        })?;
        let message = format!("this URL is for {meant}, not for {}; ask for one that is", claim.method);
        Some(Refusal::new(Class::Forbidden, "signature_invalid", message))
    }

    fn over(&self, claim: &Claim) -> Hmac<Sha256> {
        let Claim { method, environment, bucket, key, version, expires, max_size, content_type, by } = claim;
        let mut mac = self.key.clone();
        // Each part with its length, so that no two claims are written alike; what is absent is no empty text.
        let mut part = |bytes: Option<&[u8]>| {
            mac.update(&[u8::from(bytes.is_some())]);
            let bytes = bytes.unwrap_or_default();
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        for text in [method, environment, bucket, key, by] {
            part(Some(text.as_bytes()));
        }
        part(version.as_deref().map(str::as_bytes));
        part(Some(&expires.as_second().to_be_bytes()));
        part(max_size.map(u64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        part(content_type.as_deref().map(str::as_bytes));
        mac
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim() -> Claim {
        Claim {
            method: "PUT".into(),
            environment: "default".into(),
            bucket: "uploads".into(),
            key: "a/b".into(),
            version: None,
            expires: Timestamp::from_second(1_000).unwrap(),
            max_size: Some(10),
            content_type: None,
            by: "user:u1".into(),
        }
    }

    fn before() -> Timestamp {
        Timestamp::from_second(999).unwrap()
    }

    #[test]
    fn a_url_is_good_until_it_ends_and_under_its_own_secret_only() {
        let signer = Signer::new(b"secret");
        let signature = signer.sign(&claim());
        assert!(signer.verify(&claim(), &signature, before()).is_ok());
        let ended = signer.verify(&claim(), &signature, claim().expires).unwrap_err();
        assert_eq!(ended.code, "signature_expired");
        let other = Signer::new(b"another").verify(&claim(), &signature, before()).unwrap_err();
        assert_eq!((other.class, other.code), (Class::Forbidden, "signature_invalid"));
        for nonsense in ["", "zz", &signature[1..], &signature.repeat(2)] {
            assert!(signer.verify(&claim(), nonsense, before()).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn nothing_that_is_signed_can_be_stretched_or_exchanged() {
        let signer = Signer::new(b"secret");
        let signature = signer.sign(&claim());
        let later = Timestamp::from_second(2_000).unwrap();
        for altered in [
            Claim { method: "DELETE".into(), ..claim() },
            Claim { environment: "other".into(), ..claim() },
            Claim { bucket: "uploadsa".into(), key: "/b".into(), ..claim() },
            Claim { key: "a/c".into(), ..claim() },
            Claim { version: Some(String::new()), ..claim() },
            Claim { expires: later, ..claim() },
            Claim { max_size: None, ..claim() },
            Claim { max_size: Some(11), ..claim() },
            Claim { content_type: Some(String::new()), ..claim() },
            Claim { by: "user:u2".into(), ..claim() },
        ] {
            assert!(signer.verify(&altered, &signature, before()).is_err(), "{altered:?}");
        }
    }

    #[test]
    fn a_url_for_something_else_says_what_it_is_for() {
        let signer = Signer::new(b"secret");
        let signature = signer.sign(&claim());
        let read = Claim { method: "GET".into(), ..claim() };
        let refused = signer.verify(&read, &signature, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(refused.code, "signature_invalid");
        assert!(refused.to_string().contains("is for PUT, not for GET"), "{refused}");
    }

    proptest! {
        #[test]
        fn texts_cannot_be_shifted_into_each_other(bucket in "[ab]{0,3}", key in "[ab]{0,3}", other in "[ab]{0,6}", cut in 0_usize..7) {
            let signer = Signer::new(b"secret");
            let (left, right) = other.split_at(cut.min(other.len()));
            let one = Claim { bucket: bucket.clone(), key: key.clone(), ..claim() };
            let two = Claim { bucket: left.into(), key: right.into(), ..claim() };
            prop_assert_eq!(signer.sign(&one) == signer.sign(&two), bucket == left && key == right);
        }
    }
}
