//! How long until something is offered again.

use std::time::Duration;

use crate::random::Random;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// The pause after `tries` attempts have failed: 1 second, doubled with each, a fifth more or less by chance so that what
/// failed together is not offered again together; never less than a second or more than an hour.
pub fn pause(tries: u32, random: &dyn Random) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let whole = SHORTEST.saturating_mul(1 << doublings).min(LONGEST);
    let part = f64::from(u32::from_le_bytes(random.bytes::<4>())) / f64::from(u32::MAX);
    whole.mul_f64(0.8 + part * 0.4).clamp(SHORTEST, LONGEST)
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

    #[test]
    fn pauses_double_from_a_second_to_an_hour() {
        let seconds: Vec<_> = (1..15).map(|tries| pause(tries, &Always(128)).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2049, 3600, 3600]);
    }

    proptest! {
        #[test]
        fn no_pause_is_shorter_than_a_second_or_longer_than_an_hour(tries: u32, chance: u8) {
            let pause = pause(tries, &Always(chance));
            prop_assert!((SHORTEST..=LONGEST).contains(&pause), "{pause:?}");
        }
    }
}
