//! What is kept of an endpoint: its secrets and how it fares.

use flagbase_core::webhooks::{EndpointState, Health, Removal, StoredSecret};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::sqlite::{
    columns::{count, maybe_time, nanos, text, time},
    fault::Fault,
};

/// Where counting pending deliveries ends.
const COUNTED: u32 = 1_000;

pub(super) fn state(connection: &Connection, endpoint: &str) -> Result<EndpointState, Fault> {
    let sql = "SELECT secret, made_at, until FROM webhook_secrets WHERE endpoint = ?1 ORDER BY id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let secrets = statement.query_and_then([endpoint], |row| {
        let word = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        // The text itself must not get into an error.
        let secret = word.parse().map_err(|_| Fault::Corrupt("a signing secret".to_owned()))?;
        Ok::<_, Fault>(StoredSecret { secret, made_at: time(row, 1)?, until: maybe_time(row, 2)? })
    })?;
    let secrets = secrets.collect::<Result<_, _>>()?;
    let sql = "SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries \
         WHERE endpoint = ?1 AND state = 'pending' LIMIT ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    let pending = statement.query_row(params![endpoint, COUNTED], |row| Ok(count(row, 0)))??;
    Ok(EndpointState { secrets, health: health(connection, endpoint)?, pending })
}

/// Notes that an attempt succeeded or failed.
pub(super) fn fared(
    connection: &Connection,
    endpoint: &str,
    well: bool,
    at: Timestamp,
) -> Result<Health, Fault> {
    let sql = "INSERT INTO webhook_health (endpoint, failing_since, failures) VALUES (?1, ?2, ?3) \
         ON CONFLICT (endpoint) DO UPDATE SET \
         failing_since = CASE WHEN ?3 = 0 THEN NULL ELSE coalesce(failing_since, ?2) END, \
         failures = CASE WHEN ?3 = 0 THEN 0 ELSE failures + 1 END";
    let since = (!well).then(|| nanos(at));
    connection.prepare_cached(sql)?.execute(params![endpoint, since, u8::from(!well)])?;
    health(connection, endpoint)
}

fn health(connection: &Connection, endpoint: &str) -> Result<Health, Fault> {
    let sql = "SELECT failing_since, failures FROM webhook_health WHERE endpoint = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([endpoint])?;
    match rows.next()? {
        None => Ok(Health::default()),
        Some(row) => Ok(Health { failing_since: maybe_time(row, 0)?, failures: count(row, 1)? }),
    }
}

pub(super) fn add_secret(
    connection: &Connection,
    endpoint: &str,
    secret: &StoredSecret,
    before_until: Timestamp,
) -> Result<(), Fault> {
    let sql = "UPDATE webhook_secrets SET until = min(coalesce(until, ?2), ?2) WHERE endpoint = ?1";
    connection.prepare_cached(sql)?.execute(params![endpoint, nanos(before_until)])?;
    let sql = "DELETE FROM webhook_secrets WHERE endpoint = ?1 AND until <= ?2";
    connection.prepare_cached(sql)?.execute(params![endpoint, nanos(secret.made_at)])?;
    let sql = "INSERT INTO webhook_secrets (endpoint, secret, made_at, until) VALUES (?1, ?2, ?3, ?4)";
    let values = params![endpoint, secret.secret.reveal(), nanos(secret.made_at), secret.until.map(nanos)];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Removes at most `limit` deliveries, and what hangs on them; says how many.
pub(super) fn remove(connection: &Connection, removal: &Removal, limit: u32) -> Result<u64, Fault> {
    let delete = |which: &str, values: &[&dyn rusqlite::ToSql]| -> Result<u64, Fault> {
        let sql = format!(
            "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE {which} LIMIT {limit})"
        );
        Ok(connection.prepare_cached(&sql)?.execute(values)? as u64)
    };
    match removal {
        Removal::Endpoint(endpoint) => {
            for table in ["webhook_secrets", "webhook_health"] {
                let sql = format!("DELETE FROM {table} WHERE endpoint = ?1");
                connection.prepare_cached(&sql)?.execute([endpoint])?;
            }
            delete("endpoint = ?1", &[endpoint])
        }
        Removal::DoneBefore(before) => delete("state <> 'pending' AND due_at < ?1", &[&nanos(*before)]),
        Removal::Strays { keep, before } => {
            let (keep, before) = (text(keep)?, nanos(*before));
            let strays = "endpoint NOT IN (SELECT value FROM json_each(?1))";
            let sql = format!("DELETE FROM webhook_secrets WHERE {strays} AND made_at < ?2");
            connection.prepare_cached(&sql)?.execute(params![keep, before])?;
            let sql = format!("DELETE FROM webhook_health WHERE {strays}");
            connection.prepare_cached(&sql)?.execute([&keep])?;
            delete(&format!("{strays} AND created_at < ?2"), &[&keep, &before])
        }
    }
}
