//! The address of a bus as people write it: `scheme://user:password@host:port,host:port/path?option=value`.
//!
//! Like a URL, but with several hosts, as clusters have.

use std::{collections::BTreeMap, fmt, time::Duration};

use percent_encoding::percent_decode_str;

/// Why an address is of no use. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`events.url` {0}")]
pub struct UrlError(String);

impl UrlError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    pub(crate) fn of(text: String) -> Self {
        Self(text)
    }

    /// What it is, for the driver that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// An address in its parts, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BusUrl {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Hidden>,
    /// `host:port`; at least one.
    pub(crate) hosts: Vec<String>,
    /// Without the leading slash; may be empty.
    pub(crate) path: String,
    options: BTreeMap<String, String>,
}

impl BusUrl {
    /// Reads `text`; hosts without a port get `port`.
    pub(crate) fn parse(text: &str, port: u16) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            UrlError::new("has no scheme: write `nats://host:4222` or `kafka://host:9092/topic`")
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(a, b)| (Some(a), b));
        let (user, password) = match login
            .map(|login| login.split_once(':').map_or((login, None), |(a, b)| (a, Some(b))))
        {
            None => (None, None),
            Some((user, password)) => (Some(decoded(user)?), password.map(decoded).transpose()?.map(Hidden)),
        };
        let hosts = hosts.split(',').map(|host| with_port(host, port)).collect::<Result<_, _>>()?;
        Ok(Self {
            scheme: scheme.to_owned(),
            user,
            password,
            hosts,
            path: decoded(path)?,
            options: options(query)?,
        })
    }

    /// Takes the option `name` out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.options.remove(name)
    }

    /// The option `name` as a number, a truth value or whatever `T` is; `what` says what it should be.
    pub(crate) fn take_as<T: std::str::FromStr>(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, UrlError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let wrong = |_| UrlError::new(format!("has `{name}={text}`, but `{name}` is {what}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// The option `name` as a duration such as `500ms`, `30s`, `10m`, `12h` or `30d`.
    pub(crate) fn take_duration(&mut self, name: &str) -> Result<Option<Duration>, UrlError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let wrong = || {
            UrlError::new(format!("has `{name}={text}`, but `{name}` is a duration such as `30s` or `10m`"))
        };
        duration(&text).map(Some).ok_or_else(wrong)
    }

    /// Fails when an option is left that nobody took: most likely a typing error. `known` are those there are.
    pub(crate) fn finish(self, known: &str) -> Result<(), UrlError> {
        match self.options.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(UrlError::new(format!("has the unknown option `{name}`; there are {known}"))),
        }
    }
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| UrlError::new("has percent-encoded bytes that are no UTF-8"))?.into_owned())
}

fn options(query: &str) -> Result<BTreeMap<String, String>, UrlError> {
    let mut options = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        if options.insert(decoded(name)?, decoded(value)?).is_some() {
            return Err(UrlError::new(format!("has the option `{name}` twice")));
        }
    }
    Ok(options)
}

fn with_port(host: &str, port: u16) -> Result<String, UrlError> {
    let wrong = || UrlError::new(format!("has `{host}` where a `host:port` belongs"));
    // The colons of an IPv6 address are in brackets.
    let after = host.rfind(']').map_or(0, |end| end + 1);
    let (name, number) = match host.get(after..).and_then(|tail| tail.find(':')) {
        Some(at) => host.split_at(after + at),
        None => (host, ""),
    };
    let no_name = name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control());
    match number.strip_prefix(':').map(str::parse::<u16>) {
        _ if no_name => Err(wrong()),
        None => Ok(format!("{name}:{port}")),
        Some(Ok(number)) if number > 0 => Ok(format!("{name}:{number}")),
        Some(_) => Err(wrong()),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_part_is_found_and_decoded() {
        let url =
            BusUrl::parse("kafka://alice:s%40cret@a:1,b,[::1]:3/my%20topic?tls&ca=%2Fetc%2Fca.pem", 9092);
        let mut url = url.unwrap();
        assert_eq!(url.hosts, ["a:1", "b:9092", "[::1]:3"]);
        assert_eq!((url.user.as_deref(), url.path.as_str()), (Some("alice"), "my topic"));
        assert_eq!(url.password.as_ref().map(Hidden::reveal), Some("s@cret"));
        assert_eq!(url.take_as("tls", "true or false"), Ok(Some(true)));
        assert_eq!(url.take("ca").as_deref(), Some("/etc/ca.pem"));
        assert_eq!(url.finish("none"), Ok(()));
    }

    #[test]
    fn a_password_is_never_printed() {
        let url = BusUrl::parse("nats://alice:s3cr3t@a", 1).unwrap();
        assert!(!format!("{url:?}").contains("s3cr3t"), "{url:?}");
        for wrong in ["nats://alice:s3cr3t@", "nats://alice:s3cr3t@a:99999", "nats://alice:s3cr3t%FF@a"] {
            let error = BusUrl::parse(wrong, 1).unwrap_err().to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, expected) in [
            ("localhost:4222", "has no scheme"),
            ("nats://", "where a `host:port` belongs"),
            ("nats://a:x", "where a `host:port` belongs"),
            ("nats://a:0", "where a `host:port` belongs"),
            ("nats://a,,b", "where a `host:port` belongs"),
            ("nats://a?x=1&x=2", "has the option `x` twice"),
        ] {
            let error = BusUrl::parse(text, 4222).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let mut url = BusUrl::parse("nats://a?timeout=soon&replicas=many&left=1", 4222).unwrap();
        assert!(url.take_duration("timeout").unwrap_err().to_string().contains("`timeout=soon`"));
        assert!(url.take_as::<u8>("replicas", "a number").unwrap_err().to_string().contains("is a number"));
        assert!(url.finish("`x`").unwrap_err().to_string().contains("unknown option `left`; there are `x`"));
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Some(Duration::from_hours(720)));
        for wrong in ["", "5", "s", "5w", "-1s", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_makes_it_panic(text in "(nats|kafka|)(://)?[a-z:@,/?=&%\\[\\]0-9ü ]{0,40}") {
            if let Ok(url) = BusUrl::parse(&text, 4222) {
                prop_assert!(!url.hosts.is_empty());
                prop_assert!(url.hosts.iter().all(|host| host.contains(':')));
            }
        }
    }
}
