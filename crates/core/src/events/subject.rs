//! Subjects: where on a bus an event goes.
//!
//! Every event goes to `flagbase.<kind>.<verb>`. One that belongs to an environment goes to
//! `flagbase.env.<environment>.<kind>.<key>.<verb>`, too, so that permissions and consumers can be narrow. Environment
//! and key are one token each: letters, digits, `-` and `_` stand for themselves, every other byte of their UTF-8 is
//! `%` and two upper-case hexadecimal digits. So `a.b c` becomes `a%2Eb%20c`, and any percent-decoder reads it back.

use std::fmt::Write as _;

use super::CloudEvent;
use crate::catalog::Change;

/// The first token of everything Flagbase itself says; nobody else may publish below it.
pub const ROOT: &str = "flagbase";

/// A text as one token of a subject.
pub fn token(text: &str) -> String {
    // Nothing at all is no token; what has a key has one that is not empty.
    if text.is_empty() {
        return "%".to_owned();
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            let _ = write!(token, "%{byte:02X}");
        }
    }
    token
}

/// The text behind a token that [`token`] made; `None` when it did not.
pub fn text(of: &str) -> Option<String> {
    if of == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(of.len());
    let mut rest = of.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    // One spelling each: what decodes to the same text is not the same token.
    (token(&text) == of).then_some(text)
}

/// What every event of an environment is published below, such as `flagbase.env.default`.
pub fn environment(key: &str) -> String {
    format!("{ROOT}.env.{}", token(key))
}

/// Whether messages can be published on `subject`: tokens without blanks, none empty, no wildcard, at most 1024 bytes.
pub fn is_valid(subject: &str) -> bool {
    let word = |token: &str| {
        !token.is_empty()
            && token != "*"
            && token != ">"
            && !token.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    subject.len() <= 1024 && subject.split('.').all(word)
}

impl CloudEvent {
    /// The environment it belongs to; `None` for what belongs to none.
    pub fn environment(&self) -> Option<&str> {
        self.source.strip_prefix("/environments/")
    }

    /// `flagbase.env.<environment>.<kind>.<key>.<verb>`; `None` for what belongs to no environment.
    pub fn scoped_subject(&self) -> Option<String> {
        let (kind, verb) = self.event_type.strip_prefix("flagbase.")?.split_once('.')?;
        Some(scoped(self.environment()?, kind, &self.subject, verb))
    }

    /// All subjects it is published on: its type, and the scoped one when it has one.
    pub fn subjects(&self) -> impl Iterator<Item = String> + use<> {
        std::iter::once(self.event_type.clone()).chain(self.scoped_subject())
    }

    /// The subjects that the event of a change is published on.
    pub(super) fn subjects_of(change: &Change) -> impl Iterator<Item = String> + use<> {
        let id = &change.id;
        let scoped = (!id.environment.is_empty())
            .then(|| scoped(&id.environment, id.kind.as_str(), &id.key, &change.verb));
        std::iter::once(Self::type_of(change)).chain(scoped)
    }
}

fn scoped(place: &str, kind: &str, key: &str, verb: &str) -> String {
    format!("{}.{kind}.{}.{verb}", environment(place), token(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_tokens_whatever_is_in_them() {
        for (key, expected) in [
            ("new-checkout_2", "new-checkout_2"),
            ("a.b c", "a%2Eb%20c"),
            ("*", "%2A"),
            (">", "%3E"),
            ("50%", "50%25"),
            ("größe", "gr%C3%B6%C3%9Fe"),
            ("", "%"),
        ] {
            assert_eq!(token(key), expected);
            assert_eq!(text(expected).as_deref(), Some(key));
        }
    }

    #[test]
    fn what_no_key_becomes_is_read_as_none() {
        for strange in ["%2e", "%2", "%zz", "a.b", "%41", "%FF", "", "a b", "%+1"] {
            assert_eq!(text(strange), None, "{strange}");
        }
    }

    #[test]
    fn subjects_to_publish_on_have_words_and_no_wildcards() {
        for good in ["orders", "orders.created", "a.b.c", "_INBOX.x", "größe.%2E"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", ">", "a\r\nPUB x", &"a".repeat(1025)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_one_token_and_comes_back(key in any::<String>()) {
            let token = token(&key);
            prop_assert!(is_valid(&token) && !token.contains('.'), "{token}");
            prop_assert_eq!(text(&token), Some(key));
        }

        #[test]
        fn no_two_tokens_mean_the_same(token_ in "[%0-9A-Fa-f._ -]{0,12}") {
            if let Some(key) = text(&token_) {
                prop_assert_eq!(token(&key), token_);
            }
        }
    }
}
