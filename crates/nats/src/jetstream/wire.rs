//! What leaves for clients.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    Headers,
    protocol::{Publish, Sizes},
    shared::Shared,
    subject,
};

/// One message on its way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Out {
    /// What it is routed by.
    pub(super) to: String,
    /// What it is shown under; `to` when not given.
    pub(super) subject: Option<String>,
    pub(super) reply: Option<String>,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
}

impl Out {
    /// A message without headers.
    pub(super) fn new(to: &str, payload: impl Into<Bytes>) -> Self {
        Self { to: to.to_owned(), payload: payload.into(), ..Self::default() }
    }

    /// A message that is only a status, with fields behind it.
    pub(super) fn status(to: &str, status: &str, fields: &[(&str, String)]) -> Self {
        let headers = with_fields(&Headers::with_status(status), fields);
        Self { to: to.to_owned(), headers, ..Self::default() }
    }

    pub(super) fn send(&self, shared: &Shared, turn: usize) -> bool {
        let to = self.to.as_bytes();
        if !subject::is_literal(to)
            || shared.options.reserved.iter().any(|own| subject::covers(own.as_bytes(), to))
        {
            return false;
        }
        let joined: Bytes;
        let whole = if self.headers.is_empty() {
            &self.payload
        } else if self.payload.is_empty() {
            &self.headers
        } else {
            joined = [&self.headers[..], &self.payload[..]].concat().into();
            &joined
        };
        let (header, total) = (self.headers.len().to_string(), whole.len().to_string());
        let some = !self.headers.is_empty();
        let message = Publish {
            subject: self.subject.as_ref().unwrap_or(&self.to).as_bytes(),
            reply: self.reply.as_ref().map(String::as_bytes),
            header: some.then_some(self.headers.len()),
            payload: whole,
            sizes: Sizes { header: some.then_some(header.as_bytes()), total: total.as_bytes() },
            tail: None,
        };
        shared.forward(self.to.as_bytes(), &message, turn)
    }
}

/// Headers as they stand on the wire, with more of them. What cannot be a header is left out.
pub(super) fn with_fields(headers: &Headers, fields: &[(&str, String)]) -> Bytes {
    let mut headers = headers.clone();
    for (name, value) in fields {
        if let Err(error) = headers.add(*name, value.as_str()) {
            tracing::debug!(%error, "a header is left out");
        }
    }
    headers.encode()
}

/// A time as clients read it.
pub(super) fn time(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    Timestamp::from_nanosecond(nanoseconds.into()).map(|time| time.to_string()).unwrap_or_default()
}

/// A time as clients write it.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// How long a text such as `1m30s`, `500ms` or `5` (seconds) says, in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000);
    }
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(end)?;
        let unit = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let each: i64 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(each)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("1m30s"), Some(90_000_000_000));
        assert_eq!((duration("5"), duration("250ms")), (Some(5_000_000_000), Some(250_000_000)));
        assert_eq!([duration(""), duration("never"), duration("5x"), duration("s")], [None; 4]);
    }

    #[test]
    fn a_time_is_read_back() {
        let written = time(1_700_000_000_123_456_789);
        assert_eq!(written, "2023-11-14T22:13:20.123456789Z");
        assert_eq!(nanoseconds(&written), Some(1_700_000_000_123_456_789));
        assert_eq!((time(0).as_str(), nanoseconds("soon")), ("0001-01-01T00:00:00Z", None));
    }
}
