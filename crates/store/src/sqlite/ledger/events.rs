//! Recorded events.

use flagbase_core::ledger::{EventCount, RecordedEvent, Resolution, Rollup, Series, Totals};
use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use super::rollups;
use crate::sqlite::{
    columns::{count, nanos, time},
    fault::Fault,
};

/// Stores the events that are new and adds them to the rollups; says which were new.
pub(super) fn record(connection: &Connection, events: &[RecordedEvent]) -> Result<Vec<bool>, Fault> {
    let sql = "INSERT INTO recorded_events (environment, event_id, flag, variant, event_type, value, \
         unit, at, received_at, recorded_by) \
         VALUES (:environment, :event_id, :flag, :variant, :event_type, :value, \
         :unit, :at, :received_at, :recorded_by) \
         ON CONFLICT (environment, event_id) DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    let mut fresh = Vec::with_capacity(events.len());
    for event in events {
        let rows = insert.execute(named_params! {
            ":environment": event.environment,
            ":event_id": event.event_id,
            ":flag": event.flag,
            ":variant": event.variant,
            ":event_type": event.event_type,
            ":value": event.value,
            ":unit": event.unit,
            ":at": nanos(event.at),
            ":received_at": nanos(event.received_at),
            ":recorded_by": event.recorded_by,
        })?;
        if rows == 1 {
            rollups::add(connection, &as_rollup(event))?;
        }
        fresh.push(rows == 1);
    }
    Ok(fresh)
}

fn as_rollup(event: &RecordedEvent) -> Rollup {
    let value = event.value.unwrap_or(0.0);
    Rollup {
        series: Series {
            environment: event.environment.clone(),
            route: "".into(),
            flag: event.flag.clone(),
            variant: event.variant.clone(),
            metric: event.event_type.clone(),
        },
        bucket: Resolution::TenSeconds.bucket(event.at),
        totals: Totals { count: 1, sum: value, sum_squares: value * value, max: value },
    }
}

pub(super) fn count_by_flag(
    connection: &Connection,
    environment: &str,
    event_type: &str,
    since: Timestamp,
    flag: Option<&str>,
) -> Result<Vec<EventCount>, Fault> {
    let sql = "SELECT flag, count(*) FILTER (WHERE unit IS NULL) AS without_unit, \
         count(DISTINCT unit) AS units FROM recorded_events \
         WHERE environment = ?1 AND event_type = ?2 AND at >= ?3 AND (?4 IS NULL OR flag = ?4) \
         GROUP BY flag ORDER BY flag";
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![environment, event_type, nanos(since), flag];
    statement
        .query_and_then(values, |row| {
            Ok(EventCount {
                flag: row.get("flag")?,
                without_unit: count(row, "without_unit")?,
                units: count(row, "units")?,
            })
        })?
        .collect()
}

pub(super) fn newest(
    connection: &Connection,
    environment: &str,
    flag: &str,
    limit: u32,
) -> Result<Vec<RecordedEvent>, Fault> {
    let sql = "SELECT environment, event_id, flag, variant, event_type, value, unit, at, \
         received_at, recorded_by FROM recorded_events \
         WHERE environment = ?1 AND flag = ?2 ORDER BY at DESC, id DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_and_then(params![environment, flag, limit], event)?.collect()
}

/// Removes at most `limit` events that happened before `before`; returns how many.
pub(super) fn remove(connection: &Connection, before: Timestamp, limit: u32) -> Result<usize, Fault> {
    let sql = "DELETE FROM recorded_events WHERE id IN \
               (SELECT id FROM recorded_events WHERE at < ?1 LIMIT ?2)";
    Ok(connection.prepare_cached(sql)?.execute(params![nanos(before), limit])?)
}

fn event(row: &Row<'_>) -> Result<RecordedEvent, Fault> {
    Ok(RecordedEvent {
        environment: row.get("environment")?,
        event_id: row.get("event_id")?,
        flag: row.get("flag")?,
        variant: row.get("variant")?,
        event_type: row.get("event_type")?,
        value: row.get("value")?,
        unit: row.get("unit")?,
        at: time(row, "at")?,
        received_at: time(row, "received_at")?,
        recorded_by: row.get("recorded_by")?,
    })
}
