//! Where upstreams may be: checked when a route is written, and again for every address a name resolves to, because
//! what a name resolves to can change after the check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The metadata service of a large cloud on IPv6, which lies in an otherwise ordinary private network.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Where upstreams may be, beside the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPolicy {
    /// This machine itself.
    pub loopback: bool,
    /// Private networks.
    pub private: bool,
}

/// Why an address may not be an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Link-local addresses, where clouds answer with credentials.
    #[error("link-local and metadata addresses are never allowed as upstreams")]
    LinkLocal,
    /// `0.0.0.0`, `::` and their like.
    #[error("an unspecified or broadcast address is no upstream")]
    Unspecified,
    /// Multicast groups.
    #[error("a multicast address is no upstream")]
    Multicast,
    /// This machine, while that is switched off.
    #[error(
        "loopback addresses are not allowed as upstreams; set `gateway.allow_loopback_upstreams` to allow them"
    )]
    Loopback,
    /// A private network, while that is switched off.
    #[error(
        "private addresses are not allowed as upstreams; set `gateway.allow_private_upstreams` to allow them"
    )]
    Private,
}

impl AddressPolicy {
    /// Fails when `address` may not be an upstream.
    pub fn check(self, address: IpAddr) -> Result<(), Denied> {
        match embedded(address) {
            IpAddr::V4(address) => self.check_v4(address),
            IpAddr::V6(address) => self.check_v6(address),
        }
    }

    fn check_v4(self, address: Ipv4Addr) -> Result<(), Denied> {
        let [first, second, ..] = address.octets();
        let carrier_grade = first == 100 && (64..128).contains(&second);
        match () {
            () if address.is_link_local() => Err(Denied::LinkLocal),
            () if first == 0 || address.is_broadcast() => Err(Denied::Unspecified),
            () if address.is_multicast() => Err(Denied::Multicast),
            () if address.is_loopback() && !self.loopback => Err(Denied::Loopback),
            () if (address.is_private() || carrier_grade) && !self.private => Err(Denied::Private),
            () => Ok(()),
        }
    }

    fn check_v6(self, address: Ipv6Addr) -> Result<(), Denied> {
        match () {
            () if address.is_unicast_link_local() || address == METADATA_V6 => Err(Denied::LinkLocal),
            () if address.is_unspecified() => Err(Denied::Unspecified),
            () if address.is_multicast() => Err(Denied::Multicast),
            () if address.is_loopback() && !self.loopback => Err(Denied::Loopback),
            () if address.is_unique_local() && !self.private => Err(Denied::Private),
            () => Ok(()),
        }
    }
}

/// The IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4), which is where the packets end up.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into();
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };
    const CLOSED: AddressPolicy = AddressPolicy { loopback: false, private: false };

    fn check(policy: AddressPolicy, address: &str) -> Result<(), Denied> {
        policy.check(address.parse().unwrap())
    }

    #[test]
    fn the_metadata_service_is_out_of_reach_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
        ] {
            assert_eq!(check(OPEN, address), Err(Denied::LinkLocal), "{address}");
        }
    }

    #[test]
    fn nowhere_and_everybody_are_no_upstreams() {
        for address in ["0.0.0.0", "0.1.2.3", "::", "255.255.255.255"] {
            assert_eq!(check(OPEN, address), Err(Denied::Unspecified), "{address}");
        }
        for address in ["224.0.0.1", "ff02::1"] {
            assert_eq!(check(OPEN, address), Err(Denied::Multicast), "{address}");
        }
    }

    #[test]
    fn this_machine_and_private_networks_are_the_operators_choice() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(OPEN, address), Ok(()), "{address}");
            assert_eq!(check(CLOSED, address), Err(Denied::Loopback), "{address}");
        }
        for address in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1"] {
            assert_eq!(check(OPEN, address), Ok(()), "{address}");
            assert_eq!(check(CLOSED, address), Err(Denied::Private), "{address}");
        }
    }

    #[test]
    fn the_public_internet_is_always_allowed() {
        for address in ["203.0.113.1", "2001:db8::1", "100.128.0.1"] {
            assert_eq!(check(CLOSED, address), Ok(()), "{address}");
        }
    }
}
