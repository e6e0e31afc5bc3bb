//! Headers of a message.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

const FIRST_LINE: &[u8] = b"NATS/1.0";

/// Headers of a message, in the order they were added. Names keep their case and may repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    status: Option<String>,
    fields: Vec<(String, String)>,
}

/// A header that cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("header `{0}` cannot be sent: leave out line breaks, and colons or spaces in its name")]
pub struct InvalidHeader(String);

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only a status line, such as `503` or `100 Idle Heartbeat`.
    pub fn with_status(status: impl Into<String>) -> Self {
        Self { status: Some(status.into()), fields: Vec::new() }
    }

    /// Adds one value under a name.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), InvalidHeader> {
        let (name, value) = (name.into(), value.into());
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !named || value.contains(['\r', '\n']) {
            return Err(InvalidHeader(name));
        }
        self.fields.push((name, value));
        Ok(())
    }

    /// The first value under a name, whose case does not matter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The text behind the version in the first line, such as `503`.
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As they stand on the wire, with the empty line that ends them.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_slice(FIRST_LINE);
        if let Some(status) = &self.status {
            out.put_u8(b' ');
            out.put_slice(status.as_bytes());
        }
        out.put_slice(b"\r\n");
        for (name, value) in self.iter() {
            out.put_slice(name.as_bytes());
            out.put_slice(b": ");
            out.put_slice(value.as_bytes());
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"\r\n");
        out.freeze()
    }

    /// Reads what a client has sent. `None` when it does not begin as headers do; lines that are none are skipped.
    pub fn decode(raw: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("NATS/1.0")?.trim();
        let status = (!status.is_empty()).then(|| status.to_owned());
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Some(Self { status, fields: lines.filter_map(field).collect() })
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let mut headers = Headers::with_status("100 Idle Heartbeat");
        headers.add("Nats-Msg-Id", "42: a").unwrap();
        headers.add("nats-msg-id", "again").unwrap();
        let wire = headers.encode();
        assert_eq!(
            &wire[..],
            b"NATS/1.0 100 Idle Heartbeat\r\nNats-Msg-Id: 42: a\r\nnats-msg-id: again\r\n\r\n"
        );
        assert_eq!(Headers::decode(&wire), Some(headers.clone()));
        assert_eq!((headers.get("NATS-MSG-ID"), headers.get("other")), (Some("42: a"), None));
    }

    #[test]
    fn a_header_cannot_smuggle_a_line() {
        let mut headers = Headers::new();
        assert_eq!(headers.add("a", "b\r\nc: d").unwrap_err(), InvalidHeader("a".to_owned()));
        assert!(
            headers.add("a b", "c").is_err()
                && headers.add("a:", "c").is_err()
                && headers.add("", "c").is_err()
        );
        assert_eq!(headers, Headers::new());
    }

    #[test]
    fn what_are_no_headers_is_nothing() {
        assert_eq!(Headers::decode(b"hello"), None);
    }
}
