//! What the operator decides about the gateway.

use std::{net::IpAddr, time::Duration};

use crate::gateway::{AddressPolicy, Forwarded};

/// What the operator decides about the gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The environment whose routes and flags decide.
    pub environment: String,
    /// Host names that belong to the gateway as a whole, lower case, without port.
    pub hosts: Vec<String>,
    /// Path prefixes that belong to the gateway, beside `/gateway/`.
    pub paths: Vec<String>,
    /// The longest an upstream may take to accept a connection.
    pub connect_timeout: Duration,
    /// The longest an upstream may take to begin its answer.
    pub request_timeout: Duration,
    /// How long an unused upstream connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections are kept per upstream.
    pub max_idle_per_host: usize,
    /// How often an idempotent request is tried again.
    pub retries: u32,
    /// Whether routes may lead to this machine itself.
    pub allow_loopback_upstreams: bool,
    /// Whether routes may lead to private networks.
    pub allow_private_upstreams: bool,
    /// Proxies in front of this server whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<TrustedProxy>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            environment: "default".to_owned(),
            hosts: Vec::new(),
            paths: Vec::new(),
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(90),
            max_idle_per_host: 1024,
            retries: 1,
            allow_loopback_upstreams: true,
            allow_private_upstreams: true,
            trusted_proxies: Vec::new(),
        }
    }
}

impl GatewayConfig {
    /// Where upstreams may be.
    pub fn addresses(&self) -> AddressPolicy {
        AddressPolicy { loopback: self.allow_loopback_upstreams, private: self.allow_private_upstreams }
    }

    /// Where a request with `headers` that `peer` sent came from.
    pub fn forwarded(&self, peer: IpAddr, headers: &http::HeaderMap) -> Forwarded {
        Forwarded::of(&self.trusted_proxies, peer, headers)
    }

    /// Whether `peer` is one of the trusted proxies.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        super::forwarded::trusts(&self.trusted_proxies, peer)
    }
}

/// An address or a network (`10.0.0.0/8`) that a trusted proxy may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy {
    network: IpAddr,
    bits: u8,
}

impl TrustedProxy {
    /// Whether `address` lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.bits));
                let of = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.bits));
                let of = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for TrustedProxy {
    type Err = String;

    /// Reads `10.1.2.3`, `10.0.0.0/8`, `::1` or `fd00::/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is neither an address nor a network such as `10.0.0.0/8`");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let network: IpAddr = address.trim().parse().map_err(|_| fault())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.trim().parse().ok().filter(|bits| *bits <= most).ok_or_else(fault)?,
            None => most,
        };
        Ok(Self { network, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_network_contains_its_addresses_and_no_others() {
        let network: TrustedProxy = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.200.3.4".parse().unwrap()));
        assert!(!network.contains("11.0.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let everything: TrustedProxy = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains("203.0.113.9".parse().unwrap()));
        let one: TrustedProxy = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused_in_words() {
        for text in ["", "10.0.0.0/33", "example.com", "10.0.0.0/-1", "::/129"] {
            let error = text.parse::<TrustedProxy>().unwrap_err();
            assert!(error.contains("10.0.0.0/8"), "{text}: {error}");
        }
    }

    #[test]
    fn an_ipv4_proxy_is_recognised_when_it_arrives_on_an_ipv6_socket() {
        let config = GatewayConfig {
            trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
            ..GatewayConfig::default()
        };
        assert!(config.trusts("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!GatewayConfig::default().trusts("192.0.2.7".parse().unwrap()));
    }
}
