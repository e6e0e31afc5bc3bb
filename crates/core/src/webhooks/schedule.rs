//! When a message is sent again.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use crate::random::Random;

/// When attempts are made, in seconds after the first one.
const OFFSETS: [u64; 10] = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Attempts of one message, at most.
pub const ATTEMPTS: u32 = 10;

/// The longest an endpoint is waited for because it says so.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// How long to wait after `tries` attempts have failed, a tenth more or less by chance; `None` after the last one.
pub fn pause(tries: u32, random: &dyn Random) -> Option<Duration> {
    let next = usize::try_from(tries).ok()?;
    let gap = OFFSETS.get(next)?.saturating_sub(*OFFSETS.get(next.checked_sub(1)?)?);
    // Between 0.9 and 1.1, so that what failed together is not sent again together.
    let part = f64::from(u32::from_le_bytes(random.bytes::<4>())) / f64::from(u32::MAX);
    Some(Duration::from_secs(gap).mul_f64(0.9 + part * 0.2))
}

/// How long `Retry-After` (seconds, or a date) asks to wait; a day at most, `None` when it makes no sense.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Always(u8);

    impl Random for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn total(random: &dyn Random) -> Duration {
        (1..ATTEMPTS).map(|tries| pause(tries, random).unwrap()).sum()
    }

    #[test]
    fn ten_attempts_are_spread_over_a_day() {
        let random = Always(128);
        let pauses: Vec<u64> = (1..ATTEMPTS).map(|tries| pause(tries, &random).unwrap().as_secs()).collect();
        assert_eq!(pauses, [5, 295, 1_500, 5_402, 10_804, 18_007, 14_405, 21_608, 14_405]);
        assert_eq!(pause(ATTEMPTS, &random), None);
        assert!((total(&random).as_secs_f64() - 86_400.0).abs() < 200.0);
    }

    #[test]
    fn chance_moves_an_attempt_by_a_tenth_at_most() {
        assert_eq!(total(&Always(0)), Duration::from_mins(1_296));
        assert_eq!(total(&Always(255)), Duration::from_mins(1_584));
    }

    #[test]
    fn an_endpoint_says_when_by_seconds_or_by_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Thu, 01 Jan 2026 00:01:00 GMT"), Some(60));
        assert_eq!(seconds("Wed, 31 Dec 2025 23:00:00 GMT"), Some(0));
        assert_eq!(seconds("999999999"), Some(86_400));
        for nonsense in ["", "soon", "-5", "1.5"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_us_wait_longer_than_a_day(text: String) {
            let wait = retry_after(&text, Timestamp::UNIX_EPOCH);
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT));
        }
    }
}
