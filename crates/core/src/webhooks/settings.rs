//! What webhooks are configured with.

use std::{net::IpAddr, time::Duration};

use crate::gateway::{AddressPolicy, Denied};

/// What webhooks are configured with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Where endpoints may be, beside the public internet.
    pub addresses: AddressPolicy,
    /// The longest an endpoint may take to answer.
    pub timeout: Duration,
    /// Messages under way at once, at least 1.
    pub concurrency: usize,
    /// Messages under way at once to one endpoint, at least 1; an endpoint that keeps failing gets one.
    pub per_endpoint: usize,
    /// How long deliveries that are done are kept.
    pub retention: Duration,
    /// An endpoint that has only failed for so long is disabled.
    pub disable_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            addresses: AddressPolicy { loopback: false, private: false },
            timeout: Duration::from_secs(15),
            concurrency: 64,
            per_endpoint: 4,
            retention: Duration::from_hours(30 * 24),
            disable_after: Duration::from_hours(5 * 24),
        }
    }
}

/// Fails, saying why in words, when messages may not be sent to `address`.
pub fn permitted(policy: AddressPolicy, address: IpAddr) -> Result<(), &'static str> {
    policy.check(address).map_err(|denied| match denied {
        Denied::LinkLocal => "link-local and metadata addresses are never sent to",
        Denied::Unspecified => "an unspecified or broadcast address cannot be sent to",
        Denied::Multicast => "a multicast address cannot be sent to",
        Denied::Loopback => "loopback addresses are not sent to; set `webhooks.allow_loopback` to allow them",
        Denied::Private => "private addresses are not sent to; set `webhooks.allow_private` to allow them",
    })
}
