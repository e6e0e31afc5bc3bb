//! Streams of the embedded NATS server on SQLite.

use async_trait::async_trait;
use flagbase_nats::jetstream::{Change, Record, Store, StoreError, StoredStream, Summary};
use rusqlite::{Connection, Row, params};

use super::{Sqlite, fault::Fault, writer::Stop};

#[async_trait]
impl Store for Sqlite {
    async fn load(&self) -> Result<Vec<StoredStream>, StoreError> {
        self.inner.readers.read(streams).await.map_err(|fault| error(&fault))
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let work = move |connection: &Connection| {
            changes.iter().try_for_each(|change| apply(connection, change)).map_err(Stop::<Fault>::Fault)
        };
        self.inner.writer.write(work).await.map_err(|fault: Fault| error(&fault))
    }

    async fn read(&self, stream: &str, sequences: &[u64]) -> Result<Vec<Record>, StoreError> {
        let (stream, mut sequences) = (stream.to_owned(), sequences.to_vec());
        sequences.sort_unstable();
        let query = move |connection: &Connection| records(connection, &stream, &sequences);
        self.inner.readers.read(query).await.map_err(|fault| error(&fault))
    }
}

fn error(fault: &Fault) -> StoreError {
    StoreError(fault.to_string())
}

fn apply(connection: &Connection, change: &Change) -> Result<(), Fault> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), Fault> {
        connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    };
    match change {
        Change::Stream { name, description, last_sequence, last_time } => run(
            "INSERT INTO streams (name, description, last_sequence, last_time) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET description = excluded.description,
                last_sequence = excluded.last_sequence, last_time = excluded.last_time",
            params![name, description, number(*last_sequence)?, last_time],
        ),
        Change::DropStream { name } => [
            "DELETE FROM stream_messages WHERE stream = ?1",
            "DELETE FROM stream_consumers WHERE stream = ?1",
            "DELETE FROM streams WHERE name = ?1",
        ]
        .iter()
        .try_for_each(|sql| run(sql, params![name])),
        Change::Append { stream, record } => run(
            "INSERT INTO stream_messages (stream, sequence, time, subject, headers, payload, id, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                stream,
                number(record.sequence)?,
                record.time,
                record.subject,
                &record.headers[..],
                &record.payload[..],
                record.id,
                record.expires
            ],
        ),
        Change::Remove { stream, sequences } => sequences.iter().try_for_each(|sequence| {
            let sql = "DELETE FROM stream_messages WHERE stream = ?1 AND sequence = ?2";
            run(sql, params![stream, number(*sequence)?])
        }),
        Change::Consumer { stream, name, description } => run(
            "INSERT INTO stream_consumers (stream, name, description) VALUES (?1, ?2, ?3)
             ON CONFLICT (stream, name) DO UPDATE SET description = excluded.description",
            params![stream, name, description],
        ),
        Change::DropConsumer { stream, name } => {
            run("DELETE FROM stream_consumers WHERE stream = ?1 AND name = ?2", params![stream, name])
        }
    }
}

fn streams(connection: &Connection) -> Result<Vec<StoredStream>, Fault> {
    // One moment for all of it.
    let connection = connection.unchecked_transaction()?;
    let mut statement = connection
        .prepare("SELECT name, description, last_sequence, last_time FROM streams ORDER BY name")?;
    let mut streams = statement.query_map([], stream)?.collect::<Result<Vec<_>, _>>()?;
    let mut consumers = connection
        .prepare("SELECT name, description FROM stream_consumers WHERE stream = ?1 ORDER BY name")?;
    let mut messages = connection.prepare(
        "SELECT sequence, time, subject, length(headers), length(payload), id, expires
         FROM stream_messages WHERE stream = ?1 ORDER BY sequence",
    )?;
    for stream in &mut streams {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        stream.consumers = consumers.query_map([&stream.name], pair)?.collect::<Result<_, _>>()?;
        stream.messages = messages.query_map([&stream.name], summary)?.collect::<Result<_, _>>()?;
    }
    Ok(streams)
}

fn stream(row: &Row<'_>) -> rusqlite::Result<StoredStream> {
    Ok(StoredStream {
        name: row.get(0)?,
        description: row.get(1)?,
        last_sequence: unsigned(row, 2)?,
        last_time: row.get(3)?,
        consumers: Vec::new(),
        messages: Vec::new(),
    })
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        sequence: unsigned(row, 0)?,
        time: row.get(1)?,
        subject: row.get(2)?,
        header_size: unsigned(row, 3)?,
        payload_size: unsigned(row, 4)?,
        id: row.get(5)?,
        expires: row.get(6)?,
    })
}

fn records(connection: &Connection, stream: &str, sequences: &[u64]) -> Result<Vec<Record>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, time, subject, headers, payload, id, expires
         FROM stream_messages WHERE stream = ?1 AND sequence = ?2",
    )?;
    let mut found = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        found.extend(statement.query_map(params![stream, number(*sequence)?], record)?.next().transpose()?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        sequence: unsigned(row, 0)?,
        time: row.get(1)?,
        subject: row.get(2)?,
        headers: row.get::<_, Vec<u8>>(3)?.into(),
        payload: row.get::<_, Vec<u8>>(4)?.into(),
        id: row.get(5)?,
        expires: row.get(6)?,
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn number(value: u64) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|_| Fault::Corrupt(format!("the number {value} is too large")))
}

#[cfg(test)]
mod tests {
    use flagbase_core::clock::SystemClock;
    use flagbase_nats::jetstream::Memory;

    use super::*;
    use crate::SqliteConfig;

    fn record(sequence: u64) -> Record {
        Record {
            sequence,
            time: 5,
            subject: "a.b".to_owned(),
            headers: "NATS/1.0\r\nA: b\r\n\r\n".into(),
            payload: vec![0, 255].into(),
            id: (sequence == 2).then(|| "two".to_owned()),
            expires: (sequence == 3).then_some(9),
        }
    }

    fn changes() -> Vec<Change> {
        let stream = || "s".to_owned();
        let described = |last_sequence| Change::Stream {
            name: stream(),
            description: format!("to {last_sequence}"),
            last_sequence,
            last_time: 5,
        };
        let consumer = |name: &str, text: &str| Change::Consumer {
            stream: stream(),
            name: name.to_owned(),
            description: text.to_owned(),
        };
        let mut changes = vec![described(0)];
        changes.extend((1..=4).map(|sequence| Change::Append { stream: stream(), record: record(sequence) }));
        changes.extend([
            Change::Remove { stream: stream(), sequences: vec![1, 9] },
            described(4),
            consumer("c", "old"),
            consumer("c", "new"),
            consumer("d", "gone"),
            Change::DropConsumer { stream: stream(), name: "d".to_owned() },
        ]);
        changes
    }

    #[tokio::test]
    async fn the_file_keeps_what_memory_keeps_and_across_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(directory.path().join("test.db"));
        let memory = Memory::new();
        memory.commit(changes()).await.unwrap();
        {
            let sqlite = Sqlite::open(&config, &SystemClock).unwrap();
            sqlite.commit(changes()).await.unwrap();
            sqlite.close().await;
        }
        let sqlite = Sqlite::open(&config, &SystemClock).unwrap();
        let kept = sqlite.load().await.unwrap();
        assert_eq!(kept, memory.load().await.unwrap());
        assert_eq!(kept.iter().map(|stream| stream.messages.len()).collect::<Vec<_>>(), [3]);
        let wanted = [4, 1, 2];
        let read = sqlite.read("s", &wanted).await.unwrap();
        assert_eq!(read, [record(2), record(4)]);
        assert_eq!(read, memory.read("s", &wanted).await.unwrap());
        sqlite.commit(vec![Change::DropStream { name: "s".to_owned() }]).await.unwrap();
        assert_eq!(
            (sqlite.load().await.unwrap(), sqlite.read("s", &wanted).await.unwrap()),
            (vec![], vec![])
        );
    }

    #[tokio::test]
    async fn all_changes_are_made_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let sqlite =
            Sqlite::open(&SqliteConfig::new(directory.path().join("test.db")), &SystemClock).unwrap();
        let twice = || Change::Append { stream: "s".to_owned(), record: record(1) };
        let described = Change::Stream {
            name: "s".to_owned(),
            description: String::new(),
            last_sequence: 1,
            last_time: 0,
        };
        assert!(sqlite.commit(vec![described, twice(), twice()]).await.is_err());
        assert_eq!(sqlite.load().await.unwrap(), []);
    }
}
