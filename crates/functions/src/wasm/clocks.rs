//! Clocks of guests. They go in steps of a millisecond, so that nobody can tell a cache from memory by them.

use std::time::Duration;

use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder, clocks};

/// One step.
const STEP: Duration = Duration::from_millis(1);

/// Gives `wasi` clocks that go in steps.
pub(crate) fn coarse(wasi: &mut WasiCtxBuilder) {
    wasi.wall_clock(Wall).monotonic_clock(Monotonic(clocks::MonotonicClock::new()));
}

struct Wall;
struct Monotonic(clocks::MonotonicClock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        let now = clocks::WallClock::new().now();
        Duration::new(now.as_secs(), now.subsec_millis() * 1_000_000)
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    /// Never zero: Go takes that for a clock that does not work, and ends.
    fn now(&self) -> u64 {
        let now = self.0.now();
        now - now % self.resolution() + self.resolution()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_in_steps_of_a_millisecond_and_never_back() {
        let clock = Monotonic(clocks::MonotonicClock::new());
        let times: Vec<u64> = (0..1000).map(|_| clock.now()).collect();
        assert!(times.iter().all(|time| time % 1_000_000 == 0));
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| *time > 0), "the first step is not nothing");
        assert_eq!(Wall.now().subsec_nanos() % 1_000_000, 0);
    }
}
