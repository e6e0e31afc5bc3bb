//! Conditions and ranges of requests that read (RFC 9110): what of an object is sent, if anything.

use axum::http::{HeaderMap, header};
use flagbase_core::buckets::{Object, Pick};
use jiff::{Timestamp, fmt::rfc2822};

/// What a request asks of an object's state, and which bytes it wants.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
    if_range: Option<String>,
    range: Option<Wanted>,
}

/// One range, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// From a byte up to and with another.
    Between(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 200.
    Whole,
    /// 206: from this byte up to before that one.
    Range(u64, u64),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

impl Verdict {
    /// Which bytes are read for it.
    pub(super) fn pick(self) -> Pick {
        match self {
            Self::Whole => Pick::Whole,
            Self::Range(from, to) => Pick::Range(from, to),
            Self::NotModified | Self::Failed | Self::Unsatisfiable => Pick::Nothing,
        }
    }
}

impl Conditions {
    /// What the headers of a request ask.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let date = |name| text(name).and_then(date);
        Self {
            if_match: text(header::IF_MATCH).map(str::to_owned),
            if_none_match: text(header::IF_NONE_MATCH).map(str::to_owned),
            if_modified_since: date(header::IF_MODIFIED_SINCE),
            if_unmodified_since: date(header::IF_UNMODIFIED_SINCE),
            if_range: text(header::IF_RANGE).map(str::to_owned),
            range: text(header::RANGE).and_then(range),
        }
    }

    /// What they come to for `object`, in the order of RFC 9110, section 13.2.2.
    pub(super) fn judge(&self, object: &Object) -> Verdict {
        let modified = object.modified.as_second();
        let matches = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => names(tags, &object.etag, false),
            (None, Some(since)) => modified <= since.as_second(),
            (None, None) => true,
        };
        if !matches {
            return Verdict::Failed;
        }
        let same = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => names(tags, &object.etag, true),
            (None, Some(since)) => modified <= since.as_second(),
            (None, None) => false,
        };
        if same {
            return Verdict::NotModified;
        }
        match self.range.filter(|_| self.range_counts(object)) {
            Some(wanted) => wanted.of(object.size),
            None => Verdict::Whole,
        }
    }

    /// `If-Range`: a range of something that has changed since would be a mixture.
    fn range_counts(&self, object: &Object) -> bool {
        match self.if_range.as_deref() {
            None => true,
            Some(tag) if tag.starts_with('"') => names(tag, &object.etag, false),
            Some(text) => date(text).is_some_and(|since| since.as_second() == object.modified.as_second()),
        }
    }
}

impl Wanted {
    fn of(self, size: u64) -> Verdict {
        let (from, to) = match self {
            Self::Between(from, last) => (from, last.map_or(size, |last| last.saturating_add(1).min(size))),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        if from < to { Verdict::Range(from, to) } else { Verdict::Unsatisfiable }
    }
}

/// Whether a list of tags names this one. Weak ones count where they may.
fn names(tags: &str, etag: &str, weak: bool) -> bool {
    tags.trim() == "*" || etags(tags, weak).any(|tag| tag == etag)
}

/// The tags of a list, without quotes.
pub(super) fn etags(tags: &str, weak: bool) -> impl Iterator<Item = &str> {
    tags.split(',').filter_map(move |tag| {
        let tag = tag.trim();
        let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag.strip_prefix('"')?.strip_suffix('"')
    })
}

/// `bytes=…`, when it is one range: several are answered with the whole, which is always right.
fn range(text: &str) -> Option<Wanted> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
    if first.is_empty() {
        return last.parse().ok().map(Wanted::Last);
    }
    let from = first.parse().ok()?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    last.is_none_or(|last| from <= last).then_some(Wanted::Between(from, last))
}

/// A date as HTTP writes it.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text.trim()).ok().map(|time| time.timestamp())
}

/// A date as HTTP writes it.
pub(super) fn http_date(time: Timestamp) -> Option<String> {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn object() -> Object {
        let modified = "2026-01-02T03:04:05.5Z".parse().unwrap();
        Object { size: 10, etag: "abc-1".into(), modified, ..Object::default() }
    }

    fn judged(headers: &[(&str, &str)]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        });
        Conditions::of(&headers.collect()).judge(&object())
    }

    #[test]
    fn one_range_is_cut_to_the_object_and_anything_odd_is_answered_with_all_of_it() {
        for (range, verdict) in [
            ("bytes=0-3", Verdict::Range(0, 4)),
            ("bytes=4-", Verdict::Range(4, 10)),
            ("bytes=9-9", Verdict::Range(9, 10)),
            ("bytes=0-99999999999999999999", Verdict::Whole),
            ("bytes=0-18446744073709551615", Verdict::Range(0, 10)),
            ("bytes=-3", Verdict::Range(7, 10)),
            ("bytes=-99", Verdict::Range(0, 10)),
            ("bytes=10-", Verdict::Unsatisfiable),
            ("bytes=-0", Verdict::Unsatisfiable),
            ("bytes=5-4", Verdict::Whole),
            ("bytes=0-1,3-4", Verdict::Whole),
            ("bytes=", Verdict::Whole),
            ("bytes=-", Verdict::Whole),
            ("lines=0-1", Verdict::Whole),
            ("bytes=a-b", Verdict::Whole),
        ] {
            assert_eq!(judged(&[("range", range)]), verdict, "{range}");
        }
    }

    #[test]
    fn etags_and_dates_decide_whether_anything_is_sent() {
        let (then, before) = ("Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:04 GMT");
        for (headers, verdict) in [
            (&[("if-match", "\"x\", \"abc-1\"")][..], Verdict::Whole),
            (&[("if-match", "*")], Verdict::Whole),
            (&[("if-match", "\"x\"")], Verdict::Failed),
            (&[("if-match", "W/\"abc-1\"")], Verdict::Failed),
            (&[("if-none-match", "W/\"abc-1\"")], Verdict::NotModified),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"x\""), ("if-modified-since", then)], Verdict::Whole),
            (&[("if-modified-since", then)], Verdict::NotModified),
            (&[("if-modified-since", before)], Verdict::Whole),
            (&[("if-modified-since", "yesterday")], Verdict::Whole),
            (&[("if-unmodified-since", then)], Verdict::Whole),
            (&[("if-unmodified-since", before)], Verdict::Failed),
            (&[("if-match", "\"x\""), ("range", "bytes=0-1")], Verdict::Failed),
            (&[("if-range", "\"abc-1\""), ("range", "bytes=0-1")], Verdict::Range(0, 2)),
            (&[("if-range", "\"old\""), ("range", "bytes=0-1")], Verdict::Whole),
            (&[("if-range", then), ("range", "bytes=0-1")], Verdict::Range(0, 2)),
            (&[("if-range", before), ("range", "bytes=0-1")], Verdict::Whole),
        ] {
            assert_eq!(judged(headers), verdict, "{headers:?}");
        }
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        let text = http_date(object().modified).unwrap();
        assert_eq!(text, "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(date(&text).unwrap().as_second(), object().modified.as_second());
    }
}
