//! The recorder: counts on the request path without locks, waits or bounds that can be crossed.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use flagbase_engine::{Evaluation, Reason};
use papaya::{Equivalent, HashMap};

use super::{
    cells::{ExposureCell, RequestCell},
    meters::Meters,
    writing::Writing,
};
use crate::{clock::Clock, flags::Seen};

/// Stands for names there was no room for.
pub const OTHER: &str = "__other__";

/// How many combinations of names are counted apart; what comes after is counted together as [`OTHER`].
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Combinations of environment, route, flag and variant of requests.
    pub requests: usize,
    /// Combinations of environment, flag and variant of evaluations.
    pub exposures: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { requests: 10_000, exposures: 50_000 }
    }
}

/// Room beyond the bounds for the cells that are called [`OTHER`]: one per environment.
const OTHERS: usize = 1000;

/// One answered gateway request. Names are interned: pass the snapshot's, nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct RequestObservation<'a> {
    /// The environment's key.
    pub environment: &'a Arc<str>,
    /// The route's id.
    pub route: &'a Arc<str>,
    /// The flag that chose; empty when the route has none.
    pub flag: &'a Arc<str>,
    /// The variant chosen; empty when the route has no flag.
    pub variant: &'a Arc<str>,
    /// The HTTP status sent to the client.
    pub status: u16,
    /// From the request's head to the answer's.
    pub latency: Duration,
}

/// Counts what the gateway answers and what evaluations give.
///
/// A gateway calls both: [`Recorder::request`] for the answer and [`Recorder::exposure`] for the decision.
#[derive(Debug)]
pub struct Recorder {
    requests: Cells<RequestCell, 4>,
    exposures: Cells<ExposureCell, 3>,
    meters: Arc<Meters>,
    clock: Arc<dyn Clock>,
    evaluations: AtomicUsize,
    pub(super) writing: Writing,
}

/// One evaluation in so many is timed: two looks at the clock cost as much as an evaluation.
const SAMPLE: usize = 64;

impl std::fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Recorder {
    /// A recorder that has counted nothing yet.
    pub fn new(clock: Arc<dyn Clock>, meters: Arc<Meters>, bounds: Bounds) -> Self {
        Self {
            requests: Cells::new(bounds.requests),
            exposures: Cells::new(bounds.exposures),
            evaluations: AtomicUsize::new(0),
            writing: Writing::new(clock.now()),
            meters,
            clock,
        }
    }

    /// Counters that are not on the request path.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Counts one answered request.
    pub fn request(&self, seen: &RequestObservation<'_>) {
        let names = [seen.environment, seen.route, seen.flag, seen.variant];
        if !self.requests.with(names, |cell| cell.observe(seen.status, seen.latency)) {
            self.handle(seen.environment, seen.route, seen.flag, seen.variant)
                .observe(seen.status, seen.latency);
        }
    }

    /// The cell that [`Recorder::request`] would count in; whoever keeps it saves the look-up.
    pub fn handle(
        &self,
        environment: &Arc<str>,
        route: &Arc<str>,
        flag: &Arc<str>,
        variant: &Arc<str>,
    ) -> Arc<RequestCell> {
        let make = |[environment, route, flag, variant]: [&Arc<str>; 4]| {
            RequestCell::new(environment, route, flag, variant)
        };
        let other: Arc<str> = OTHER.into();
        let found = self
            .requests
            .intern([environment, route, flag, variant], make)
            .or_else(|| self.no_room(self.requests.overflow([environment, &other, &other, &other], make)));
        found.unwrap_or_else(|| Arc::new(RequestCell::new(environment, &other, &other, &other)))
    }

    /// Counts one evaluation.
    pub fn exposure(&self, seen: &Seen<'_>) {
        let Evaluation { variant, reason } = seen.evaluation;
        self.exposed(seen.environment, seen.flag.key(), &variant.name, reason);
    }

    /// The same, by names.
    pub fn exposed(&self, environment: &Arc<str>, flag: &Arc<str>, variant: &Arc<str>, reason: Reason) {
        let names = [environment, flag, variant];
        if !self.exposures.with(names, |cell| cell.observe(reason)) {
            self.exposure_handle(environment, flag, variant).observe(reason);
        }
    }

    /// The cell that [`Recorder::exposure`] would count in; whoever keeps it saves the look-up.
    pub fn exposure_handle(
        &self,
        environment: &Arc<str>,
        flag: &Arc<str>,
        variant: &Arc<str>,
    ) -> Arc<ExposureCell> {
        let make =
            |[environment, flag, variant]: [&Arc<str>; 3]| ExposureCell::new(environment, flag, variant);
        let other: Arc<str> = OTHER.into();
        let found = self
            .exposures
            .intern([environment, flag, variant], make)
            .or_else(|| self.no_room(self.exposures.overflow([environment, &other, &other], make)));
        found.unwrap_or_else(|| Arc::new(ExposureCell::new(environment, &other, &other)))
    }

    /// Runs `evaluate`, and measures how long it takes once in so many times.
    pub fn timed<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        if !self.evaluations.fetch_add(1, Relaxed).is_multiple_of(SAMPLE) {
            return evaluate();
        }
        let begun = std::time::Instant::now();
        let evaluation = evaluate();
        self.meters.evaluation_took(begun.elapsed());
        evaluation
    }

    fn no_room<T>(&self, found: Option<T>) -> Option<T> {
        self.meters.dropped(if found.is_some() { "cardinality" } else { "overflow" }, 1);
        found
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(super) fn each_request(&self, each: impl FnMut(&RequestCell)) {
        self.requests.each(each);
    }

    pub(super) fn each_exposure(&self, each: impl FnMut(&ExposureCell)) {
        self.exposures.each(each);
    }
}

/// Cells by the names they count for.
#[derive(Debug)]
struct Cells<C, const N: usize> {
    map: HashMap<Names<N>, Arc<C>, foldhash::fast::RandomState>,
    room: usize,
    used: AtomicUsize,
}

#[derive(Debug, PartialEq, Eq)]
struct Names<const N: usize>([Arc<str>; N]);

/// The same names, borrowed, so that looking up copies nothing.
struct Borrowed<'a, const N: usize>([&'a Arc<str>; N]);

impl<const N: usize> Hash for Names<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|name| name.hash(state));
    }
}

impl<const N: usize> Hash for Borrowed<'_, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|name| name.hash(state));
    }
}

impl<const N: usize> Equivalent<Names<N>> for Borrowed<'_, N> {
    fn equivalent(&self, key: &Names<N>) -> bool {
        self.0.iter().zip(&key.0).all(|(a, b)| Arc::ptr_eq(a, b) || ***a == **b)
    }
}

impl<C, const N: usize> Cells<C, N> {
    fn new(room: usize) -> Self {
        Self { map: HashMap::default(), room, used: AtomicUsize::new(0) }
    }

    /// Runs `count` on the cell of `names`; `false` when there is none yet.
    fn with(&self, names: [&Arc<str>; N], count: impl FnOnce(&C)) -> bool {
        self.map.pin().get(&Borrowed(names)).map(|cell| count(cell)).is_some()
    }

    /// The cell of `names`, made when there is room.
    fn intern(&self, names: [&Arc<str>; N], make: impl Fn([&Arc<str>; N]) -> C) -> Option<Arc<C>> {
        self.within(self.room, names, make)
    }

    /// The cell that takes what there was no room for.
    fn overflow(&self, names: [&Arc<str>; N], make: impl Fn([&Arc<str>; N]) -> C) -> Option<Arc<C>> {
        self.within(self.room + OTHERS, names, make)
    }

    fn within(
        &self,
        room: usize,
        names: [&Arc<str>; N],
        make: impl Fn([&Arc<str>; N]) -> C,
    ) -> Option<Arc<C>> {
        let map = self.map.pin();
        if let Some(cell) = map.get(&Borrowed(names)) {
            return Some(Arc::clone(cell));
        }
        // The place is taken before the cell is made, so that racing threads cannot exceed the bound together.
        if self.used.fetch_add(1, Relaxed) >= room {
            self.used.fetch_sub(1, Relaxed);
            return None;
        }
        let fresh = Arc::new(make(names));
        let kept = map.get_or_insert(Names(names.map(Arc::clone)), Arc::clone(&fresh));
        if !Arc::ptr_eq(kept, &fresh) {
            self.used.fetch_sub(1, Relaxed);
        }
        Some(Arc::clone(kept))
    }

    fn each(&self, mut each: impl FnMut(&C)) {
        self.map.pin().values().for_each(|cell| each(cell));
    }
}
