//! Measurements: what the gateway and evaluations count by themselves, what people record about flags, and how both
//! are read back.
//!
//! [`Recorder`] counts on the request path: it is bounded, takes no lock and never waits. What it counts reaches the
//! ledger as differences, so the same cells serve Prometheus (as totals) and the ledger (as what is new since the last
//! write), and nothing is counted in two places. Events that people record are durable before they are acknowledged.

mod cells;
mod exposition;
mod intake;
mod meters;
mod process;
mod read;
mod record;
mod recorder;
mod summary;
mod writing;

use std::{sync::Arc, time::Duration};

use crate::{clock::Clock, feed::Feed, ledger::Ledger, tasks::Tasks};

pub use cells::{ExposureCell, RequestCell};
use exposition::Exposition;
pub use exposition::{Build, CONTENT_TYPE};
pub(crate) use intake::check_event_type;
pub use meters::Meters;
pub use read::{Range, RangeAsked};
pub use record::Recorded;
pub use recorder::{Bounds, OTHER, Recorder, RequestObservation};
pub use summary::{EventSummary, FlagMetrics, FlagTotals, Latency, Moment, RouteTotals, VariantMetrics};

/// How measurements are kept.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How often counts are written to the ledger; at least a second.
    pub flush_interval: Duration,
    /// How long events and fine rollups are kept; rollups of an hour are kept for good.
    pub retention: Duration,
    /// What was built, for Prometheus.
    pub build: Build,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(10),
            retention: Duration::from_hours(720),
            build: Build { version: env!("CARGO_PKG_VERSION"), commit: "unknown" },
        }
    }
}

/// Records events and answers how flags and routes do.
pub struct Metrics {
    feed: Arc<Feed>,
    ledger: Arc<dyn Ledger>,
    recorder: Arc<Recorder>,
    settings: Settings,
    exposition: Exposition,
}

impl Metrics {
    /// Measurements of the flags in `feed`, kept in `ledger`; `recorder` adds what is not written yet.
    pub fn new(
        feed: Arc<Feed>,
        ledger: Arc<dyn Ledger>,
        recorder: Arc<Recorder>,
        settings: Settings,
    ) -> Self {
        let exposition = Exposition::new(Arc::clone(&recorder), Arc::clone(feed.snapshots()), settings.build);
        Self { feed, ledger, recorder, settings, exposition }
    }

    /// Everything measured, in the text form that Prometheus reads ([`CONTENT_TYPE`]).
    pub fn prometheus(&self) -> String {
        self.exposition.text()
    }

    /// Starts the tasks that write what was counted (also once more at shutdown) and forget what is too old.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (writer, stop) = (Arc::clone(self), tasks.stopping());
        tasks.spawn("metrics.write", async move {
            let Self { recorder, ledger, settings, .. } = writer.as_ref();
            recorder.run(ledger.as_ref(), settings.flush_interval, stop).await;
        });
        let (pruner, stop) = (Arc::clone(self), tasks.stopping());
        tasks.spawn("metrics.prune", async move {
            while stop.run_until_cancelled(tokio::time::sleep(PRUNE_EVERY)).await.is_some() {
                pruner.prune().await;
            }
        });
    }

    async fn prune(&self) {
        let retention = jiff::SignedDuration::try_from(self.settings.retention);
        let Some(before) = retention.ok().and_then(|kept| self.clock().now().checked_sub(kept).ok()) else {
            return;
        };
        match self.ledger.prune(before).await {
            Ok(rows) => tracing::debug!(rows, "forgot measurements from before {before}"),
            Err(error) => {
                tracing::warn!(%error, "could not forget old measurements; trying again later");
            }
        }
    }

    fn clock(&self) -> &dyn Clock {
        self.feed.clock()
    }
}

const PRUNE_EVERY: Duration = Duration::from_mins(15);
