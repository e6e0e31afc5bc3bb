//! The ledger in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use flagbase_core::ledger::{
    EventCount, Ledger, LedgerError, RecordedEvent, Resolution, Rollup, RollupQuery, Series, Totals,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{Measured, Memory};

impl Measured {
    fn record(&mut self, event: RecordedEvent) -> bool {
        if !self.known.insert((event.environment.clone(), event.event_id.clone())) {
            return false;
        }
        let value = event.value.unwrap_or(0.0);
        self.add(&Rollup {
            series: Series {
                environment: event.environment.clone(),
                route: "".into(),
                flag: event.flag.clone(),
                variant: event.variant.clone(),
                metric: event.event_type.clone(),
            },
            bucket: Resolution::TenSeconds.bucket(event.at),
            totals: Totals { count: 1, sum: value, sum_squares: value * value, max: value },
        });
        self.events.push(event);
        true
    }

    fn add(&mut self, rollup: &Rollup) {
        for resolution in Resolution::ALL {
            let width = resolution.seconds();
            let bucket = rollup.bucket.div_euclid(width) * width;
            self.rollups
                .entry((resolution, bucket, rollup.series.clone()))
                .and_modify(|totals| totals.add(&rollup.totals))
                .or_insert(rollup.totals);
        }
    }
}

#[async_trait]
impl Ledger for Memory {
    async fn record(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, LedgerError> {
        let measured = &mut self.state.lock().measured;
        Ok(events.into_iter().map(|event| measured.record(event)).collect())
    }

    async fn add(&self, rollups: Vec<Rollup>) -> Result<(), LedgerError> {
        let measured = &mut self.state.lock().measured;
        for rollup in &rollups {
            measured.add(rollup);
        }
        Ok(())
    }

    async fn rollups(&self, query: RollupQuery) -> Result<Vec<Rollup>, LedgerError> {
        let state = self.state.lock();
        let cells = state.measured.rollups.iter().filter(|((resolution, bucket, series), _)| {
            *resolution == query.resolution
                && (query.from..query.until).contains(bucket)
                && *series.environment == *query.environment
                && query.flag.as_deref().is_none_or(|flag| *series.flag == *flag)
                && query.route.as_deref().is_none_or(|route| *series.route == *route)
        });
        Ok(cells
            .map(|((_, bucket, series), totals)| Rollup {
                series: series.clone(),
                bucket: *bucket,
                totals: *totals,
            })
            .collect())
    }

    async fn count_events(
        &self,
        environment: &str,
        event_type: &str,
        since: Timestamp,
        flag: Option<&str>,
    ) -> Result<Vec<EventCount>, LedgerError> {
        let state = self.state.lock();
        let mut flags: BTreeMap<&str, (u64, BTreeSet<&str>)> = BTreeMap::new();
        for event in &state.measured.events {
            if *event.environment == *environment
                && *event.event_type == *event_type
                && event.at >= since
                && flag.is_none_or(|flag| *event.flag == *flag)
            {
                let (without_unit, units) = flags.entry(&event.flag).or_default();
                match &event.unit {
                    Some(unit) => {
                        units.insert(unit);
                    }
                    None => *without_unit += 1,
                }
            }
        }
        let count = |(flag, (without_unit, units)): (&str, (u64, BTreeSet<&str>))| EventCount {
            flag: flag.to_owned(),
            without_unit,
            units: units.len() as u64,
        };
        Ok(flags.into_iter().map(count).collect())
    }

    async fn events(
        &self,
        environment: &str,
        flag: &str,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        let state = self.state.lock();
        let mut events: Vec<_> = state.measured.events.iter().rev().cloned().collect();
        events.retain(|event| *event.environment == *environment && *event.flag == *flag);
        events.sort_by_key(|event| std::cmp::Reverse(event.at));
        events.truncate(limit as usize);
        Ok(events)
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError> {
        let measured = &mut self.state.lock().measured;
        let had = measured.events.len() + measured.rollups.len();
        let Measured { events, known, rollups, .. } = measured;
        events.retain(|event| event.at >= before);
        let kept = events.iter().map(|event| (event.environment.clone(), event.event_id.clone()));
        *known = kept.collect();
        rollups.retain(|(resolution, bucket, _), _| {
            *resolution == Resolution::Hour || bucket + resolution.seconds() > before.as_second()
        });
        Ok((had - events.len() - rollups.len()) as u64)
    }

    async fn note(&self, name: &str, set: Option<Value>) -> Result<Option<Value>, LedgerError> {
        let notes = &mut self.state.lock().measured.notes;
        if let Some(value) = set {
            notes.insert(name.to_owned(), value);
        }
        Ok(notes.get(name).cloned())
    }
}
