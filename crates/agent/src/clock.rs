//! The machine's clock: read for log lines, set once it is known what time it is.

use std::io;

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1000) + nanoseconds / 1_000_000
}

/// Sets the clock to so many milliseconds since 1970.
///
/// # Errors
/// Without the right to do so, or with a time before the machine was started.
pub(crate) fn set_ms(time: u64) -> io::Result<()> {
    let seconds = i64::try_from(time / 1000).map_err(|_| io::ErrorKind::InvalidInput)?;
    let nanoseconds = i64::try_from(time % 1000 * 1_000_000).map_err(|_| io::ErrorKind::InvalidInput)?;
    clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: nanoseconds })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_knows_that_it_is_after_2020() {
        assert!(now_ms() > 1_577_836_800_000);
    }

    #[test]
    fn a_time_that_no_clock_has_is_refused() {
        assert!(set_ms(u64::MAX).is_err());
    }
}
