//! Buckets as targets of routes: a release of a site is a bucket and a prefix in it.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    buckets::{Bucket, is_bucket_name},
    functions::Under,
    gateway::Choice,
};

/// The longest prefix, in bytes: there is room for names behind it.
const LONGEST_PREFIX: usize = 512;

/// A bucket as a route names it: `site`, or `site/releases/2/` for one release in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketTarget {
    /// The bucket's name.
    pub name: Arc<str>,
    /// What keys begin with; empty, or with a `/` at its end.
    pub prefix: Arc<str>,
}

/// A request that a route answers from a bucket.
#[derive(Debug, Clone)]
pub struct ToBucket {
    /// The route, and what its flag gave.
    pub choice: Choice,
    /// The route's flag and variant, when a fault of the release is to be held against them; see
    /// [`crate::gateway::Said::under`].
    pub under: Option<Under>,
    /// The bucket and prefix, as the route names them.
    pub target: BucketTarget,
    /// The bucket; `None` when there is none (any more).
    pub bucket: Option<Arc<Bucket>>,
}

impl BucketTarget {
    /// Reads `site` or `site/releases/2/`. A `/` at the end is added where there is none.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        Self::new(name, prefix)
    }

    /// The bucket `name`, and what keys begin with.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(name: &str, prefix: &str) -> Result<Self, String> {
        if !is_bucket_name(name) {
            let name: String = name.chars().take(64).collect();
            return Err(format!(
                "`{name}` names no bucket; write `site`, or `site/releases/2/` for a release in it"
            ));
        }
        if prefix.len() > LONGEST_PREFIX || prefix.chars().any(char::is_control) {
            return Err(format!(
                "a prefix has at most {LONGEST_PREFIX} bytes and no control characters; such as `releases/2/`"
            ));
        }
        let prefix = if prefix.is_empty() || prefix.ends_with('/') {
            prefix.into()
        } else {
            format!("{prefix}/").into()
        };
        Ok(Self { name: name.into(), prefix })
    }

    /// The key that a clean path stands for. Escapes are decoded here, once; `None` when what comes out is no text, or has a
    /// dot segment: no path leads out of the prefix.
    pub fn key(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut key = Vec::with_capacity(self.prefix.len() + path.len());
        key.extend_from_slice(self.prefix.as_bytes());
        let mut rest = path.bytes();
        while let Some(byte) = rest.next() {
            key.push(if byte == b'%' { hex(rest.next()?)? << 4 | hex(rest.next()?)? } else { byte });
        }
        let key = String::from_utf8(key).ok()?;
        let below = key.get(self.prefix.len()..)?;
        let climbs = below.split('/').any(|segment| matches!(segment, "." | ".."));
        (!climbs && !below.contains('\0')).then_some(key)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for BucketTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.prefix {
            "" => f.write_str(&self.name),
            prefix => write!(f, "{}/{prefix}", self.name),
        }
    }
}

impl Serialize for BucketTarget {
    /// As people write it: the name, or the name and the prefix.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.prefix.is_empty() {
            return serializer.serialize_str(&self.name);
        }
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry("name", &self.name)?;
        members.serialize_entry("prefix", &self.prefix)?;
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::clean;

    fn target(text: &str) -> BucketTarget {
        BucketTarget::parse(text).unwrap()
    }

    #[test]
    fn a_release_is_a_bucket_and_a_prefix() {
        for (text, shown) in [
            ("site", "site"),
            ("site/", "site"),
            ("site/releases/2/", "site/releases/2/"),
            ("site/releases/2", "site/releases/2/"),
            ("my.site.example/ä b/", "my.site.example/ä b/"),
        ] {
            assert_eq!(target(text).to_string(), shown);
        }
        let long = format!("site/{}", "x".repeat(600));
        for text in ["", "/", "Site", "a_b/x", "site/a\0b", "site/a\nb", &long] {
            assert!(
                BucketTarget::parse(text).unwrap_err().contains("such as `releases/2/`")
                    || !text.contains("site")
            );
        }
    }

    #[test]
    fn escapes_are_decoded_once_and_nothing_leads_out_of_the_prefix() {
        let release = target("site/r/1/");
        for (path, key) in [
            ("", Some("r/1/")),
            ("/", Some("r/1/")),
            ("/app.js", Some("r/1/app.js")),
            ("/a%20b/%C3%A4.html", Some("r/1/a b/ä.html")),
            ("/%252e%252e/x", Some("r/1/%2e%2e/x")),
            ("/..a/.b", Some("r/1/..a/.b")),
            ("/../x", None),
            ("/%2e%2e/x", None),
            ("/a/%2E", None),
            ("/%FF", None),
            ("/%00", None),
            ("/%4", None),
        ] {
            assert_eq!(release.key(path).as_deref(), key, "{path}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_stays_below_the_prefix(path in "/([a-z./%]|%2[eEfF]|%25|\\.\\.){0,20}") {
            let Ok(clean) = clean(&path) else { return Ok(()) };
            if let Some(key) = target("site/r/1/").key(&clean) {
                let below = key.strip_prefix("r/1/");
                prop_assert!(below.is_some_and(|below| below.split('/').all(|part| part != ".." && part != ".")));
            }
        }
    }
}
