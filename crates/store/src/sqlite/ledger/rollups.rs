//! Rollups: totals per series and bucket, in three widths.

use flagbase_core::ledger::{Resolution, Rollup, RollupQuery, Series, Totals};
use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use crate::sqlite::{
    columns::{count, signed},
    fault::Fault,
};

/// Adds a cell of ten seconds to the cells of every width that hold it.
pub(super) fn add(connection: &Connection, rollup: &Rollup) -> Result<(), Fault> {
    let sql = "INSERT INTO rollups (resolution, environment, bucket, route, flag, variant, metric, \
         count, sum, sum_squares, max) \
         VALUES (:resolution, :environment, :bucket, :route, :flag, :variant, :metric, \
         :count, :sum, :sum_squares, :max) \
         ON CONFLICT (resolution, environment, bucket, route, flag, variant, metric) DO UPDATE SET \
         count = count + excluded.count, sum = sum + excluded.sum, \
         sum_squares = sum_squares + excluded.sum_squares, max = max(max, excluded.max)";
    let mut upsert = connection.prepare_cached(sql)?;
    let Rollup { series, bucket, totals } = rollup;
    for resolution in Resolution::ALL {
        let width = resolution.seconds();
        upsert.execute(named_params! {
            ":resolution": width,
            ":environment": series.environment,
            ":bucket": bucket.div_euclid(width) * width,
            ":route": series.route,
            ":flag": series.flag,
            ":variant": series.variant,
            ":metric": series.metric,
            ":count": signed(totals.count),
            ":sum": number(totals.sum),
            ":sum_squares": number(totals.sum_squares),
            ":max": number(totals.max),
        })?;
    }
    Ok(())
}

/// A total as it can be stored. What is not a number would spoil the cell for good, so it counts as 0, and
/// the infinite as the greatest number there is.
fn number(total: f64) -> f64 {
    if total.is_nan() { 0.0 } else { total.clamp(f64::MIN, f64::MAX) }
}

pub(super) fn read(connection: &Connection, query: &RollupQuery) -> Result<Vec<Rollup>, Fault> {
    // Two statements, so that SQLite takes the index that fits.
    let by_flag = if query.flag.is_some() { "AND flag = :flag" } else { "AND :flag IS NULL" };
    let sql = format!(
        "SELECT bucket, environment, route, flag, variant, metric, count, sum, sum_squares, max \
         FROM rollups WHERE resolution = :resolution AND environment = :environment {by_flag} \
         AND bucket >= :from AND bucket < :until AND (:route IS NULL OR route = :route) \
         ORDER BY bucket, route, flag, variant, metric"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let values = named_params! {
        ":resolution": query.resolution.seconds(),
        ":environment": query.environment,
        ":flag": query.flag,
        ":route": query.route,
        ":from": query.from,
        ":until": query.until,
    };
    statement.query_and_then(values, rollup)?.collect()
}

/// Removes at most `limit` cells of the finer widths that ended at or before `before`; returns how many.
pub(super) fn remove(connection: &Connection, before: Timestamp, limit: u32) -> Result<usize, Fault> {
    let sql = "DELETE FROM rollups WHERE (resolution, environment, bucket, route, flag, variant, metric) IN \
         (SELECT resolution, environment, bucket, route, flag, variant, metric FROM rollups \
          WHERE resolution < ?1 AND bucket + resolution <= ?2 LIMIT ?3)";
    let values = params![Resolution::Hour.seconds(), before.as_second(), limit];
    Ok(connection.prepare_cached(sql)?.execute(values)?)
}

fn rollup(row: &Row<'_>) -> Result<Rollup, Fault> {
    Ok(Rollup {
        series: Series {
            environment: row.get("environment")?,
            route: row.get("route")?,
            flag: row.get("flag")?,
            variant: row.get("variant")?,
            metric: row.get("metric")?,
        },
        bucket: row.get("bucket")?,
        totals: Totals {
            count: count(row, "count")?,
            sum: row.get("sum")?,
            sum_squares: row.get("sum_squares")?,
            max: row.get("max")?,
        },
    })
}
