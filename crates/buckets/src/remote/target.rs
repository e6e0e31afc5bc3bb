//! Which store `storage.url` names.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::remote_errors::RemoteError;

/// Where blobs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) bucket: String,
    /// Empty, or with a slash at the end.
    pub(super) prefix: String,
    /// `None`: what the environment says.
    pub(super) region: Option<String>,
    /// `http://…` or `https://…` without the bucket; `None`: what the environment says, or AWS.
    pub(super) endpoint: Option<String>,
    /// Whether the bucket stands in the path, and not in the host.
    pub(super) path_style: bool,
    /// The access key and its secret; `None`: what the environment says.
    pub(super) login: Option<(String, Hidden)>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(String);

impl Hidden {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, RemoteError> {
        let rest = text
            .trim()
            .strip_prefix("s3://")
            .ok_or_else(|| wrong("is no address of a store: write `s3://bucket/prefix?region=us-east-1`"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, bucket) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((login, bucket)) => (Some(login_of(login)?), bucket),
        };
        if bucket.is_empty()
            || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return Err(wrong("names no bucket: write `s3://bucket/prefix`"));
        }
        let mut target = Self {
            bucket: bucket.to_owned(),
            prefix: prefix_of(path)?,
            region: None,
            endpoint: None,
            path_style: false,
            login,
        };
        target.take_options(query)?;
        Ok(target)
    }

    fn take_options(&mut self, query: &str) -> Result<(), RemoteError> {
        let mut path_style = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let value = decoded(value)?;
            match name {
                "region" => self.region = Some(value),
                "endpoint" if value.starts_with("http://") || value.starts_with("https://") => {
                    self.endpoint = Some(value.trim_end_matches('/').to_owned());
                }
                "endpoint" => {
                    return Err(wrong("has an `endpoint` that does not begin with `http://` or `https://`"));
                }
                "path_style" => match value.parse() {
                    Ok(whether) => path_style = Some(whether),
                    Err(_) => return Err(wrong("has a `path_style` that is neither `true` nor `false`")),
                },
                _ => {
                    return Err(wrong(
                        "has an unknown option; there are `region`, `endpoint` and `path_style`",
                    ));
                }
            }
        }
        // Few stores beside AWS have a name for every bucket.
        self.path_style = path_style.unwrap_or(self.endpoint.is_some());
        Ok(())
    }
}

fn login_of(text: &str) -> Result<(String, Hidden), RemoteError> {
    let (id, secret) = text
        .split_once(':')
        .ok_or_else(|| wrong("has an access key without its secret: write `s3://key:secret@bucket`"))?;
    Ok((decoded(id)?, Hidden(decoded(secret)?)))
}

fn prefix_of(path: &str) -> Result<String, RemoteError> {
    let prefix = decoded(path)?;
    let prefix = prefix.trim_matches('/');
    let odd =
        |word: &str| word.is_empty() || word == "." || word == ".." || word.chars().any(char::is_control);
    match prefix {
        "" => Ok(String::new()),
        _ if prefix.split('/').any(odd) => Err(wrong("has a prefix with an empty word, `.` or `..`")),
        _ => Ok(format!("{prefix}/")),
    }
}

fn decoded(text: &str) -> Result<String, RemoteError> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| wrong("has percent-encoded bytes that are no UTF-8"))?.into_owned())
}

/// Never with a word of the address itself: a mistyped one may have the secret anywhere.
fn wrong(what: &str) -> RemoteError {
    RemoteError::Url(what.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_part_is_found_and_decoded() {
        let target = Target::parse(
            "s3://id:s%2Fcret@bucket/a/b%20c/?region=eu-1&endpoint=http%3A%2F%2Flocalhost:9000/&path_style=false",
        );
        let target = target.unwrap();
        assert_eq!((target.bucket.as_str(), target.prefix.as_str()), ("bucket", "a/b c/"));
        assert_eq!(target.region.as_deref(), Some("eu-1"));
        assert_eq!(target.endpoint.as_deref(), Some("http://localhost:9000"));
        assert!(!target.path_style);
        assert_eq!(target.login, Some(("id".to_owned(), Hidden("s/cret".to_owned()))));
    }

    #[test]
    fn a_store_of_somebody_else_has_its_buckets_below_paths() {
        assert!(!Target::parse("s3://bucket").unwrap().path_style);
        assert!(Target::parse("s3://bucket?endpoint=https://s3.example.com").unwrap().path_style);
        assert!(Target::parse("s3://bucket?path_style").unwrap().path_style);
        assert_eq!(Target::parse("s3://bucket/").unwrap().prefix, "");
    }

    #[test]
    fn what_makes_no_sense_is_told_without_its_secret() {
        for (text, expected) in [
            ("bucket", "is no address"),
            ("https://id:hunter2@bucket", "is no address"),
            ("s3://", "names no bucket"),
            ("s3://id:hunter2@", "names no bucket"),
            ("s3://id:hunter2@b c", "names no bucket"),
            ("s3://hunter2@bucket", "without its secret"),
            ("s3://bucket/a//b", "an empty word"),
            ("s3://bucket/../b", "an empty word"),
            ("s3://bucket?endpoint=hunter2", "does not begin with"),
            ("s3://bucket?path_style=hunter2", "neither"),
            ("s3://bucket?hunter2=1", "unknown option"),
            ("s3://id:hunter2%FF@bucket", "no UTF-8"),
        ] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
        }
        let shown = format!("{:?}", Target::parse("s3://id:hunter2@bucket").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn a_prefix_never_leaves_its_place(text in "s3://b/[a-z./%2F]{0,20}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(target.prefix.is_empty() || target.prefix.ends_with('/'));
                prop_assert!(target.prefix.split('/').all(|word| word != ".." && word != "."));
            }
        }
    }
}
