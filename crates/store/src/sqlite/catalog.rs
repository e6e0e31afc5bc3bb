//! The catalog on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use flagbase_core::catalog::{
    Catalog, CatalogError, Change, Commit, Document, DocumentId, Kind, Page, Revision,
};
use rusqlite::{Connection, Row, params};
use tokio::sync::mpsc;

use super::{
    Sqlite, changelog,
    columns::{folded, json, kind, revision, time},
    fault::Fault,
};

const COLUMNS: &str = "kind, environment, key, revision, body, created_at, updated_at";
/// Documents handed over at once while scanning, and batches that may wait.
const BATCH: usize = 256;
const BATCHES: usize = 4;

#[async_trait]
impl Catalog for Sqlite {
    async fn commit(&self, commit: Commit) -> Result<Vec<Change>, CatalogError> {
        self.inner.writer.write(move |connection| changelog::append(connection, commit)).await
    }

    async fn get(&self, id: &DocumentId) -> Result<Option<Document>, CatalogError> {
        let id = id.clone();
        Ok(self.inner.readers.read(move |connection| find(connection, &id)).await?)
    }

    async fn list(&self, kind: Kind, environment: &str, page: Page) -> Result<Vec<Document>, CatalogError> {
        let environment = environment.to_owned();
        let query = move |connection: &Connection| list(connection, kind, &environment, &page);
        Ok(self.inner.readers.read(query).await?)
    }

    async fn scan(&self, each: &mut (dyn FnMut(Document) + Send)) -> Result<Revision, CatalogError> {
        let (batches, mut received) = mpsc::channel(BATCHES);
        let query = self.inner.readers.read(move |connection| scan(connection, &batches));
        let receive = async {
            while let Some(batch) = received.recv().await {
                for document in batch {
                    each(document);
                }
            }
        };
        let (head, ()) = tokio::join!(query, receive);
        Ok(head?)
    }

    async fn changes(&self, after: Revision, limit: u32) -> Result<Vec<Change>, CatalogError> {
        let query = move |connection: &Connection| changelog::after(connection, after, limit);
        Ok(self.inner.readers.read(query).await?)
    }

    async fn history(
        &self,
        id: &DocumentId,
        before: Option<Revision>,
        limit: u32,
    ) -> Result<Vec<Change>, CatalogError> {
        let id = id.clone();
        let query = move |connection: &Connection| changelog::history(connection, &id, before, limit);
        Ok(self.inner.readers.read(query).await?)
    }

    async fn head(&self) -> Result<Revision, CatalogError> {
        Ok(self.inner.readers.read(changelog::head).await?)
    }
}

fn find(connection: &Connection, id: &DocumentId) -> Result<Option<Document>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM documents WHERE kind = ?1 AND environment = ?2 AND key = ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id.kind.as_str(), id.environment, id.key])?;
    rows.next()?.map(document).transpose()
}

fn list(connection: &Connection, kind: Kind, environment: &str, page: &Page) -> Result<Vec<Document>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM documents WHERE kind = ?1 AND environment = ?2 AND key > ?3 \
         AND (?4 = '' OR instr(search, ?4) > 0) ORDER BY key LIMIT ?5"
    );
    let after = page.after.as_deref().unwrap_or_default();
    let search = folded(page.search.as_deref().unwrap_or_default());
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![kind.as_str(), environment, after, search, page.limit];
    statement.query_and_then(values, document)?.collect()
}

/// Reads everything in one transaction; ends early when nobody receives any more.
fn scan(connection: &Connection, batches: &mpsc::Sender<Vec<Document>>) -> Result<Revision, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let head = changelog::head(&snapshot)?;
    let mut statement = snapshot.prepare_cached(&format!("SELECT {COLUMNS} FROM documents"))?;
    let mut rows = statement.query([])?;
    let mut batch = Vec::with_capacity(BATCH);
    let mut environment: Arc<str> = "".into();
    while let Some(row) = rows.next()? {
        let mut next = document(row)?;
        // Neighbours usually share their environment: one string for all of them.
        if next.id.environment == environment {
            next.id.environment = Arc::clone(&environment);
        } else {
            environment = Arc::clone(&next.id.environment);
        }
        batch.push(next);
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if batches.blocking_send(full).is_err() {
                return Ok(head);
            }
        }
    }
    drop(batches.blocking_send(batch));
    Ok(head)
}

// By position, not by name: this runs 100 000 times in a scan.
fn document(row: &Row<'_>) -> Result<Document, Fault> {
    Ok(Document {
        id: DocumentId { kind: kind(row, 0)?, environment: row.get(1)?, key: row.get(2)? },
        revision: revision(row, 3)?,
        body: json(row, 4)?,
        created_at: time(row, 5)?,
        updated_at: time(row, 6)?,
    })
}
