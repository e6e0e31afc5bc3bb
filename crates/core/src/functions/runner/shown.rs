//! Calls, as Prometheus shows them.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::calls::{BOUNDS_US, Calls};

/// Shows what was counted.
#[derive(Debug)]
pub(crate) struct Shown(pub(crate) Arc<Calls>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.counts(&mut encoder)?;
        self.durations(&mut encoder)?;
        self.figures(&mut encoder)
    }
}

impl Shown {
    fn counts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "function_calls",
            "Calls of functions by what they came to",
            None,
            MetricType::Counter,
        )?;
        let mut result = Ok(());
        self.0.each(|which, cell| {
            let version = which.version.to_string();
            for (outcome, count) in cell.counts().filter(|(_, count)| *count > 0) {
                let labels = [
                    ("environment", which.environment.as_ref()),
                    ("function", which.function.as_ref()),
                    ("version", version.as_str()),
                    ("outcome", outcome),
                ];
                result = result.and_then(|()| {
                    metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
                });
            }
        });
        result
    }

    fn figures(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.0.figures().into_iter().try_for_each(|figure| {
            let metric = encoder.encode_descriptor(figure.name, figure.help, None, MetricType::Counter);
            metric?.encode_counter::<NoLabelSet, _, u64>(&figure.total, None)
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "function_duration_seconds",
            "Time calls of functions took, without waiting for a place",
            None,
            MetricType::Histogram,
        )?;
        let mut result = Ok(());
        self.0.each(|which, cell| {
            let version = which.version.to_string();
            let labels = [
                ("environment", which.environment.as_ref()),
                ("function", which.function.as_ref()),
                ("version", version.as_str()),
            ];
            let (sum, counts) = cell.durations();
            let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let all = counts.iter().sum();
            result = result.and_then(|()| {
                metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
            });
        });
        result
    }
}
