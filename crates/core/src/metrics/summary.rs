//! Adding rollups up into what people look at: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    OTHER,
    writing::{EXPOSURE, REQUEST},
};
use crate::ledger::{Rollup, Totals};

/// How a flag did in a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlagMetrics {
    /// The flag's key.
    pub flag: String,
    /// The environment's key.
    pub environment: String,
    /// Start of the first bucket.
    pub from: Timestamp,
    /// End of the last bucket.
    pub until: Timestamp,
    /// Width of a bucket: `10s`, `1m` or `1h`.
    pub resolution: &'static str,
    /// Per variant: those the flag has, and others that were counted.
    pub variants: Vec<VariantMetrics>,
    /// Per bucket and variant, oldest first; only those in which something happened.
    pub series: Vec<Moment>,
}

/// How a variant did.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct VariantMetrics {
    /// The variant's name.
    pub variant: String,
    /// Evaluations that gave it.
    pub exposures: u64,
    /// Gateway requests it was chosen for.
    pub requests: u64,
    /// Those of them that were answered with 500 or more.
    pub errors_5xx: u64,
    /// Recorded events by type.
    pub events: BTreeMap<String, EventSummary>,
    /// `errors_5xx` per request; `null` without requests.
    pub error_rate: Option<f64>,
    /// Of the requests, in milliseconds; `null` without requests.
    pub latency_ms: Option<Latency>,
}

/// Events of one type.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EventSummary {
    /// How many.
    pub count: u64,
    /// Sum of their values.
    pub sum: f64,
    /// Mean of their values, counting those without a value as zero.
    pub mean: f64,
    /// Per exposure, or per request where nothing was exposed; `null` where there was neither.
    pub rate: Option<f64>,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
}

/// One bucket of one variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// Start of the bucket.
    pub at: Timestamp,
    /// What happened in it.
    #[serde(flatten)]
    pub metrics: VariantMetrics,
}

/// All variants of a flag together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlagTotals {
    /// The flag's key.
    pub flag: String,
    /// Evaluations.
    pub exposures: u64,
    /// Gateway requests it chose for.
    pub requests: u64,
    /// Those of them that were answered with 500 or more.
    pub errors_5xx: u64,
    /// `errors_5xx` per request; `null` without requests.
    pub error_rate: Option<f64>,
    /// Of the requests, in milliseconds; `null` without requests.
    pub latency_ms: Option<Latency>,
    /// Recorded events by type.
    pub events: BTreeMap<String, EventSummary>,
}

/// How a gateway route did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteTotals {
    /// The route's id.
    pub route: String,
    /// Requests.
    pub requests: u64,
    /// Requests by status class, `2xx` and so on; only those that happened.
    pub statuses: BTreeMap<String, u64>,
    /// Answered with 500 or more.
    pub errors_5xx: u64,
    /// `errors_5xx` per request; `null` without requests.
    pub error_rate: Option<f64>,
    /// In milliseconds; `null` without requests.
    pub latency_ms: Option<Latency>,
    /// Requests per variant of the flag that chose; empty without a flag.
    pub variants: BTreeMap<String, u64>,
}

/// Sums of rollups that belong together.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    exposures: u64,
    requests: Totals,
    classes: BTreeMap<Arc<str>, u64>,
    events: BTreeMap<Arc<str>, Totals>,
}

impl Sum {
    pub(super) fn add(&mut self, rollup: &Rollup) {
        let metric = &rollup.series.metric;
        if let Some(class) = metric.strip_prefix(REQUEST) {
            self.requests.add(&rollup.totals);
            *self.classes.entry(class.into()).or_default() += rollup.totals.count;
        } else if **metric == *EXPOSURE {
            self.exposures += rollup.totals.count;
        } else {
            self.events.entry(Arc::clone(metric)).or_default().add(&rollup.totals);
        }
    }

    fn errors(&self) -> u64 {
        self.classes.get("5xx").copied().unwrap_or_default()
    }

    fn latency(&self) -> Option<Latency> {
        let mean = ratio(self.requests.sum, self.requests.count)?;
        Some(Latency { mean, max: self.requests.max })
    }

    fn events(&self) -> BTreeMap<String, EventSummary> {
        let among = if self.exposures > 0 { self.exposures } else { self.requests.count };
        let summary = |totals: &Totals| EventSummary {
            count: totals.count,
            sum: totals.sum,
            mean: ratio(totals.sum, totals.count).unwrap_or_default(),
            rate: ratio(float(totals.count), among),
        };
        self.events.iter().map(|(event_type, totals)| (event_type.to_string(), summary(totals))).collect()
    }

    pub(super) fn variant(&self, variant: &str) -> VariantMetrics {
        VariantMetrics {
            variant: variant.to_owned(),
            exposures: self.exposures,
            requests: self.requests.count,
            errors_5xx: self.errors(),
            events: self.events(),
            error_rate: ratio(float(self.errors()), self.requests.count),
            latency_ms: self.latency(),
        }
    }

    pub(super) fn flag(&self, flag: &str) -> FlagTotals {
        FlagTotals {
            flag: flag.to_owned(),
            exposures: self.exposures,
            requests: self.requests.count,
            errors_5xx: self.errors(),
            error_rate: ratio(float(self.errors()), self.requests.count),
            latency_ms: self.latency(),
            events: self.events(),
        }
    }

    fn route(&self, route: &str, variants: BTreeMap<String, u64>) -> RouteTotals {
        RouteTotals {
            route: route.to_owned(),
            requests: self.requests.count,
            statuses: self.classes.iter().map(|(class, n)| (class.to_string(), *n)).collect(),
            errors_5xx: self.errors(),
            error_rate: ratio(float(self.errors()), self.requests.count),
            latency_ms: self.latency(),
            variants,
        }
    }
}

/// Event types shown apart per flag, at most.
pub(super) const MOST_TYPES: usize = 100;

/// Adds up the types of events beyond the [`MOST_TYPES`] most frequent ones as [`OTHER`], so that whoever invents types
/// cannot make answers grow.
pub(super) fn fold_rare_types(rollups: &mut [Rollup]) {
    let mut counts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for rollup in rollups.iter().filter(|rollup| is_event(&rollup.series.metric)) {
        *counts.entry(Arc::clone(&rollup.series.metric)).or_default() += rollup.totals.count;
    }
    if counts.len() <= MOST_TYPES {
        return;
    }
    let mut types: Vec<(Arc<str>, u64)> = counts.into_iter().collect();
    types.sort_by(|(left, a), (right, b)| b.cmp(a).then_with(|| left.cmp(right)));
    let rare: BTreeSet<Arc<str>> = types.into_iter().skip(MOST_TYPES).map(|(name, _)| name).collect();
    for rollup in rollups.iter_mut().filter(|rollup| rare.contains(&rollup.series.metric)) {
        rollup.series.metric = OTHER.into();
    }
}

fn is_event(metric: &str) -> bool {
    *metric != *EXPOSURE && !metric.starts_with(REQUEST) && *metric != *OTHER
}

/// Variants of one flag: `known` ones first, in their order, whether or not anything was counted.
pub(super) fn variants<'a>(rollups: &[Rollup], known: impl Iterator<Item = &'a str>) -> Vec<VariantMetrics> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for rollup in rollups {
        sums.entry(&rollup.series.variant).or_default().add(rollup);
    }
    let mut variants: Vec<_> =
        known.map(|name| sums.remove(name).unwrap_or_default().variant(name)).collect();
    variants.extend(sums.iter().map(|(name, sum)| sum.variant(name)));
    variants
}

/// The same per bucket.
pub(super) fn series(rollups: &[Rollup]) -> Vec<Moment> {
    let mut sums: BTreeMap<(i64, &str), Sum> = BTreeMap::new();
    for rollup in rollups {
        sums.entry((rollup.bucket, &rollup.series.variant)).or_default().add(rollup);
    }
    let moment = |((bucket, variant), sum): (&(i64, &str), &Sum)| {
        Some(Moment { at: Timestamp::from_second(*bucket).ok()?, metrics: sum.variant(variant) })
    };
    sums.iter().filter_map(moment).collect()
}

/// Per flag, by key.
pub(super) fn flags(rollups: &[Rollup]) -> Vec<FlagTotals> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for rollup in rollups.iter().filter(|rollup| !rollup.series.flag.is_empty()) {
        sums.entry(&rollup.series.flag).or_default().add(rollup);
    }
    sums.iter().map(|(flag, sum)| sum.flag(flag)).collect()
}

/// Per route, by id.
pub(super) fn routes(rollups: &[Rollup]) -> Vec<RouteTotals> {
    let mut sums: BTreeMap<&str, (Sum, BTreeMap<String, u64>)> = BTreeMap::new();
    for rollup in rollups.iter().filter(|rollup| !rollup.series.route.is_empty()) {
        let (sum, variants) = sums.entry(&rollup.series.route).or_default();
        sum.add(rollup);
        if !rollup.series.variant.is_empty() {
            *variants.entry(rollup.series.variant.to_string()).or_default() += rollup.totals.count;
        }
    }
    sums.into_iter().map(|(route, (sum, variants))| sum.route(route, variants)).collect()
}

fn ratio(part: f64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part / float(whole))
}

#[expect(clippy::cast_precision_loss, reason = "counts above 2^53 would take centuries")]
fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
