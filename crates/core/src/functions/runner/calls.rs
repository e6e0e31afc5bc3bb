//! Calls, counted per version.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use papaya::HashMap;
use serde::Serialize;

use crate::functions::{BodyFault, Compute, Deployed, Fault, Figure};

/// Upper bounds of the histogram of durations, in microseconds.
pub(super) const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// Versions that are counted apart, at most; calls of others are not counted.
const MOST_CELLS: usize = 20_000;

/// What calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered, or taken.
    Ok,
    /// Answered with a status of 500 or above.
    Error,
    Timeout,
    Limit,
    Trapped,
    Reported,
    BadAnswer,
    /// The body of the request could not be read.
    Body,
    Busy,
    Exhausted,
    NotServed,
    Unstartable,
    /// Whoever called did not wait for the end.
    Gone,
}

impl Outcome {
    pub(super) const ALL: [Self; 13] = [
        Self::Ok,
        Self::Error,
        Self::Timeout,
        Self::Limit,
        Self::Trapped,
        Self::Reported,
        Self::BadAnswer,
        Self::Body,
        Self::Busy,
        Self::Exhausted,
        Self::NotServed,
        Self::Unstartable,
        Self::Gone,
    ];

    pub(super) const fn of(fault: &Fault) -> Self {
        match fault {
            Fault::TimedOut(_) => Self::Timeout,
            Fault::LimitReached(_) => Self::Limit,
            Fault::Trapped(_) => Self::Trapped,
            Fault::Reported(_) => Self::Reported,
            Fault::BadAnswer(_) => Self::BadAnswer,
            Fault::Body(BodyFault::Broken(_) | BodyFault::TooSlow | BodyFault::TooLarge(_)) => Self::Body,
            Fault::Busy { .. } => Self::Busy,
            Fault::Exhausted => Self::Exhausted,
            Fault::NotServed { .. } => Self::NotServed,
            Fault::Unstartable(_) => Self::Unstartable,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::Trapped => "trapped",
            Self::Reported => "reported",
            Self::BadAnswer => "bad_answer",
            Self::Body => "body",
            Self::Busy => "busy",
            Self::Exhausted => "exhausted",
            Self::NotServed => "not_served",
            Self::Unstartable => "unstartable",
            Self::Gone => "gone",
        }
    }
}

/// Calls of one version.
#[derive(Debug)]
pub(super) struct Cell {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    micros: AtomicU64,
    /// The longest, in microseconds.
    longest: AtomicU64,
}

impl Cell {
    fn new() -> Self {
        Self {
            outcomes: Default::default(),
            buckets: Default::default(),
            micros: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }
    }

    /// A call was not let in.
    pub(super) fn refused(&self, outcome: Outcome) {
        if let Some(count) = self.outcomes.get(outcome as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A call ended, so long after it got its place.
    pub(super) fn ended(&self, outcome: Outcome, took: Duration) {
        self.refused(outcome);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(3_600_000_000);
        self.micros.fetch_add(micros, Relaxed);
        self.longest.fetch_max(micros, Relaxed);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// Calls by outcome.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::ALL
            .iter()
            .zip(&self.outcomes)
            .map(|(outcome, count)| (outcome.as_str(), count.load(Relaxed)))
    }

    /// The sum of all durations in seconds, and calls per bucket.
    #[expect(clippy::cast_precision_loss, reason = "285 years of calls fit")]
    pub(super) fn durations(&self) -> (f64, [u64; BOUNDS_US.len() + 1]) {
        let counts = std::array::from_fn(|at| self.buckets.get(at).map_or(0, |count| count.load(Relaxed)));
        (self.micros.load(Relaxed) as f64 / 1e6, counts)
    }
}

/// Calls of one version since the node started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionCalls {
    /// The version's number.
    pub version: u32,
    /// How many there were.
    pub calls: u64,
    /// What they came to; what never happened is left out.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Milliseconds within which half of them ended; none without calls.
    pub p50_ms: Option<f64>,
    /// Within which 95 of 100 ended.
    pub p95_ms: Option<f64>,
    /// Within which 99 of 100 ended.
    pub p99_ms: Option<f64>,
}

/// Which version of which function, in which environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Which {
    pub(super) environment: Arc<str>,
    pub(super) function: Arc<str>,
    pub(super) version: u32,
}

/// Calls of all functions.
#[derive(Debug, Default)]
pub struct Calls {
    cells: HashMap<Which, Arc<Cell>, foldhash::fast::RandomState>,
    used: AtomicUsize,
    /// What runs them; it knows, by way of what guests reach, who counts.
    driver: OnceLock<Weak<dyn Compute>>,
}

/// The same, borrowed, so that looking up copies nothing.
#[derive(Hash)]
struct Borrowed<'a> {
    environment: &'a str,
    function: &'a str,
    version: u32,
}

impl papaya::Equivalent<Which> for Borrowed<'_> {
    fn equivalent(&self, which: &Which) -> bool {
        self.version == which.version
            && *self.function == *which.function
            && *self.environment == *which.environment
    }
}

impl Calls {
    /// Where calls of `deployed` are counted.
    pub(super) fn cell(&self, deployed: &Deployed) -> Arc<Cell> {
        let Deployed { environment, function, version, .. } = deployed;
        let cells = self.cells.pin();
        if let Some(cell) = cells.get(&Borrowed { environment, function, version: *version }) {
            return Arc::clone(cell);
        }
        // The place is taken before the cell is made, so that racing threads cannot exceed the bound together.
        if self.used.fetch_add(1, Relaxed) >= MOST_CELLS {
            self.used.fetch_sub(1, Relaxed);
            return Arc::new(Cell::new());
        }
        let which =
            Which { environment: Arc::clone(environment), function: Arc::clone(function), version: *version };
        let fresh = Arc::new(Cell::new());
        let kept = cells.get_or_insert(which, Arc::clone(&fresh));
        if !Arc::ptr_eq(kept, &fresh) {
            self.used.fetch_sub(1, Relaxed);
        }
        Arc::clone(kept)
    }

    /// Calls of a function, by version.
    pub fn of(&self, environment: &str, function: &str) -> Vec<VersionCalls> {
        let mut found = Vec::new();
        self.each(|which, cell| {
            if *which.environment == *environment && *which.function == *function {
                found.push(cell.summary(which.version));
            }
        });
        found.sort_by_key(|calls| calls.version);
        found
    }

    /// Shows what `driver` did, too; the first one that is named here.
    pub(super) fn watch(&self, driver: &Arc<dyn Compute>) {
        self.driver.get_or_init(|| Arc::downgrade(driver));
    }

    /// What runs them, as long as it is there, and what it did.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let driver = self.driver.get().and_then(Weak::upgrade);
        driver.map(|driver| driver.figures()).unwrap_or_default()
    }

    pub(super) fn each(&self, mut each: impl FnMut(&Which, &Cell)) {
        self.cells.pin().iter().for_each(|(which, cell)| each(which, cell));
    }

    pub(super) fn retain(&self, alive: &(dyn Fn(&str, &str) -> bool + Send + Sync)) {
        let cells = self.cells.pin();
        let gone: Vec<Which> =
            cells.keys().filter(|which| !alive(&which.environment, &which.function)).cloned().collect();
        for which in gone {
            if cells.remove(&which).is_some() {
                self.used.fetch_sub(1, Relaxed);
            }
        }
    }
}

impl Cell {
    fn summary(&self, version: u32) -> VersionCalls {
        let outcomes: BTreeMap<_, _> = self.counts().filter(|(_, count)| *count > 0).collect();
        let (_, buckets) = self.durations();
        let longest = Duration::from_micros(self.longest.load(Relaxed)).as_secs_f64() * 1e3;
        // Within a bucket it is a guess, and nothing took longer than the longest.
        let quantile = |part| quantile(&buckets, part).map(|ms| ms.min(longest));
        VersionCalls {
            version,
            calls: outcomes.values().sum(),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            outcomes,
        }
    }
}

/// Milliseconds below which a part of all calls ended: even within a bucket, as far as the histogram can say.
#[expect(clippy::cast_precision_loss, reason = "counts fit")]
fn quantile(buckets: &[u64; BOUNDS_US.len() + 1], part: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    let wanted = all as f64 * part;
    let (mut below, mut floor) = (0.0, 0.0);
    for (at, count) in buckets.iter().enumerate() {
        let ceiling = BOUNDS_US.get(at).map_or(floor, |bound| *bound as f64);
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            let within = floor + (ceiling - floor) * ((wanted - below) / count);
            return Some(within / 1e3);
        }
        below += count;
        floor = ceiling;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_off_the_histogram() {
        let cell = Cell::new();
        assert_eq!(cell.summary(1).p50_ms, None, "nothing ran");
        for _ in 0..98 {
            cell.ended(Outcome::Ok, Duration::from_micros(70));
        }
        cell.ended(Outcome::Trapped, Duration::from_millis(40));
        cell.ended(Outcome::Ok, Duration::from_mins(1));
        cell.refused(Outcome::Busy);
        let summary = cell.summary(3);
        assert_eq!((summary.version, summary.calls), (3, 101));
        assert!(summary.p50_ms.is_some_and(|ms| (0.05..=0.1).contains(&ms)), "{summary:?}");
        assert!(summary.p99_ms.is_some_and(|ms| (25.0..=50.0).contains(&ms)), "{summary:?}");
        assert_eq!(summary.outcomes, BTreeMap::from([("ok", 99), ("trapped", 1), ("busy", 1)]));
    }

    #[test]
    fn nothing_takes_longer_than_the_longest() {
        let cell = Cell::new();
        cell.ended(Outcome::Timeout, Duration::from_millis(1_001));
        let p99 = cell.summary(1).p99_ms;
        assert!(p99.is_some_and(|ms| (1_000.9..=1_001.1).contains(&ms)), "{p99:?}");
    }

    #[test]
    fn every_outcome_is_counted_by_itself() {
        let cell = Cell::new();
        for outcome in Outcome::ALL {
            cell.refused(outcome);
        }
        assert!(cell.counts().all(|(_, count)| count == 1), "{:?}", cell.counts().collect::<Vec<_>>());
    }

    proptest::proptest! {
        #[test]
        fn quantiles_never_fall(micros in proptest::collection::vec(0_u64..20_000_000, 1..50)) {
            let cell = Cell::new();
            for micros in micros {
                cell.ended(Outcome::Ok, Duration::from_micros(micros));
            }
            let summary = cell.summary(1);
            proptest::prop_assert!(summary.p50_ms <= summary.p95_ms && summary.p95_ms <= summary.p99_ms);
        }
    }
}
