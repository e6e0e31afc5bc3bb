//! IP networks, as ranges of addresses that can be searched.

use std::net::IpAddr;

use ipnet::IpNet;

/// Some networks. An IPv4 address and the same address mapped into IPv6 are one.
#[derive(Debug, Clone)]
pub(crate) struct Networks {
    /// First and last address, ascending and apart from each other.
    ranges: Box<[(u128, u128)]>,
    /// As they were given.
    pub(crate) source: Box<[Box<str>]>,
}

impl Networks {
    /// The networks and single addresses in `texts`, or the first text that is neither.
    pub(crate) fn new(texts: &[String]) -> Result<Networks, &str> {
        let mut ranges = Vec::with_capacity(texts.len());
        for text in texts {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            let network = network.map_err(|_| text.as_str())?;
            ranges.push((number_of(network.network()), number_of(network.broadcast())));
        }
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1;
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        let source = texts.iter().map(|text| text.as_str().into()).collect();
        Ok(Networks { ranges: ranges.into(), source })
    }

    /// None when `text` is not an address.
    pub(crate) fn contain(&self, text: &str) -> Option<bool> {
        let address = number_of(text.trim().parse().ok()?);
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        let range = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        Some(range.is_some_and(|(_, last)| address <= *last))
    }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Networks::new(&texts).unwrap()
    }

    proptest! {
        #[test]
        fn searching_ranges_finds_what_asking_every_network_finds(
            nets in prop::collection::vec((any::<u32>(), 0_u8..=32), 1..20), address: u32,
        ) {
            let nets: Vec<IpNet> = nets.into_iter()
                .map(|(bits, length)| IpNet::new(IpAddr::V4(bits.into()), length).unwrap())
                .collect();
            let texts: Vec<String> = nets.iter().map(ToString::to_string).collect();
            let address = IpAddr::V4(address.into());
            let found = Networks::new(&texts).unwrap().contain(&address.to_string());
            prop_assert_eq!(found, Some(nets.iter().any(|net| net.contains(&address))));
        }
    }

    #[test]
    fn both_families_and_single_addresses_work() {
        let some = networks(&["10.0.0.0/8", "192.168.1.7", "2001:db8::/32"]);
        assert_eq!(some.contain("10.255.255.255"), Some(true));
        assert_eq!(some.contain("11.0.0.0"), Some(false));
        assert_eq!(some.contain("192.168.1.7"), Some(true));
        assert_eq!(some.contain("::ffff:10.0.0.1"), Some(true));
        assert_eq!(some.contain("2001:db8::1"), Some(true));
        assert_eq!(some.contain("not an address"), None);
    }

    #[test]
    fn the_first_text_that_is_no_network_is_named() {
        let texts = ["10.0.0.0/8".to_owned(), "10.0.0.0/33".to_owned()];
        assert_eq!(Networks::new(&texts).unwrap_err(), "10.0.0.0/33");
    }
}
