//! Attempts to log in: counted per address and per client, so that guessing takes too long to pay.
//!
//! An attempt is counted before the password is looked at, so that guesses made at the same time cannot all slip
//! through, and in the same way for addresses that do not exist.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock::Clock as GovernorClock, middleware::NoOpMiddleware, nanos::Nanos,
    state::keyed::HashMapStateStore,
};
use hashbrown::HashMap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::{
    clock::Clock,
    refusal::{Class, Refusal},
};

/// Addresses and clients kept in mind, each; beyond that the ones nothing is held against are forgotten.
const MOST: usize = 50_000;

/// Counts failed logins per address: so many within the window are free, then each doubles the wait.
pub(super) struct Lockout {
    allowed: u32,
    window: SignedDuration,
    most: usize,
    failures: Mutex<HashMap<[u8; 16], Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
    locked_until: Timestamp,
}

impl Lockout {
    pub(super) fn new(allowed: u32, window: Duration) -> Self {
        Self {
            allowed: allowed.max(1),
            window: SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX),
            most: MOST,
            failures: Mutex::default(),
        }
    }

    /// Counts an attempt; refuses it while the address is locked. Success is told by [`Lockout::succeeded`].
    pub(super) fn begin(&self, email: &str, now: Timestamp) -> Result<(), Refusal> {
        let mut failures = self.failures.lock();
        if failures.len() >= self.most {
            self.make_room(&mut failures, now);
        }
        let state = failures.entry(key(email)).or_insert(Failures { count: 0, last: now, locked_until: now });
        if now < state.locked_until {
            return Err(locked(state.locked_until.duration_since(now)));
        }
        if now.duration_since(state.last) > self.window {
            state.count = 0;
        }
        state.count = state.count.saturating_add(1);
        state.last = now;
        state.locked_until = now.checked_add(self.wait(state.count)).unwrap_or(now);
        Ok(())
    }

    /// Forgets the failures of an address: its owner was here.
    pub(super) fn succeeded(&self, email: &str) {
        self.failures.lock().remove(&key(email));
    }

    /// How long the address is locked after its `count`th attempt: 0 while these are free, then 1 s, 2 s, 4 s, …
    fn wait(&self, count: u32) -> SignedDuration {
        match count.checked_sub(self.allowed) {
            None => SignedDuration::ZERO,
            Some(over) => SignedDuration::from_secs(1_i64 << over.min(40)).min(self.window),
        }
    }

    fn make_room(&self, failures: &mut HashMap<[u8; 16], Failures>, now: Timestamp) {
        failures.retain(|_, state| now.duration_since(state.last) <= self.window);
        if failures.len() >= self.most {
            failures.retain(|_, state| now < state.locked_until);
        }
        if failures.len() >= self.most {
            failures.clear();
        }
    }
}

/// Addresses are not kept in memory in the clear, and not at a length of the client's choice.
fn key(email: &str) -> [u8; 16] {
    Sha256::digest(email.as_bytes()).first_chunk().copied().unwrap_or_default()
}

fn locked(wait: SignedDuration) -> Refusal {
    limited("too many failed logins for this address", wait.try_into().unwrap_or(Duration::ZERO))
}

fn limited(what: &str, wait: Duration) -> Refusal {
    // Rounded up: whoever waits as told is not turned away again.
    let wait = Duration::from_secs(wait.as_secs() + 1);
    let message = format!("{what}; try again in {} s", wait.as_secs());
    Refusal::new(Class::Limited, "too_many_attempts", message).retry_after(wait)
}

type Limiter = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, Ticks, NoOpMiddleware<Nanos>>;

/// Limits what one client address may attempt: registrations, logins, setup.
pub(super) struct Clients {
    limiter: Limiter,
    clock: Ticks,
    most: usize,
    swept_at: AtomicU64,
}

impl Clients {
    /// `attempts` at once, and as many again within each `window`.
    pub(super) fn new(attempts: u32, window: Duration, clock: Arc<dyn Clock>) -> Self {
        let attempts = NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN);
        let each = window.checked_div(attempts.get()).filter(|each| !each.is_zero());
        let quota = Quota::with_period(each.unwrap_or(Duration::from_millis(1)))
            .unwrap_or(Quota::per_second(attempts))
            .allow_burst(attempts);
        let clock = Ticks(clock);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        Self { limiter, clock, most: MOST, swept_at: AtomicU64::new(0) }
    }

    /// Counts an attempt of a client; refuses it when there were too many.
    ///
    /// This machine itself is not limited: it is either trusted or a proxy, behind which one client would lock
    /// out all others.
    pub(super) fn attempt(&self, client: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(client) = client.map(network).filter(|client| !client.is_loopback()) else {
            return Ok(());
        };
        if self.limiter.len() >= self.most && !self.make_room() {
            // Too many to tell apart: refusing all would lock out everybody, and every address has a limit of its own.
            return Ok(());
        }
        self.limiter.check_key(&client).map_err(|until| {
            limited("too many attempts from your address", until.wait_time_from(self.clock.now()))
        })
    }

    /// Forgets clients that have waited long enough, at most once a second. Returns whether there is room now.
    fn make_room(&self) -> bool {
        let second = self.clock.now().as_u64() / 1_000_000_000;
        if self.swept_at.swap(second, Ordering::Relaxed) == second {
            return false;
        }
        self.limiter.retain_recent();
        self.limiter.len() < self.most
    }
}

/// What one client commands: an IPv4 address, or the /64 that IPv6 gives to one subscriber.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

/// The clock in the limiter's terms: nanoseconds since 1970.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.0.now().as_nanosecond()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
