//! Which object a path means. Keys are taken from the path as it was sent, and decoded once: `..`, `//` and what else
//! paths may contain are only names.

use axum::http::Uri;
use flagbase_core::refusal::{Class, Refusal};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Where buckets are.
pub(super) const BUCKETS: &str = "/api/v1/buckets";

/// What is written as it is in a path that holds a key.
const IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// A bucket's name and an object's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Address {
    /// What `/api/v1/buckets/{name}/objects/{*key}` means.
    pub(super) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let raw = uri.path().strip_prefix(BUCKETS).and_then(|rest| rest.strip_prefix('/'));
        let (bucket, rest) = raw.and_then(|raw| raw.split_once('/')).unwrap_or_default();
        let key = rest.strip_prefix("objects/").unwrap_or_default();
        Ok(Self { bucket: decoded(bucket)?, key: decoded(key)? })
    }

    /// `bucket/key`, as a parameter names what is copied.
    pub(super) fn named(text: &str) -> Result<Self, Refusal> {
        match text.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err(crate::request::bad_query("copy", text, "`bucket/key`")),
        }
    }

    /// The path of the object.
    pub(super) fn path(&self) -> String {
        let (bucket, key) =
            (utf8_percent_encode(&self.bucket, IN_PATHS), utf8_percent_encode(&self.key, IN_PATHS));
        format!("{BUCKETS}/{bucket}/objects/{key}")
    }
}

fn decoded(raw: &str) -> Result<String, Refusal> {
    percent_decode_str(raw).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| {
        let message = "the address is not UTF-8 behind its `%` escapes; encode it as UTF-8";
        Refusal::new(Class::Malformed, "bad_path", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> (String, String) {
        let Address { bucket, key } = Address::of(&path.parse().unwrap()).unwrap();
        (bucket, key)
    }

    #[test]
    fn a_key_is_what_stands_in_the_path_decoded_once() {
        for (path, key) in [
            ("a", "a"),
            ("a/b", "a/b"),
            ("../../etc/passwd", "../../etc/passwd"),
            ("/a//b/", "/a//b/"),
            ("a%2Fb", "a/b"),
            ("a%252Fb", "a%2Fb"),
            ("a+b%20c", "a+b c"),
            ("%C3%A4", "ä"),
            ("a%00b", "a\0b"),
            ("objects/objects/", "objects/objects/"),
        ] {
            assert_eq!(
                of(&format!("/api/v1/buckets/up/objects/{path}")),
                ("up".into(), key.into()),
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_leads_back_to_the_object() {
        for key in ["a", "../x", "//", "a%2Fb", "a b?c#d", "ä/日本", "\u{1}", "a+b;c=d"] {
            let address = Address { bucket: "up".into(), key: key.into() };
            assert_eq!(Address::of(&address.path().parse().unwrap()).unwrap(), address, "{key}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(
            Address::of(&"/api/v1/buckets/up/objects/%ff".parse().unwrap()).unwrap_err().code,
            "bad_path"
        );
        assert_eq!(Address::named("nokey").unwrap_err().code, "bad_query");
        assert_eq!(Address::named("a/b/c").unwrap(), Address { bucket: "a".into(), key: "b/c".into() });
    }
}
