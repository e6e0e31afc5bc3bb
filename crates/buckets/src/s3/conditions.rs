//! Conditions of requests on the object they are about.

use flagbase_core::buckets::{Condition, Object};
use http::{HeaderMap, HeaderValue, header};
use s3s::{
    S3Error, S3Result,
    dto::{ETag, ETagCondition, Timestamp},
    s3_error,
};

use super::times;

/// What must be true of an object that is read or copied.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) differs: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Holds,
    /// The client has it already.
    NotModified,
    /// The object is not what the client thinks.
    Failed,
}

impl Conditions {
    /// In the order of RFC 9110: an `ETag` counts more than a time.
    pub(super) fn judge(&self, object: &Object) -> Verdict {
        let modified = times::seconds(object.modified);
        match (&self.matches, &self.unmodified_since) {
            (Some(wanted), _) if !meant(wanted, object) => return Verdict::Failed,
            (None, Some(since)) if modified > *since => return Verdict::Failed,
            _ => {}
        }
        match (&self.differs, &self.modified_since) {
            (Some(known), _) if meant(known, object) => Verdict::NotModified,
            (None, Some(since)) if modified <= *since => Verdict::NotModified,
            _ => Verdict::Holds,
        }
    }

    /// Whether a read goes on, or its answer.
    pub(super) fn admit(&self, object: &Object) -> S3Result<()> {
        match self.judge(object) {
            Verdict::Holds => Ok(()),
            Verdict::NotModified => Err(not_modified(object)),
            Verdict::Failed => Err(s3_error!(PreconditionFailed, "the object is not what was expected")),
        }
    }
}

fn meant(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    }
}

fn not_modified(object: &Object) -> S3Error {
    let mut error = s3_error!(NotModified, "the object is what the client has");
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", object.etag)) {
        headers.insert(header::ETAG, etag);
    }
    let modified = times::written(&times::seconds(object.modified));
    if let Some(modified) = modified.and_then(|modified| HeaderValue::try_from(modified).ok()) {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    if let Some(cached) = object.head.cache_control.as_ref().and_then(|it| HeaderValue::try_from(it).ok()) {
        headers.insert(header::CACHE_CONTROL, cached);
    }
    error.set_headers(headers);
    error
}

/// What must be there when an object is written.
pub(super) fn of_write(
    matches: Option<ETagCondition>,
    differs: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (matches, differs) {
        (None, None) => Ok(Condition::Any),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(vec![etag.into_value()])),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (None, Some(ETagCondition::ETag(_))) => {
            Err(s3_error!(NotImplemented, "writes know `If-None-Match: *`, and no ETag there"))
        }
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "say If-Match or If-None-Match, not both")),
    }
}

/// The `ETag` of an object.
pub(super) fn etag(text: &str) -> ETag {
    ETag::Strong(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        Object {
            etag: "abc".into(),
            modified: "2026-11-22T10:00:00.5Z".parse().unwrap(),
            ..Object::default()
        }
    }

    fn tag(text: &str) -> ETagCondition {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Timestamp {
        times::told(text.parse().unwrap())
    }

    #[test]
    fn reads_go_on_or_not_as_http_says() {
        let (earlier, same, later) = (
            Some(time("2026-11-22T09:00:00Z")),
            Some(time("2026-11-22T10:00:00Z")),
            Some(time("2026-11-22T11:00:00Z")),
        );
        let none = Conditions::default;
        for (conditions, verdict) in [
            (none(), Verdict::Holds),
            (Conditions { matches: Some(tag("\"abc\"")), ..none() }, Verdict::Holds),
            (Conditions { matches: Some(tag("*")), ..none() }, Verdict::Holds),
            (Conditions { matches: Some(tag("\"x\"")), ..none() }, Verdict::Failed),
            (Conditions { differs: Some(tag("\"abc\"")), ..none() }, Verdict::NotModified),
            (Conditions { differs: Some(tag("\"x\"")), ..none() }, Verdict::Holds),
            (Conditions { modified_since: earlier.clone(), ..none() }, Verdict::Holds),
            (Conditions { modified_since: same.clone(), ..none() }, Verdict::NotModified),
            (Conditions { unmodified_since: same, ..none() }, Verdict::Holds),
            (Conditions { unmodified_since: earlier.clone(), ..none() }, Verdict::Failed),
            (
                Conditions { matches: Some(tag("\"abc\"")), unmodified_since: earlier, ..none() },
                Verdict::Holds,
            ),
            (Conditions { differs: Some(tag("\"x\"")), modified_since: later, ..none() }, Verdict::Holds),
        ] {
            assert_eq!(conditions.judge(&object()), verdict, "{conditions:?}");
        }
    }

    #[test]
    fn what_the_client_has_is_told_with_its_etag() {
        let conditions = Conditions { differs: Some(tag("\"abc\"")), ..Conditions::default() };
        let error = conditions.admit(&object()).unwrap_err();
        assert_eq!(error.status_code().map(|status| status.as_u16()), Some(304));
        assert_eq!(error.headers().unwrap()["etag"], "\"abc\"");
    }

    #[test]
    fn writes_know_what_s3_lets_them_say() {
        assert_eq!(of_write(None, None).unwrap(), Condition::Any);
        assert_eq!(of_write(None, Some(tag("*"))).unwrap(), Condition::Absent);
        assert_eq!(of_write(Some(tag("*")), None).unwrap(), Condition::Present);
        assert_eq!(of_write(Some(tag("\"a\"")), None).unwrap(), Condition::Etag(vec!["a".into()]));
        assert!(of_write(None, Some(tag("\"a\""))).is_err());
        assert!(of_write(Some(tag("*")), Some(tag("*"))).is_err());
    }
}
