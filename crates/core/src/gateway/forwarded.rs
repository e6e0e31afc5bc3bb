//! Where a request came from, and how, when proxies stand before this server.

use std::net::IpAddr;

use http::HeaderMap;

use super::TrustedProxy;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// What the connection says, or what trusted proxies say of the connections before it (`X-Forwarded-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address.
    pub address: IpAddr,
    /// Whether it came over TLS all the way. No listener of this server ends TLS, so only a trusted proxy can say so.
    pub secure: bool,
}

impl Forwarded {
    /// Of a request with `headers` that `peer` sent, where `proxies` are believed.
    pub fn of(proxies: &[TrustedProxy], peer: IpAddr, headers: &HeaderMap) -> Self {
        if !trusts(proxies, peer) {
            return Self { address: peer, secure: false };
        }
        let mut address = peer;
        for claim in claims(headers, FORWARDED_FOR).rev() {
            if !trusts(proxies, address) {
                break;
            }
            match claim.parse() {
                Ok(before) => address = before,
                Err(_) => break,
            }
        }
        let mut schemes = claims(headers, FORWARDED_PROTO).peekable();
        let secure = schemes.peek().is_some() && schemes.all(|scheme| scheme.eq_ignore_ascii_case("https"));
        Self { address, secure }
    }
}

/// Whether `address` is one of the proxies that are believed.
pub(super) fn trusts(proxies: &[TrustedProxy], address: IpAddr) -> bool {
    !proxies.is_empty() && proxies.iter().any(|proxy| proxy.contains(address.to_canonical()))
}

/// What a header lists, the nearest proxy's claim last.
fn claims<'a>(headers: &'a HeaderMap, name: &'static str) -> impl DoubleEndedIterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, pairs: &[(&'static str, &str)]) -> (String, bool) {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let headers: Vec<(http::HeaderName, _)> =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            sent.append(name, value);
        }
        let Forwarded { address, secure } = Forwarded::of(&proxies, peer.parse().unwrap(), &sent);
        (address.to_string(), secure)
    }

    #[test]
    fn the_client_is_the_last_address_that_a_trusted_proxy_names_and_that_is_none_itself() {
        let forwarded = |value| [(FORWARDED_FOR, value)];
        for (peer, value, found) in [
            ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
            ("10.0.0.1", "junk", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.9, junk", "10.0.0.1"),
            ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ] {
            assert_eq!(of(peer, &forwarded(value)).0, found, "{peer} {value}");
        }
        let twice = [(FORWARDED_FOR, "198.51.100.1"), (FORWARDED_FOR, "203.0.113.9")];
        assert_eq!(of("10.0.0.1", &twice).0, "203.0.113.9");
        assert_eq!(of("10.0.0.1", &[]).0, "10.0.0.1");
    }

    #[test]
    fn a_request_came_over_tls_when_trusted_proxies_say_so_of_every_connection() {
        for (peer, scheme, secure) in [
            ("10.0.0.1", "https", true),
            ("10.0.0.1", "HTTPS, https", true),
            ("10.0.0.1", "http", false),
            ("10.0.0.1", "https, http", false),
            ("10.0.0.1", "", false),
            ("192.0.2.1", "https", false),
        ] {
            assert_eq!(of(peer, &[(FORWARDED_PROTO, scheme)]).1, secure, "{peer} {scheme}");
        }
        assert!(!of("10.0.0.1", &[]).1);
    }
}
