//! How times are written.

use std::time::{Duration, SystemTime};

/// `2026-01-02T03:04:05.678901234Z`
pub(super) fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}

/// `1d2h3m4s`: whole seconds, from the largest unit that is not zero.
pub(super) fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m{seconds}s"),
    }
}

/// Nanoseconds, as settings are shown.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_to_the_nanosecond() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_767_323_045, 678_901_234);
        assert_eq!(time(at), "2026-01-02T03:04:05.678901234Z");
    }

    #[test]
    fn uptimes_begin_with_the_largest_unit() {
        let shown = |seconds| uptime(Duration::from_secs(seconds));
        assert_eq!([0, 59, 60, 3661, 90061].map(shown), ["0s", "59s", "1m0s", "1h1m1s", "1d1h1m1s"]);
    }
}
