//! Prometheus' view: the recorder's cells read at scrape, beside the meters and the process.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, info::Info},
    registry::Registry,
};

use super::{cells::BOUNDS_US, process::Process, recorder::Recorder};
use crate::snapshot::Snapshots;

/// The content type of what Prometheus reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was built.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The version, such as `0.1.0`.
    pub version: &'static str,
    /// The commit, or `unknown`.
    pub commit: &'static str,
}

/// Everything measured, in `OpenMetrics` text form. No label ever names a user.
#[derive(Debug)]
pub(super) struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// Shows what `recorder` counts and which revision `snapshots` are at.
    pub(super) fn new(recorder: Arc<Recorder>, snapshots: Arc<Snapshots>, build: Build) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector));
        let ours = registry.sub_registry_with_prefix("flagbase");
        let labels = [("version", build.version), ("commit", build.commit)];
        ours.register("build", "What was built", Info::new(labels));
        recorder.meters().register(ours);
        ours.register_collector(Box::new(Cells { recorder, snapshots }));
        Self { registry }
    }

    /// The text to answer a scrape with; empty when it cannot be made, which is logged.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(error) => {
                tracing::error!(%error, "could not write the metrics");
                String::new()
            }
        }
    }
}

#[derive(Debug)]
struct Cells {
    recorder: Arc<Recorder>,
    snapshots: Arc<Snapshots>,
}

impl Collector for Cells {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut revision = encoder.encode_descriptor(
            "flag_config_revision",
            "Last change in this node's snapshot",
            None,
            MetricType::Gauge,
        )?;
        revision.encode_gauge(&self.snapshots.load().revision)?;
        self.evaluations(&mut encoder)?;
        self.requests(&mut encoder)?;
        self.durations(&mut encoder)
    }
}

impl Cells {
    fn evaluations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "flag_evaluations",
            "Evaluations by what they gave and why",
            None,
            MetricType::Counter,
        )?;
        let mut result = Ok(());
        self.recorder.each_exposure(|cell| {
            for (reason, count) in cell.counts() {
                let labels = [
                    ("environment", cell.environment.as_ref()),
                    ("flag", cell.flag.as_ref()),
                    ("variant", cell.variant.as_ref()),
                    ("reason", reason),
                ];
                result = result.and_then(|()| counter(&mut metric, &labels, count));
            }
        });
        result
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "gateway_requests",
            "Requests answered by the gateway",
            None,
            MetricType::Counter,
        )?;
        let mut result = Ok(());
        self.recorder.each_request(|cell| {
            for (class, count) in cell.counts().filter(|(_, count)| *count > 0) {
                let labels = [
                    ("environment", cell.environment.as_ref()),
                    ("route", cell.route.as_ref()),
                    ("variant", cell.variant.as_ref()),
                    ("flag", cell.flag.as_ref()),
                    ("code_class", class),
                ];
                result = result.and_then(|()| counter(&mut metric, &labels, count));
            }
        });
        result
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "gateway_request_duration_seconds",
            "Time from a request's head to its answer's",
            None,
            MetricType::Histogram,
        )?;
        let mut result = Ok(());
        self.recorder.each_request(|cell| {
            let labels = [
                ("environment", cell.environment.as_ref()),
                ("route", cell.route.as_ref()),
                ("variant", cell.variant.as_ref()),
                ("flag", cell.flag.as_ref()),
            ];
            let (sum, counts) = cell.latencies();
            let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound)).chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let all = counts.iter().sum();
            result = result.and_then(|()| {
                metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
            });
        });
        result
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are small")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn counter(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, count: u64) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let process = Process::read();
        if let Some(seconds) = process.cpu_seconds {
            encoder
                .encode_descriptor("process_cpu_seconds", "CPU time used", None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        }
        let mut gauge = |name: &str, help: &str, value: Option<f64>| match value {
            Some(value) => {
                encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
            }
            None => Ok(()),
        };
        gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since the epoch",
            process.start_seconds,
        )?;
        gauge("process_resident_memory_bytes", "Memory in RAM", process.resident_bytes.map(float))?;
        gauge("process_open_fds", "Open files and sockets", process.open_files.map(float))
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory in bytes fits")]
fn float(n: u64) -> f64 {
    n as f64
}
