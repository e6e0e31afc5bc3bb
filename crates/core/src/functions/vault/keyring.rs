//! Sealing and opening: AES-256-GCM under keys that are derived by HKDF-SHA256 (RFC 5869).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::Sealed;
use crate::{catalog::DocumentId, random::Random};

/// What the keys are derived for: the same text in a configuration used elsewhere gives other keys.
const PURPOSE: &[u8] = b"flagbase function secrets, version 1";

/// The shortest text that is a key, in bytes.
const SHORTEST: usize = 32;

/// Keys that seal and open: the first one seals, all of them open.
pub struct Keyring {
    current: Key,
    former: Vec<Key>,
}

/// A text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is none.
    #[error("there is no key for secrets of functions")]
    Empty,
    /// It can be guessed.
    #[error(
        "a key for secrets of functions is too short: {0} bytes, expected 32 or more that nobody can guess"
    )]
    Short(usize),
}

/// Why a secret does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with a key that is not here.
    #[error(
        "secret `{name}` was sealed with key {key_id}, which is not here: add that key as a further line to \
         `functions.secrets_key`, or set the secret again"
    )]
    UnknownKey {
        /// Its name.
        name: String,
        /// The key's id.
        key_id: String,
    },
    /// It is not what was sealed, or not for this function and name.
    #[error("secret `{0}` is not what was sealed for this function: it was altered or moved; set it again")]
    Altered(String),
}

struct Key {
    id: String,
    aead: LessSafeKey,
}

impl Keyring {
    /// Reads keys, one a line: the first one seals, the others only open what was sealed before. Any text of 32 bytes or
    /// more is a key, such as 64 hexadecimal digits.
    pub fn of(text: &str) -> Result<Self, KeyringError> {
        let mut keys = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Key::derive);
        let current = keys.next().ok_or(KeyringError::Empty)??;
        Ok(Self { current, former: keys.collect::<Result<_, _>>()? })
    }

    /// The text of a new key.
    pub fn generate(random: &dyn Random) -> String {
        random.hex(32)
    }

    /// Seals `value` as the secret `name` of `function`.
    pub fn seal(
        &self,
        function: &DocumentId,
        (name, value): (&str, &str),
        random: &dyn Random,
        now: Timestamp,
    ) -> Sealed {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let Key { id, aead } = &self.current;
        let mut bytes = Vec::with_capacity(value.len() + 16);
        bytes.extend_from_slice(value.as_bytes());
        let place = Aad::from(place(function, name, id));
        // Only a text of 64 GiB is refused.
        let sealed = aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place, &mut bytes);
        let mut whole = nonce.to_vec();
        if sealed.is_ok() {
            whole.append(&mut bytes);
        }
        Sealed { name: name.to_owned(), key_id: id.clone(), bytes: whole, set_at: now }
    }

    /// What `sealed` holds, provided that it was sealed for `function` under its name.
    pub fn open(&self, function: &DocumentId, sealed: &Sealed) -> Result<Zeroizing<String>, OpenError> {
        let Sealed { name, key_id, bytes, .. } = sealed;
        let mut keys = std::iter::once(&self.current).chain(&self.former);
        let key = keys.find(|key| key.id == *key_id).ok_or_else(|| OpenError::UnknownKey {
            name: name.clone(),
            key_id: key_id.chars().take(32).collect(),
        })?;
        let altered = || OpenError::Altered(name.clone());
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(altered)?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let place = Aad::from(place(function, name, key_id));
        let opened = key.aead.open_in_place(Nonce::assume_unique_for_key(*nonce), place, &mut rest);
        let text = std::str::from_utf8(opened.map_err(|_| altered())?).map_err(|_| altered())?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl Key {
    fn derive(text: &str) -> Result<Self, KeyringError> {
        if text.len() < SHORTEST {
            return Err(KeyringError::Short(text.len()));
        }
        let short = |_| KeyringError::Short(text.len());
        let secret = Salt::new(HKDF_SHA256, PURPOSE).extract(text.as_bytes());
        let mut id = [0; 32];
        secret.expand(&[b"id"], HKDF_SHA256).and_then(|okm| okm.fill(&mut id)).map_err(short)?;
        let key = secret.expand(&[b"key"], &AES_256_GCM).map_err(short)?;
        let aead = LessSafeKey::new(UnboundKey::from(key));
        let id = hex::encode(id.get(..8).unwrap_or_default());
        Ok(Self { id, aead })
    }
}

/// What a secret is bound to, each part with its length, so that no two places are written alike.
fn place(function: &DocumentId, name: &str, key_id: &str) -> Vec<u8> {
    let mut place = Vec::new();
    for part in [function.kind.as_str(), &*function.environment, &*function.key, name, key_id] {
        place.extend_from_slice(&(part.len() as u64).to_be_bytes());
        place.extend_from_slice(part.as_bytes());
    }
    place
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} and {} former)", self.current.id, self.former.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::Kind;

    /// Other bytes each time.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    const FIRST: &str = "0123456789abcdef0123456789abcdef";
    const SECOND: &str = "fedcba9876543210fedcba9876543210";

    fn function(environment: &str, name: &str) -> DocumentId {
        DocumentId::new(Kind::Function, environment, name)
    }

    fn sealed(keys: &str, place: &DocumentId, name: &str, value: &str) -> Sealed {
        let ring = Keyring::of(keys).unwrap();
        ring.seal(place, (name, value), &Counting::default(), Timestamp::UNIX_EPOCH)
    }

    fn open(keys: &str, place: &DocumentId, sealed: &Sealed) -> Result<String, OpenError> {
        Keyring::of(keys).unwrap().open(place, sealed).map(|text| text.to_string())
    }

    #[test]
    fn what_was_sealed_opens_for_its_own_function_and_name_only() {
        let hello = function("default", "hello");
        let secret = sealed(FIRST, &hello, "TOKEN", "s3cret");
        assert_eq!(open(FIRST, &hello, &secret).unwrap(), "s3cret");
        let altered = Err(OpenError::Altered("TOKEN".into()));
        for other in [function("default", "other"), function("staging", "hello"), function("", "hello")] {
            assert_eq!(open(FIRST, &other, &secret), altered, "moved to {other}");
        }
        let renamed = Sealed { name: "OTHER".into(), ..secret };
        assert_eq!(open(FIRST, &hello, &renamed), Err(OpenError::Altered("OTHER".into())));
    }

    #[test]
    fn parts_of_a_place_cannot_be_shifted_into_each_other() {
        let one = place(&function("ab", "c"), "d", "k");
        assert_ne!(one, place(&function("a", "bc"), "d", "k"));
        assert_ne!(one, place(&function("ab", ""), "cd", "k"));
    }

    #[test]
    fn a_key_that_is_not_here_is_named_and_a_former_one_still_opens() {
        let hello = function("default", "hello");
        let secret = sealed(FIRST, &hello, "TOKEN", "s3cret");
        let refused = open(SECOND, &hello, &secret).unwrap_err();
        assert!(matches!(&refused, OpenError::UnknownKey { key_id, .. } if *key_id == secret.key_id));
        assert!(refused.to_string().contains(&secret.key_id) && !refused.to_string().contains(FIRST));

        let both = format!("{SECOND}\n\n  {FIRST}\n");
        assert_eq!(open(&both, &hello, &secret).unwrap(), "s3cret");
        let newer = sealed(&both, &hello, "TOKEN", "s3cret");
        assert_eq!(open(SECOND, &hello, &newer).unwrap(), "s3cret", "the first key seals");
        // Saying that it was another key that sealed it does not help.
        let relabelled = Sealed { key_id: newer.key_id.clone(), ..secret };
        assert_eq!(open(&both, &hello, &relabelled), Err(OpenError::Altered("TOKEN".into())));
    }

    #[test]
    fn a_key_has_at_least_32_bytes_and_never_shows() {
        assert_eq!(Keyring::of("").unwrap_err(), KeyringError::Empty);
        assert_eq!(Keyring::of(" \n ").unwrap_err(), KeyringError::Empty);
        assert_eq!(Keyring::of("short").unwrap_err(), KeyringError::Short(5));
        assert_eq!(Keyring::of(&format!("{FIRST}\nshort")).unwrap_err(), KeyringError::Short(5));
        let shown = format!("{:?}", Keyring::of(FIRST).unwrap());
        assert!(shown.starts_with("Keyring(") && !shown.contains("0123456789abcdef0"), "{shown}");
        let generated = Keyring::generate(&Counting::default());
        assert!(generated.len() == 64 && Keyring::of(&generated).is_ok());
    }

    #[test]
    fn the_same_value_is_never_sealed_alike() {
        let ring = Keyring::of(FIRST).unwrap();
        let (random, hello) = (Counting::default(), function("default", "hello"));
        let seal = || ring.seal(&hello, ("a", "value"), &random, Timestamp::UNIX_EPOCH).bytes;
        assert_ne!(seal(), seal());
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value: String) {
            let hello = function("default", "hello");
            let secret = sealed(FIRST, &hello, "a", &value);
            prop_assert_eq!(secret.bytes.len(), value.len() + 28);
            prop_assert_eq!(open(FIRST, &hello, &secret).unwrap(), value);
        }

        #[test]
        fn no_altered_byte_goes_unnoticed(at in 0_usize..40, by in 1_u8.., cut in 0_usize..40) {
            let hello = function("default", "hello");
            let secret = sealed(FIRST, &hello, "a", "twelve bytes");
            let mut altered = secret.clone();
            altered.bytes[at] ^= by;
            prop_assert_eq!(open(FIRST, &hello, &altered), Err(OpenError::Altered("a".into())));
            let mut short = secret;
            short.bytes.truncate(cut);
            prop_assert_eq!(open(FIRST, &hello, &short), Err(OpenError::Altered("a".into())));
        }
    }
}
