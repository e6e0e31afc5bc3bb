//! What waits for functions, on SQLite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flagbase_core::{
    catalog::{DocumentId, Kind},
    functions::{
        Event, Occasion,
        triggers::{
            Enqueued, MOST_DEAD, MOST_WAITING, NewOccasion, Occasions, OccasionsError, Queued, Settled, Which,
        },
    },
};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    Sqlite,
    columns::{count, nanos, signed, time},
    fault::Fault,
    writer::Stop,
};

const COLUMNS: &str = "id, environment, function, trigger, event, subject, event_type, content_type, data, \
     schedule, time, attempts, tries, created_at, due_at, fault";

#[async_trait]
impl Occasions for Sqlite {
    async fn enqueue(&self, occasions: Vec<NewOccasion>) -> Result<Enqueued, OccasionsError> {
        self.queue(move |connection| {
            let mut sum = Enqueued::default();
            for occasion in &occasions {
                add(connection, occasion, &mut sum)?;
            }
            Ok(sum)
        })
        .await
    }

    async fn waiting(&self, wants: Vec<(DocumentId, u32)>) -> Result<Vec<Queued>, OccasionsError> {
        Ok(self.inner.readers.read(move |connection| waiting(connection, &wants)).await?)
    }

    async fn settle(&self, id: u64, settled: Settled) -> Result<(), OccasionsError> {
        self.queue(move |connection| settle(connection, id, &settled)).await
    }

    async fn take(
        &self,
        function: &DocumentId,
        trigger: &str,
        moment: Timestamp,
    ) -> Result<bool, OccasionsError> {
        let (function, trigger) = (function.clone(), trigger.to_owned());
        self.queue(move |connection| {
            let sql = "INSERT INTO function_ticks (environment, function, trigger, at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (environment, function, trigger) DO UPDATE SET at = excluded.at \
                 WHERE at < excluded.at";
            let values = params![function.environment, function.key, trigger, nanos(moment)];
            Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
        })
        .await
    }

    async fn taken(&self, function: &DocumentId) -> Result<BTreeMap<String, Timestamp>, OccasionsError> {
        let function = function.clone();
        let query = move |connection: &Connection| {
            let sql = "SELECT trigger, at FROM function_ticks WHERE environment = ?1 AND function = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let values = params![function.environment, function.key];
            statement.query_and_then(values, |row| Ok((row.get(0)?, time(row, 1)?)))?.collect()
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn dead(
        &self,
        function: &DocumentId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Queued>, OccasionsError> {
        let (function, before) = (function.clone(), before.map_or(i64::MAX, signed));
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM function_occasions WHERE environment = ?1 AND function = ?2 \
                 AND dead = 1 AND id < ?3 ORDER BY id DESC LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let values = params![function.environment, function.key, before, limit];
            statement.query_and_then(values, queued)?.collect()
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn replay(
        &self,
        function: &DocumentId,
        which: Which,
        at: Timestamp,
    ) -> Result<u64, OccasionsError> {
        let function = function.clone();
        self.queue(move |connection| {
            let sql = "UPDATE function_occasions SET dead = 0, tries = 0, due_at = ?4 \
                 WHERE environment = ?1 AND function = ?2 AND dead = 1 AND (?3 IS NULL OR id = ?3)";
            let values = params![function.environment, function.key, number(which), nanos(at)];
            Ok(connection.prepare_cached(sql)?.execute(values)? as u64)
        })
        .await
    }

    async fn bury(&self, function: &DocumentId, which: Which) -> Result<u64, OccasionsError> {
        let function = function.clone();
        self.queue(move |connection| {
            let sql = "DELETE FROM function_occasions \
                 WHERE environment = ?1 AND function = ?2 AND dead = 1 AND (?3 IS NULL OR id = ?3)";
            let values = params![function.environment, function.key, number(which)];
            Ok(connection.prepare_cached(sql)?.execute(values)? as u64)
        })
        .await
    }
}

impl Sqlite {
    /// A write about the queue, which only faults can stop.
    async fn queue<T, F>(&self, work: F) -> Result<T, OccasionsError>
    where
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.writer.write(move |connection| work(connection).map_err(Stop::Fault)).await
    }
}

/// The id that is meant; `None`: all.
fn number(which: Which) -> Option<i64> {
    match which {
        Which::One(id) => Some(signed(id)),
        Which::All => None,
    }
}

fn add(connection: &Connection, new: &NewOccasion, sum: &mut Enqueued) -> Result<(), Fault> {
    let (environment, function) = (&new.function.environment, &new.function.key);
    let sql = "SELECT count(*) >= ?3 FROM (SELECT 1 FROM function_occasions \
         WHERE environment = ?1 AND function = ?2 AND dead = 0 LIMIT ?3)";
    let full: bool = connection
        .prepare_cached(sql)?
        .query_row(params![environment, function, MOST_WAITING], |row| row.get(0))?;
    let sql = "INSERT INTO function_occasions (environment, function, trigger, event, subject, event_type, \
         content_type, data, schedule, time, dead, attempts, tries, created_at, due_at, fault) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?13, ?14 WHERE ?15 \
         ON CONFLICT (environment, function, trigger, event) DO NOTHING";
    let none: &[u8] = &[];
    let (subject, kind, content_type, data, schedule, at) = match &new.occasion {
        Occasion::Event(event) => {
            let Event { subject, kind, content_type, data, time, .. } = event;
            (subject.as_str(), kind.as_str(), content_type.as_str(), &data[..], None, *time)
        }
        Occasion::Tick { schedule, at } => ("", "", "", none, Some(schedule), *at),
    };
    let NewOccasion { trigger, id, attempts, .. } = new;
    let (made, dead, takes) = (nanos(new.at), new.dead.is_some(), new.dead.is_some() || !full);
    let rows = connection.prepare_cached(sql)?.execute(params![
        environment,
        function,
        trigger,
        id,
        subject,
        kind,
        content_type,
        data,
        schedule,
        nanos(at),
        dead,
        attempts,
        made,
        new.dead,
        takes
    ])?;
    sum.new += rows as u64;
    sum.refused += u64::from(!takes && !is_there(connection, new)?);
    if dead { forget_oldest(connection, &new.function) } else { Ok(()) }
}

fn is_there(connection: &Connection, new: &NewOccasion) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM function_occasions \
         WHERE environment = ?1 AND function = ?2 AND trigger = ?3 AND event = ?4";
    let values = params![new.function.environment, new.function.key, new.trigger, new.id];
    Ok(connection.prepare_cached(sql)?.exists(values)?)
}

fn waiting(connection: &Connection, wants: &[(DocumentId, u32)]) -> Result<Vec<Queued>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM function_occasions WHERE environment = ?1 AND function = ?2 AND dead = 0 \
         ORDER BY due_at, id LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for (function, limit) in wants {
        for row in statement.query_and_then(params![function.environment, function.key, limit], queued)? {
            found.push(row?);
        }
    }
    Ok(found)
}

fn settle(connection: &Connection, id: u64, settled: &Settled) -> Result<(), Fault> {
    let (dead, due_at, fault) = match settled {
        Settled::Done => {
            let sql = "DELETE FROM function_occasions WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([signed(id)])?;
            return Ok(());
        }
        Settled::Later(at, fault) => (false, at, fault),
        Settled::Dead(at, fault) => (true, at, fault),
    };
    let sql = "UPDATE function_occasions SET tries = tries + 1, dead = ?2, due_at = ?3, fault = ?4 \
         WHERE id = ?1 RETURNING environment, function";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![signed(id), dead, nanos(*due_at), fault])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let function = function(row, 0)?;
    drop(rows);
    if dead { forget_oldest(connection, &function) } else { Ok(()) }
}

/// Keeps the number of dead letters within its bound.
fn forget_oldest(connection: &Connection, function: &DocumentId) -> Result<(), Fault> {
    let sql = "DELETE FROM function_occasions WHERE environment = ?1 AND function = ?2 AND dead = 1 AND id <= \
         (SELECT id FROM function_occasions WHERE environment = ?1 AND function = ?2 AND dead = 1 \
         ORDER BY id DESC LIMIT 1 OFFSET ?3)";
    let values = params![function.environment, function.key, MOST_DEAD];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn function(row: &Row<'_>, at: usize) -> Result<DocumentId, Fault> {
    let text = |index| -> Result<String, Fault> { Ok(row.get(index)?) };
    Ok(DocumentId::new(Kind::Function, &text(at)?, &text(at + 1)?))
}

fn queued(row: &Row<'_>) -> Result<Queued, Fault> {
    let (at, tries): (Timestamp, u32) = (time(row, 10)?, row.get(12)?);
    let schedule: Option<String> = row.get(9)?;
    let occasion = match schedule {
        Some(schedule) => Occasion::Tick { schedule: schedule.into(), at },
        None => Occasion::Event(Event {
            id: row.get(4)?,
            subject: row.get(5)?,
            kind: row.get(6)?,
            time: at,
            content_type: row.get(7)?,
            data: row.get::<_, Vec<u8>>(8)?.into(),
            attempt: tries.saturating_add(1),
        }),
    };
    Ok(Queued {
        id: count(row, 0)?,
        function: function(row, 1)?,
        trigger: row.get(3)?,
        occasion,
        attempts: row.get(11)?,
        tries,
        created_at: time(row, 13)?,
        due_at: time(row, 14)?,
        fault: row.get(15)?,
    })
}
