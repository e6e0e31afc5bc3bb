//! The ledger on SQLite.

use async_trait::async_trait;
use flagbase_core::ledger::{EventCount, Ledger, LedgerError, RecordedEvent, Rollup, RollupQuery};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::{
    Sqlite,
    columns::{json, text},
    fault::Fault,
    writer::Stop,
};

mod events;
mod rollups;

/// Rows removed in one job, so that other writes get their turn.
const CHUNK: u32 = 5_000;

#[async_trait]
impl Ledger for Sqlite {
    async fn record(&self, events: Vec<RecordedEvent>) -> Result<Vec<bool>, LedgerError> {
        self.write(move |connection| events::record(connection, &events)).await
    }

    async fn add(&self, rollups: Vec<Rollup>) -> Result<(), LedgerError> {
        self.write(move |connection| rollups.iter().try_for_each(|rollup| rollups::add(connection, rollup)))
            .await
    }

    async fn rollups(&self, query: RollupQuery) -> Result<Vec<Rollup>, LedgerError> {
        Ok(self.inner.readers.read(move |connection| rollups::read(connection, &query)).await?)
    }

    async fn count_events(
        &self,
        environment: &str,
        event_type: &str,
        since: Timestamp,
        flag: Option<&str>,
    ) -> Result<Vec<EventCount>, LedgerError> {
        let [environment, event_type] = [environment, event_type].map(str::to_owned);
        let flag = flag.map(str::to_owned);
        let query = move |connection: &Connection| {
            events::count_by_flag(connection, &environment, &event_type, since, flag.as_deref())
        };
        Ok(self.inner.readers.read(query).await?)
    }

    async fn events(
        &self,
        environment: &str,
        flag: &str,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        let [environment, flag] = [environment, flag].map(str::to_owned);
        let query = move |connection: &Connection| events::newest(connection, &environment, &flag, limit);
        Ok(self.inner.readers.read(query).await?)
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, LedgerError> {
        let mut gone = 0;
        for remove in [events::remove, rollups::remove] {
            loop {
                let rows = self.write(move |connection| remove(connection, before, CHUNK)).await?;
                gone += rows as u64;
                if rows < CHUNK as usize {
                    break;
                }
            }
        }
        Ok(gone)
    }

    async fn note(&self, name: &str, set: Option<Value>) -> Result<Option<Value>, LedgerError> {
        let name = name.to_owned();
        match set {
            None => Ok(self.inner.readers.read(move |connection| note(connection, &name)).await?),
            Some(value) => {
                let body = text(&value)?;
                self.write(move |connection| {
                    let sql = "INSERT OR REPLACE INTO notes (name, body) VALUES (?1, ?2)";
                    connection.prepare_cached(sql)?.execute(params![name, body])?;
                    Ok(Some(value))
                })
                .await
            }
        }
    }
}

impl Sqlite {
    /// A write of the ledger, which only faults can stop.
    async fn write<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.writer.write(move |connection| work(connection).map_err(Stop::Fault)).await
    }
}

fn note(connection: &Connection, name: &str) -> Result<Option<Value>, Fault> {
    let mut statement = connection.prepare_cached("SELECT body FROM notes WHERE name = ?1")?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| json(row, 0)).transpose()
}
