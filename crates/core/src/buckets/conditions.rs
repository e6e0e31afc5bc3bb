//! Conditions and ranges of requests that read (RFC 9110): what of an object is sent, if anything.

use std::sync::Arc;

use http::{HeaderMap, header};
use jiff::{Timestamp, fmt::rfc2822};

use super::{Object, Pick};

/// What a request asks of an object's state, and which bytes it wants.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
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

/// What is answered: a form of an object, such as its bytes as they are, or compressed.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// Without quotes.
    pub etag: &'a str,
    /// Whether the tag is weak: good for saying that nothing has changed, not for putting parts together.
    pub weak: bool,
    /// When it was written.
    pub modified: Timestamp,
    /// In bytes.
    pub size: u64,
}

impl<'a> From<&'a Object> for Form<'a> {
    fn from(object: &'a Object) -> Self {
        Self { etag: &object.etag, weak: false, modified: object.modified, size: object.size }
    }
}

impl<'a> From<&'a Arc<Object>> for Form<'a> {
    fn from(object: &'a Arc<Object>) -> Self {
        Self::from(&**object)
    }
}

/// How it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
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

impl Judgement {
    /// Which bytes are read for it.
    pub fn pick(self) -> Pick {
        match self {
            Self::Whole => Pick::Whole,
            Self::Range(from, to) => Pick::Range(from, to),
            Self::NotModified | Self::Failed | Self::Unsatisfiable => Pick::Nothing,
        }
    }
}

impl Conditions {
    /// What the headers of a request ask.
    pub fn of(headers: &HeaderMap) -> Self {
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

    /// The same for a request that gets all or nothing.
    #[must_use]
    pub fn without_range(self) -> Self {
        Self { range: None, ..self }
    }

    /// What they come to for `object`, in the order of RFC 9110, section 13.2.2.
    pub fn judge<'a>(&self, form: impl Into<Form<'a>>) -> Judgement {
        let form = form.into();
        let modified = form.modified.as_second();
        let matches = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => tags.trim() == "*" || !form.weak && names(tags, form.etag, false),
            (None, Some(since)) => modified <= since.as_second(),
            (None, None) => true,
        };
        if !matches {
            return Judgement::Failed;
        }
        let same = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => names(tags, form.etag, true),
            (None, Some(since)) => modified <= since.as_second(),
            (None, None) => false,
        };
        if same {
            return Judgement::NotModified;
        }
        match self.range.filter(|_| self.range_counts(form)) {
            Some(wanted) => wanted.of(form.size),
            None => Judgement::Whole,
        }
    }

    /// Whether only a part is asked for.
    pub fn wants_range(&self) -> bool {
        self.range.is_some()
    }

    /// `If-Range`: a range of something that has changed since would be a mixture.
    fn range_counts(&self, form: Form<'_>) -> bool {
        match self.if_range.as_deref() {
            None => true,
            Some(tag) if tag.starts_with('"') => !form.weak && names(tag, form.etag, false),
            Some(text) => date(text).is_some_and(|since| since.as_second() == form.modified.as_second()),
        }
    }
}

impl Wanted {
    fn of(self, size: u64) -> Judgement {
        let (from, to) = match self {
            Self::Between(from, last) => (from, last.map_or(size, |last| last.saturating_add(1).min(size))),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        if from < to { Judgement::Range(from, to) } else { Judgement::Unsatisfiable }
    }
}

/// Whether a list of tags names this one. Weak ones count where they may.
fn names(tags: &str, etag: &str, weak: bool) -> bool {
    tags.trim() == "*" || etags(tags, weak).any(|tag| tag == etag)
}

/// The tags of a list, without quotes.
pub fn etags(tags: &str, weak: bool) -> impl Iterator<Item = &str> {
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
fn date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text.trim()).ok().map(|time| time.timestamp())
}

/// A date as HTTP writes it.
pub fn http_date(time: Timestamp) -> Option<String> {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn object() -> Object {
        let modified = "2026-01-02T03:04:05.5Z".parse().unwrap();
        Object { size: 10, etag: "abc-1".into(), modified, ..Object::default() }
    }

    fn judged(headers: &[(&str, &str)]) -> Judgement {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        });
        Conditions::of(&headers.collect()).judge(&object())
    }

    #[test]
    fn one_range_is_cut_to_the_object_and_anything_odd_is_answered_with_all_of_it() {
        for (range, verdict) in [
            ("bytes=0-3", Judgement::Range(0, 4)),
            ("bytes=4-", Judgement::Range(4, 10)),
            ("bytes=9-9", Judgement::Range(9, 10)),
            ("bytes=0-99999999999999999999", Judgement::Whole),
            ("bytes=0-18446744073709551615", Judgement::Range(0, 10)),
            ("bytes=-3", Judgement::Range(7, 10)),
            ("bytes=-99", Judgement::Range(0, 10)),
            ("bytes=10-", Judgement::Unsatisfiable),
            ("bytes=-0", Judgement::Unsatisfiable),
            ("bytes=5-4", Judgement::Whole),
            ("bytes=0-1,3-4", Judgement::Whole),
            ("bytes=", Judgement::Whole),
            ("bytes=-", Judgement::Whole),
            ("lines=0-1", Judgement::Whole),
            ("bytes=a-b", Judgement::Whole),
        ] {
            assert_eq!(judged(&[("range", range)]), verdict, "{range}");
        }
    }

    #[test]
    fn etags_and_dates_decide_whether_anything_is_sent() {
        let (then, before) = ("Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:04 GMT");
        for (headers, verdict) in [
            (&[("if-match", "\"x\", \"abc-1\"")][..], Judgement::Whole),
            (&[("if-match", "*")], Judgement::Whole),
            (&[("if-match", "\"x\"")], Judgement::Failed),
            (&[("if-match", "W/\"abc-1\"")], Judgement::Failed),
            (&[("if-none-match", "W/\"abc-1\"")], Judgement::NotModified),
            (&[("if-none-match", "*")], Judgement::NotModified),
            (&[("if-none-match", "\"x\""), ("if-modified-since", then)], Judgement::Whole),
            (&[("if-modified-since", then)], Judgement::NotModified),
            (&[("if-modified-since", before)], Judgement::Whole),
            (&[("if-modified-since", "yesterday")], Judgement::Whole),
            (&[("if-unmodified-since", then)], Judgement::Whole),
            (&[("if-unmodified-since", before)], Judgement::Failed),
            (&[("if-match", "\"x\""), ("range", "bytes=0-1")], Judgement::Failed),
            (&[("if-range", "\"abc-1\""), ("range", "bytes=0-1")], Judgement::Range(0, 2)),
            (&[("if-range", "\"old\""), ("range", "bytes=0-1")], Judgement::Whole),
            (&[("if-range", then), ("range", "bytes=0-1")], Judgement::Range(0, 2)),
            (&[("if-range", before), ("range", "bytes=0-1")], Judgement::Whole),
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
