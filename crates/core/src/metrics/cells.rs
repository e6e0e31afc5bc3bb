//! Cells: the counters of one combination of names, each a handful of atomics.
//!
//! A cell only ever grows. What reached the ledger is remembered beside each counter, so the difference is what is
//! still to be written: a write that fails takes nothing away, and one that succeeds is counted once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use flagbase_engine::Reason;

use crate::ledger::Totals;

/// Upper bounds of the latency histogram, in microseconds.
pub(crate) const BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Names of the status classes, as in `request.2xx`.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The reasons counted, in the order of the counters.
pub(crate) const REASONS: [Reason; 8] = [
    Reason::Static,
    Reason::TargetingMatch,
    Reason::Split,
    Reason::Default,
    Reason::Disabled,
    Reason::PrerequisiteFailed,
    Reason::Override,
    Reason::Error,
];

/// A counter that knows how much of it was taken for the ledger.
#[derive(Debug, Default)]
struct Counter {
    total: AtomicU64,
    taken: AtomicU64,
}

impl Counter {
    fn add(&self, n: u64) {
        self.total.fetch_add(n, Relaxed);
    }

    fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// What came since the last time. Only the writer calls this, one at a time.
    fn take(&self) -> u64 {
        let total = self.total();
        total.wrapping_sub(self.taken.swap(total, Relaxed))
    }

    /// What [`Counter::take`] would give, left where it is.
    fn untaken(&self) -> u64 {
        self.total().wrapping_sub(self.taken.load(Relaxed))
    }
}

/// Requests of one route, flag and variant.
#[derive(Debug)]
pub struct RequestCell {
    pub(crate) environment: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) flag: Arc<str>,
    pub(crate) variant: Arc<str>,
    classes: [ClassCell; 5],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
}

/// Requests of one status class.
#[derive(Debug, Default)]
struct ClassCell {
    count: Counter,
    micros: Counter,
    /// In units of (10 µs)², so that ten seconds of slow requests cannot overflow it.
    squares: Counter,
    /// Since it was last taken, in µs.
    max: AtomicU64,
}

impl ClassCell {
    fn observe(&self, micros: u64) {
        self.count.add(1);
        self.micros.add(micros);
        let tens = micros / 10;
        self.squares.add(tens.saturating_mul(tens));
        // Mostly no write at all: a shared line that is only read stays cached on every core.
        if micros > self.max.load(Relaxed) {
            self.max.fetch_max(micros, Relaxed);
        }
    }

    fn take(&self) -> Option<Totals> {
        let count = self.count.take();
        (count > 0).then(|| totals(count, self.micros.take(), self.squares.take(), self.max.swap(0, Relaxed)))
    }

    fn untaken(&self) -> Option<Totals> {
        let count = self.count.untaken();
        let (micros, squares) = (self.micros.untaken(), self.squares.untaken());
        (count > 0).then(|| totals(count, micros, squares, self.max.load(Relaxed)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums of microseconds stay far below 2^53 between two writes")]
fn totals(count: u64, micros: u64, squares: u64, max: u64) -> Totals {
    // Milliseconds; (10 µs)² is 1e-4 ms².
    Totals { count, sum: micros as f64 / 1e3, sum_squares: squares as f64 / 1e4, max: max as f64 / 1e3 }
}

impl RequestCell {
    pub(crate) fn new(environment: &Arc<str>, route: &Arc<str>, flag: &Arc<str>, variant: &Arc<str>) -> Self {
        Self {
            environment: Arc::clone(environment),
            route: Arc::clone(route),
            flag: Arc::clone(flag),
            variant: Arc::clone(variant),
            classes: Default::default(),
            buckets: Default::default(),
        }
    }

    /// Counts one answered request.
    pub fn observe(&self, status: u16, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).min(MOST_MICROS);
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        if let Some(class) = self.classes.get(class) {
            class.observe(micros);
        }
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// What is new per status class, given away once.
    pub(crate) fn take(&self) -> impl Iterator<Item = (&'static str, Totals)> {
        CLASSES.iter().zip(&self.classes).filter_map(|(name, class)| Some((*name, class.take()?)))
    }

    /// What is new per status class, without taking it.
    pub(crate) fn untaken(&self) -> impl Iterator<Item = (&'static str, Totals)> {
        CLASSES.iter().zip(&self.classes).filter_map(|(name, class)| Some((*name, class.untaken()?)))
    }

    /// Requests per status class since the process began.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.iter().zip(&self.classes).map(|(name, class)| (*name, class.count.total()))
    }

    /// Sum of all latencies in seconds, and requests per histogram bucket, since the process began.
    #[expect(clippy::cast_precision_loss, reason = "285 years of latencies fit")]
    pub(crate) fn latencies(&self) -> (f64, [u64; BOUNDS_US.len() + 1]) {
        let micros: u64 = self.classes.iter().map(|class| class.micros.total()).sum();
        (micros as f64 / 1e6, std::array::from_fn(|at| self.buckets.get(at).map_or(0, |n| n.load(Relaxed))))
    }
}

/// An hour: nothing waits longer, and a clock gone wrong must not spoil the sums.
const MOST_MICROS: u64 = 3_600_000_000;

/// Evaluations of one flag that gave one variant.
#[derive(Debug)]
pub struct ExposureCell {
    pub(crate) environment: Arc<str>,
    pub(crate) flag: Arc<str>,
    pub(crate) variant: Arc<str>,
    reasons: [Counter; REASONS.len()],
}

impl ExposureCell {
    pub(crate) fn new(environment: &Arc<str>, flag: &Arc<str>, variant: &Arc<str>) -> Self {
        Self {
            environment: Arc::clone(environment),
            flag: Arc::clone(flag),
            variant: Arc::clone(variant),
            reasons: Default::default(),
        }
    }

    /// Counts one evaluation.
    pub fn observe(&self, reason: Reason) {
        let at = match reason {
            Reason::Static => 0,
            Reason::TargetingMatch => 1,
            Reason::Split => 2,
            Reason::Default => 3,
            Reason::Disabled => 4,
            Reason::PrerequisiteFailed => 5,
            Reason::Override => 6,
            Reason::Error => 7,
        };
        if let Some(counter) = self.reasons.get(at) {
            counter.add(1);
        }
    }

    /// What is new, given away once.
    pub(crate) fn take(&self) -> Option<Totals> {
        exposures(self.reasons.iter().map(Counter::take).sum())
    }

    /// What is new, without taking it.
    pub(crate) fn untaken(&self) -> Option<Totals> {
        exposures(self.reasons.iter().map(Counter::untaken).sum())
    }

    /// Evaluations per reason since the process began, those that happened.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = REASONS.iter().zip(&self.reasons).map(|(reason, n)| (reason.as_str(), n.total()));
        counts.filter(|(_, n)| *n > 0)
    }
}

fn exposures(count: u64) -> Option<Totals> {
    (count > 0).then(|| Totals { count, ..Totals::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> RequestCell {
        let name: Arc<str> = "x".into();
        RequestCell::new(&name, &name, &name, &name)
    }

    #[test]
    fn what_was_taken_is_not_taken_again_and_the_total_stays() {
        let cell = cell();
        cell.observe(204, Duration::from_millis(3));
        cell.observe(200, Duration::from_millis(5));
        let first: Vec<_> = cell.take().collect();
        assert_eq!(first, [("2xx", Totals { count: 2, sum: 8.0, sum_squares: 34.0, max: 5.0 })]);
        assert_eq!(cell.take().count(), 0);
        cell.observe(503, Duration::from_millis(1));
        assert_eq!(cell.untaken().map(|(class, _)| class).collect::<Vec<_>>(), ["5xx"]);
        assert_eq!(cell.counts().map(|(_, n)| n).sum::<u64>(), 3);
    }

    #[test]
    fn the_greatest_latency_is_that_of_the_last_interval() {
        let cell = cell();
        cell.observe(200, Duration::from_secs(9));
        assert_eq!(cell.take().map(|(_, totals)| totals.max).collect::<Vec<_>>(), [9000.0]);
        cell.observe(200, Duration::from_millis(2));
        assert_eq!(cell.take().map(|(_, totals)| totals.max).collect::<Vec<_>>(), [2.0]);
    }

    #[test]
    fn odd_statuses_and_latencies_are_counted_somewhere() {
        let cell = cell();
        for status in [0, 99, 101, 999] {
            cell.observe(status, Duration::MAX);
        }
        assert_eq!(cell.counts().map(|(_, n)| n).sum::<u64>(), 4);
        let (sum, buckets) = cell.latencies();
        assert_eq!(buckets.last(), Some(&4));
        assert!((sum - 4.0 * 3600.0).abs() < 1e-6);
    }

    #[test]
    fn a_latency_on_a_bound_belongs_to_the_bucket_below() {
        let cell = cell();
        cell.observe(200, Duration::from_micros(500));
        cell.observe(200, Duration::from_micros(501));
        let (_, buckets) = cell.latencies();
        assert_eq!((buckets[0], buckets[1]), (1, 1));
    }

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let name: Arc<str> = "x".into();
        let cell = ExposureCell::new(&name, &name, &name);
        for reason in REASONS {
            cell.observe(reason);
        }
        let counts: Vec<_> = cell.counts().collect();
        assert_eq!(counts, REASONS.map(|reason| (reason.as_str(), 1)));
        assert_eq!(cell.take(), exposures(8));
    }

    proptest::proptest! {
        #[test]
        fn whenever_it_is_taken_the_parts_add_up_to_the_whole(
            steps in proptest::collection::vec((100_u16..600, 0_u64..5_000_000, proptest::bool::weighted(0.3)), 0..200),
        ) {
            let cell = cell();
            let mut taken = Totals::default();
            let mut greatest: u64 = 0;
            for (status, micros, take) in &steps {
                cell.observe(*status, Duration::from_micros(*micros));
                greatest = greatest.max(*micros);
                if *take {
                    cell.take().for_each(|(_, totals)| taken.add(&totals));
                }
            }
            cell.untaken().for_each(|(_, totals)| taken.add(&totals));
            let sum: u64 = steps.iter().map(|(_, micros, _)| micros).sum();
            proptest::prop_assert_eq!(taken.count, steps.len() as u64);
            proptest::prop_assert!((taken.sum - Duration::from_micros(sum).as_secs_f64() * 1e3).abs() < 1e-3);
            let greatest = Duration::from_micros(greatest).as_secs_f64() * 1e3;
            proptest::prop_assert!((taken.max - greatest).abs() < 1e-6);
            let (_, buckets) = cell.latencies();
            proptest::prop_assert_eq!(buckets.iter().sum::<u64>(), taken.count);
        }
    }
}
