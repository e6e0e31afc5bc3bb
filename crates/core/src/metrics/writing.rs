//! Writing what was counted to the ledger, so that a failure loses nothing and counts nothing twice.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;
use crate::ledger::{Ledger, LedgerError, Resolution, Rollup, RollupQuery, Series, Totals};

/// Rollups written in one transaction, at most: other writers get their turn in between.
const CHUNK: usize = 2000;

/// Rollups kept while the ledger does not take them. Beyond, counts stay in their cells: nothing is lost but the
/// knowledge of when within the outage it happened.
const MOST_PENDING: usize = 100_000;

/// What is on its way to the ledger.
#[derive(Debug)]
pub(super) struct Writing {
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// When the counters were last taken: what is in them now happened since.
    since: Timestamp,
    /// Taken and not yet written.
    pending: VecDeque<Rollup>,
}

impl Writing {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { state: RwLock::new(State { since: now, pending: VecDeque::new() }) }
    }
}

impl Recorder {
    /// Writes to `ledger` every `interval`, and once more when `stop` is called.
    pub async fn run(&self, ledger: &dyn Ledger, interval: Duration, stop: CancellationToken) {
        let mut waited = Duration::ZERO;
        loop {
            let pause = until_next_bucket(self.clock().now()).min(interval.max(SHORTEST));
            let stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none();
            waited += pause;
            if !stopped && waited + SHORTEST < interval {
                self.collect(&mut *self.writing.state.write().await);
                continue;
            }
            waited = Duration::ZERO;
            if let Err(error) = self.flush(ledger).await {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, source, "could not write measurements; they are kept and written later");
            }
            if stopped {
                return;
            }
        }
    }

    /// Writes everything counted so far. After an error the rest is kept for the next time.
    pub async fn flush(&self, ledger: &dyn Ledger) -> Result<usize, LedgerError> {
        let mut state = self.writing.state.write().await;
        self.collect(&mut state);
        let begun = self.clock().now();
        let mut written = 0;
        while !state.pending.is_empty() {
            let chunk: Vec<Rollup> = state.pending.iter().take(CHUNK).cloned().collect();
            let size = chunk.len();
            self.meters().unwritten(state.pending.len());
            // One call is one transaction: an error means that nothing of the chunk was written.
            ledger.add(chunk).await?;
            state.pending.drain(..size);
            written += size;
        }
        self.meters().unwritten(0);
        self.meters()
            .flushed(Duration::try_from(self.clock().now().duration_since(begun)).unwrap_or_default());
        Ok(written)
    }

    /// Rollups of `query`: those in the ledger, and those still on the way to it. The lock keeps what is being
    /// written from being seen twice, or not at all.
    pub(super) async fn read(
        &self,
        ledger: &dyn Ledger,
        query: RollupQuery,
    ) -> Result<Vec<Rollup>, LedgerError> {
        let state = self.writing.state.read().await;
        let mut rollups = ledger.rollups(query.clone()).await?;
        let mut take = |rollup: &Rollup| {
            let width = query.resolution.seconds();
            let bucket = rollup.bucket.div_euclid(width) * width;
            let of_query = *rollup.series.environment == query.environment
                && query.flag.as_ref().is_none_or(|flag| *flag == *rollup.series.flag)
                && query.route.as_ref().is_none_or(|route| *route == *rollup.series.route)
                && (query.from..query.until).contains(&bucket);
            if of_query {
                rollups.push(Rollup { bucket, ..rollup.clone() });
            }
        };
        state.pending.iter().for_each(&mut take);
        let bucket = Resolution::TenSeconds.bucket(state.since);
        self.each_new(bucket, false, |rollup| take(&rollup));
        Ok(rollups)
    }

    /// Takes what was counted since the last time out of the cells.
    fn collect(&self, state: &mut State) {
        if state.pending.len() >= MOST_PENDING {
            return;
        }
        let bucket = Resolution::TenSeconds.bucket(state.since);
        state.since = self.clock().now();
        self.each_new(bucket, true, |rollup| state.pending.push_back(rollup));
    }

    fn each_new(&self, bucket: i64, take: bool, mut each: impl FnMut(Rollup)) {
        self.each_request(|cell| {
            let mut add = |(class, totals): (&'static str, Totals)| {
                let series = Series {
                    environment: Arc::clone(&cell.environment),
                    route: Arc::clone(&cell.route),
                    flag: Arc::clone(&cell.flag),
                    variant: Arc::clone(&cell.variant),
                    metric: request_metric(class),
                };
                each(Rollup { series, bucket, totals });
            };
            if take {
                cell.take().for_each(&mut add);
            } else {
                cell.untaken().for_each(&mut add);
            }
        });
        let (nothing, exposure): (Arc<str>, Arc<str>) = ("".into(), EXPOSURE.into());
        self.each_exposure(|cell| {
            let new = if take { cell.take() } else { cell.untaken() };
            let Some(totals) = new else { return };
            let series = Series {
                environment: Arc::clone(&cell.environment),
                route: Arc::clone(&nothing),
                flag: Arc::clone(&cell.flag),
                variant: Arc::clone(&cell.variant),
                metric: Arc::clone(&exposure),
            };
            each(Rollup { series, bucket, totals });
        });
    }
}

/// The metric of evaluations.
pub(super) const EXPOSURE: &str = "exposure";

/// What the metrics of gateway requests begin with.
pub(super) const REQUEST: &str = "request.";

fn request_metric(class: &str) -> Arc<str> {
    format!("{REQUEST}{class}").into()
}

const SHORTEST: Duration = Duration::from_secs(1);

/// Counters are taken at the borders of buckets, so that what is taken belongs to one of them.
fn until_next_bucket(now: Timestamp) -> Duration {
    let width = i128::from(Resolution::TenSeconds.seconds()) * 1_000_000_000;
    let left = width - now.as_nanosecond().rem_euclid(width);
    Duration::from_nanos(u64::try_from(left).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_bucket_begins_on_a_round_ten_seconds() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(until_next_bucket(at("2026-01-01T00:00:07.25Z")), Duration::from_millis(2750));
        assert_eq!(until_next_bucket(at("2026-01-01T00:00:10Z")), Duration::from_secs(10));
    }
}
