//! Deliveries and their attempts.

use flagbase_core::webhooks::{
    Attempt, Delivery, DeliveryState, Health, NewDelivery, Selection, Settled, Want,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::endpoints;
use crate::sqlite::{
    columns::{count, nanos, signed, text, time},
    fault::Fault,
};

/// Attempts kept of one delivery, the last ones.
const ATTEMPTS_KEPT: u32 = 30;

const COLUMNS: &str = "id, endpoint, event, event_type, body, state, created_at, due_at, tries";

/// Which rows a [`Selection`] means; its parameters are those of [`chosen`].
const CHOSEN: &str = "endpoint = ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR event = ?3) \
     AND (?4 = '[]' OR state IN (SELECT value FROM json_each(?4))) AND created_at >= ?5 AND created_at < ?6 \
     AND id < ?7 ORDER BY id DESC LIMIT ?8";

pub(super) fn add(connection: &Connection, deliveries: &[NewDelivery]) -> Result<u64, Fault> {
    let sql = "INSERT INTO webhook_deliveries (endpoint, event, event_type, body, state, created_at, due_at, tries) \
         VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?5, 0) ON CONFLICT (endpoint, event) DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    let mut new = 0;
    for delivery in deliveries {
        let NewDelivery { endpoint, event, event_type, body, at } = delivery;
        new += insert.execute(params![endpoint, event, event_type, body, nanos(*at)])? as u64;
    }
    Ok(new)
}

pub(super) fn pending(connection: &Connection, wants: &[Want]) -> Result<Vec<Delivery>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM webhook_deliveries WHERE endpoint = ?1 AND state = 'pending' \
         ORDER BY due_at, id LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for want in wants {
        for row in statement.query_and_then(params![want.endpoint, want.limit], delivery)? {
            found.push(row?);
        }
    }
    Ok(found)
}

pub(super) fn settle(connection: &Connection, settled: &Settled) -> Result<Health, Fault> {
    let Settled { id, attempt, state, due_at } = settled;
    // What was cancelled while it was under way is not sent again.
    let sql = "UPDATE webhook_deliveries SET due_at = ?3, tries = tries + 1, \
         state = CASE WHEN state = 'cancelled' AND ?2 = 'pending' THEN state ELSE ?2 END WHERE id = ?1 \
         RETURNING endpoint";
    let values = params![signed(*id), state.as_str(), nanos(*due_at)];
    let endpoint: Option<String> =
        connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    let Some(endpoint) = endpoint else { return Ok(Health::default()) };
    let sql = "INSERT INTO webhook_attempts (delivery, at, duration_ms, status, error, response) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let Attempt { at, duration_ms, status, error, response } = attempt;
    let values = params![signed(*id), nanos(*at), signed(*duration_ms), status, error, response];
    connection.prepare_cached(sql)?.execute(values)?;
    let sql = "DELETE FROM webhook_attempts WHERE delivery = ?1 AND id <= \
         (SELECT id FROM webhook_attempts WHERE delivery = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    connection.prepare_cached(sql)?.execute(params![signed(*id), ATTEMPTS_KEPT])?;
    endpoints::fared(connection, &endpoint, attempt.error.is_none(), attempt.at)
}

pub(super) fn list(connection: &Connection, selection: &Selection) -> Result<Vec<Delivery>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_deliveries WHERE {CHOSEN}");
    let mut statement = connection.prepare_cached(&sql)?;
    let chosen = chosen(selection)?;
    let rows = statement.query_and_then(chosen.params(), delivery)?;
    let mut found = rows.collect::<Result<Vec<_>, Fault>>()?;
    for delivery in &mut found {
        delivery.attempts = attempts(connection, delivery.id)?;
    }
    Ok(found)
}

pub(super) fn shift(
    connection: &Connection,
    selection: &Selection,
    state: DeliveryState,
    at: Timestamp,
) -> Result<u64, Fault> {
    let sql = format!(
        "UPDATE webhook_deliveries SET state = ?9, due_at = ?10, tries = 0 \
         WHERE id IN (SELECT id FROM webhook_deliveries WHERE {CHOSEN})"
    );
    let chosen = chosen(selection)?;
    let mut values = chosen.params().to_vec();
    let (word, at) = (state.as_str(), nanos(at));
    values.extend([&word as &dyn rusqlite::ToSql, &at]);
    Ok(connection.prepare_cached(&sql)?.execute(values.as_slice())? as u64)
}

fn attempts(connection: &Connection, delivery: u64) -> Result<Vec<Attempt>, Fault> {
    let sql = "SELECT at, duration_ms, status, error, response FROM webhook_attempts \
         WHERE delivery = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_and_then([signed(delivery)], |row| {
            Ok(Attempt {
                at: time(row, 0)?,
                duration_ms: count(row, 1)?,
                status: row.get(2)?,
                error: row.get(3)?,
                response: row.get(4)?,
            })
        })?
        .collect()
}

/// The parameters of [`CHOSEN`].
struct Chosen {
    endpoint: String,
    id: Option<i64>,
    event: Option<String>,
    states: String,
    since: i64,
    until: i64,
    before: i64,
    limit: u32,
}

fn chosen(selection: &Selection) -> Result<Chosen, Fault> {
    let states: Vec<_> = selection.states.iter().map(|state| state.as_str()).collect();
    Ok(Chosen {
        endpoint: selection.endpoint.clone(),
        id: selection.id.map(signed),
        event: selection.event.clone(),
        states: text(&states)?,
        since: selection.since.map_or(i64::MIN, nanos),
        until: selection.until.map_or(i64::MAX, nanos),
        before: selection.before.map_or(i64::MAX, signed),
        limit: selection.limit,
    })
}

impl Chosen {
    fn params(&self) -> [&dyn rusqlite::ToSql; 8] {
        let Self { endpoint, id, event, states, since, until, before, limit } = self;
        [endpoint, id, event, states, since, until, before, limit]
    }
}

fn delivery(row: &Row<'_>) -> Result<Delivery, Fault> {
    let word = row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?;
    let state = DeliveryState::named(word)
        .ok_or_else(|| Fault::Corrupt(format!("a delivery in the state `{word}`")))?;
    Ok(Delivery {
        id: count(row, 0)?,
        endpoint: row.get(1)?,
        event: row.get(2)?,
        event_type: row.get(3)?,
        body: row.get(4)?,
        state,
        created_at: time(row, 6)?,
        due_at: time(row, 7)?,
        tries: row.get(8)?,
        attempts: Vec::new(),
    })
}
