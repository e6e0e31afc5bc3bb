//! Upstream addresses as people write them.

use std::net::IpAddr;

use url::{Host, Url};

use crate::gateway::AddressPolicy;

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
    /// HTTP/2 over TLS.
    H2,
}

impl Scheme {
    /// Whether TLS is spoken.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::H2)
    }

    /// Whether HTTP/2 is spoken.
    pub const fn is_http2(self) -> bool {
        matches!(self, Self::H2c | Self::H2)
    }

    fn read(word: &str) -> Option<Self> {
        match word {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            "h2c" => Some(Self::H2c),
            "h2" => Some(Self::H2),
            _ => None,
        }
    }
}

/// An upstream address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the `Host` header says: the port only when it is not the scheme's own.
    pub authority: String,
    /// Put before the request's path; empty, or begins with `/` and does not end with one.
    pub base_path: String,
}

impl UpstreamUrl {
    /// Reads `http://host:port/base` (or `https`, `h2c`, `h2`). Fails with a sentence that says what to write.
    pub fn parse(text: &str, policy: AddressPolicy) -> Result<Self, String> {
        const FORM: &str = "write it as `http://host:port`, `https://host`, `h2c://host:port` or `h2://host`, or as `function:name` or `bucket:name/prefix/`";
        if text.len() > 2048 {
            return Err("an upstream address has at most 2048 characters".to_owned());
        }
        let word = text.split("://").next().unwrap_or_default();
        let scheme = Scheme::read(&word.to_ascii_lowercase())
            .filter(|_| text.contains("://"))
            .ok_or_else(|| format!("`{}` is no upstream address; {FORM}", short(text)))?;
        // `Url` knows the rules of hosts only for the schemes of the web.
        let web = if scheme.is_secure() { "https" } else { "http" };
        let rest = text.get(word.len()..).unwrap_or_default();
        let url = Url::parse(&format!("{web}{rest}"))
            .map_err(|error| format!("`{}` is no upstream address: {error}; {FORM}", short(text)))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an upstream address must not hold a user name or password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("an upstream address must not hold a query or fragment".to_owned());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => allowed(address.into(), policy)?,
            Some(Host::Ipv6(address)) => allowed(address.into(), policy)?,
            None => return Err(format!("`{}` names no host; {FORM}", short(text))),
        };
        if host.eq_ignore_ascii_case("localhost") && !policy.loopback {
            return Err(crate::gateway::Denied::Loopback.to_string());
        }
        let port = url.port_or_known_default().unwrap_or(80);
        if port == 0 {
            return Err("an upstream cannot listen on port 0".to_owned());
        }
        let shown = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| shown.to_owned(), |port| format!("{shown}:{port}"));
        let base_path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, host, port, authority, base_path })
    }
}

fn allowed(address: IpAddr, policy: AddressPolicy) -> Result<String, String> {
    policy.check(address).map_err(|denied| format!("`{address}`: {denied}"))?;
    Ok(address.to_string())
}

fn short(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

    fn parse(text: &str) -> Result<UpstreamUrl, String> {
        UpstreamUrl::parse(text, OPEN)
    }

    #[test]
    fn an_address_is_taken_apart() {
        let url = parse("http://127.0.0.1:9000/api/").unwrap();
        assert_eq!((url.scheme, url.host.as_str(), url.port), (Scheme::Http, "127.0.0.1", 9000));
        assert_eq!((url.authority.as_str(), url.base_path.as_str()), ("127.0.0.1:9000", "/api"));
        let url = parse("https://shop.example.com").unwrap();
        assert_eq!((url.port, url.authority.as_str(), url.base_path.as_str()), (443, "shop.example.com", ""));
        let url = parse("h2c://[::1]:50051").unwrap();
        assert_eq!(
            (url.scheme, url.host.as_str(), url.authority.as_str()),
            (Scheme::H2c, "::1", "[::1]:50051")
        );
        assert_eq!(parse("h2://grpc.example.com").unwrap().port, 443);
    }

    #[test]
    fn what_is_no_upstream_is_refused_in_words() {
        for (text, words) in [
            ("", "write it as"),
            ("localhost:9000", "write it as"),
            ("ftp://x", "write it as"),
            ("file:///etc/passwd", "write it as"),
            ("http://", "write it as"),
            ("http://user:secret@x", "user name"),
            ("http://x/?q", "query"),
            ("http://x/#f", "fragment"),
            ("http://169.254.169.254/latest", "metadata"),
            ("http://2852039166/", "metadata"),
            ("http://0xa9fea9fe/", "metadata"),
            ("http://[::ffff:169.254.169.254]/", "metadata"),
            ("http://0.0.0.0:80", "unspecified"),
            ("http://x:0", "port 0"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn this_machine_is_refused_by_name_too_when_that_is_switched_off() {
        let closed = AddressPolicy { loopback: false, private: false };
        assert!(UpstreamUrl::parse("http://localhost:1", closed).is_err());
        assert!(UpstreamUrl::parse("http://127.0.0.1:1", closed).is_err());
        assert!(UpstreamUrl::parse("http://example.com", closed).is_ok());
    }
}
