//! A clock that a test sets.

use std::sync::Arc;

use flagbase_core::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Stands still until told otherwise. Clones share the time.
#[derive(Debug, Clone)]
pub struct FixedClock {
    now: Arc<Mutex<Timestamp>>,
}

impl FixedClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(now)) }
    }

    /// Shows `now` from here on.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock() = now;
    }

    /// Goes on by `by`.
    pub fn advance(&self, by: SignedDuration) {
        *self.now.lock() += by;
    }

    /// Goes on by so many seconds.
    pub fn advance_seconds(&self, seconds: i64) {
        self.advance(SignedDuration::from_secs(seconds));
    }
}

impl Default for FixedClock {
    /// A clock that shows 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::constant(1_767_225_600, 0))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_until_it_is_moved() {
        let clock = FixedClock::default();
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:00Z");
        let shared = clock.clone();
        clock.advance_seconds(90);
        assert_eq!(shared.now().to_string(), "2026-01-01T00:01:30Z");
        shared.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }
}
