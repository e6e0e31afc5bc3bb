//! What grants mean: whether a store, a bucket, a subject or an address is among them.

use std::str::FromStr;

use url::{Host, Url};

use super::Grants;
use crate::events::Pattern;

impl Grants {
    /// Whether the key-value store of this name may be used.
    pub fn allows_store(&self, name: &str) -> bool {
        named(&self.keyvalue, name)
    }

    /// Whether the bucket of this name may be used.
    pub fn allows_bucket(&self, name: &str) -> bool {
        named(&self.buckets, name)
    }

    /// Whether messages may be published on `subject`.
    pub fn allows_subject(&self, subject: &str) -> bool {
        let patterns = self.publish.iter().filter_map(|granted| Pattern::from_str(granted).ok());
        patterns.into_iter().any(|pattern| pattern.matches(subject))
    }

    /// Whether requests may be sent to `url`. This is only the first question: every address that its name resolves
    /// to is asked about, too ([`crate::gateway::AddressPolicy`]).
    pub fn allows_url(&self, url: &Url) -> bool {
        self.outbound.iter().filter_map(|rule| OutboundRule::parse(rule).ok()).any(|rule| rule.allows(url))
    }
}

fn named(granted: &[String], name: &str) -> bool {
    granted.iter().any(|granted| granted == "*" || granted == name)
}

/// Where requests may go: `https://api.example.com`, `https://*.example.com`, `http://10.0.0.7:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRule {
    scheme: String,
    host: HostRule,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostRule {
    This(Host<String>),
    /// Every name that ends so, beginning with the dot.
    Below(String),
}

const FORM: &str = "write scheme and host, such as `https://api.example.com` or `https://*.example.com`";

impl OutboundRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = |what: &str| format!("`{text}` {what}; {FORM}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| fault("has no scheme"))?;
        let wild = rest.strip_prefix("*.");
        let plain = format!("{scheme}://{}", wild.unwrap_or(rest));
        let url = Url::parse(&plain).map_err(|_| fault("is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault("is neither `http` nor `https`"));
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() || plain.contains('*') {
            return Err(fault("says more than scheme, host and port"));
        }
        let host = url.host().ok_or_else(|| fault("has no host"))?.to_owned();
        let host = match (wild, host) {
            (None, host) => HostRule::This(host),
            (Some(_), Host::Domain(domain)) if domain.contains('.') => HostRule::Below(format!(".{domain}")),
            (Some(_), _) => return Err(fault("stands for too much: `*.` goes before a domain of yours")),
        };
        let port = url.port_or_known_default().ok_or_else(|| fault("has no port"))?;
        Ok(Self { scheme: url.scheme().to_owned(), host, port })
    }

    /// Whether a request to `url` is meant.
    pub fn allows(&self, url: &Url) -> bool {
        let host = match (&self.host, url.host()) {
            (HostRule::This(granted), Some(asked)) => *granted == asked.to_owned(),
            (HostRule::Below(end), Some(Host::Domain(asked))) => {
                asked.len() > end.len() && asked.ends_with(end.as_str())
            }
            _ => false,
        };
        host && url.scheme() == self.scheme && url.port_or_known_default() == Some(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, url: &str) -> bool {
        OutboundRule::parse(rule).unwrap().allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_rule_means_its_scheme_its_host_and_its_port_and_nothing_else() {
        assert!(allows("https://api.example.com", "https://API.example.com/v1?x=1"));
        assert!(allows("https://api.example.com", "https://api.example.com:443/"));
        assert!(allows("http://10.0.0.7:8080", "http://10.0.0.7:8080/x"));
        assert!(allows("http://[::1]:8080", "http://[::1]:8080/x"));
        for other in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://example.com/",
            "https://api.example.com.evil.test/",
            "https://evil.test/?https://api.example.com",
            "https://api.example.com@evil.test/",
        ] {
            assert!(!allows("https://api.example.com", other), "{other}");
        }
    }

    #[test]
    fn a_star_means_names_below_and_not_the_name_itself() {
        assert!(allows("https://*.example.com", "https://a.b.example.com/"));
        for other in ["https://example.com/", "https://evilexample.com/", "https://.example.com/"] {
            if let Ok(url) = Url::parse(other) {
                assert!(!OutboundRule::parse("https://*.example.com").unwrap().allows(&url), "{other}");
            }
        }
    }

    #[test]
    fn the_same_address_in_another_spelling_is_the_same_address() {
        assert!(allows("http://127.0.0.1:80", "http://2130706433/"));
        assert!(!allows("http://10.0.0.1", "http://2130706433/"));
    }

    #[test]
    fn what_is_no_rule_is_told_how_one_is_written() {
        for text in [
            "",
            "api.example.com",
            "ftp://a.example",
            "https://",
            "https://*",
            "https://*.com",
            "https://a.*.com",
            "https://u:p@a.example",
            "https://a.example/path",
            "https://a.example?x",
            "*://a.example",
            "https://*.10.0.0.1",
        ] {
            let error = OutboundRule::parse(text).unwrap_err();
            assert!(error.contains("https://api.example.com"), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_granted_one_by_one_or_all_and_subjects_by_pattern() {
        let grants = Grants {
            keyvalue: vec!["default".into()],
            buckets: vec!["*".into()],
            publish: vec!["orders.>".into(), "mail.*".into()],
            ..Grants::default()
        };
        assert!(grants.allows_store("default") && !grants.allows_store("other"));
        assert!(grants.allows_bucket("anything"));
        assert!(grants.allows_subject("orders.created") && grants.allows_subject("mail.sent"));
        assert!(!grants.allows_subject("orders") && !grants.allows_subject("mail.a.b"));
        let none = Grants::default();
        assert!(!none.allows_store("default") && !none.allows_bucket("b") && !none.allows_subject("a"));
        assert!(!none.allows_url(&Url::parse("https://example.com").unwrap()));
    }
}
