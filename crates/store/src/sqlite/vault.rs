//! Sealed secrets on SQLite.

use async_trait::async_trait;
use flagbase_core::{
    catalog::{CatalogError, Change, Commit, DocumentId},
    functions::vault::{Sealed, Vault, VaultError},
};
use rusqlite::{Connection, params};

use super::{
    Sqlite, changelog,
    columns::{nanos, time},
    fault::Fault,
    writer::Stop,
};

#[async_trait]
impl Vault for Sqlite {
    async fn put(
        &self,
        function: &DocumentId,
        secret: Sealed,
        commit: Commit,
    ) -> Result<Vec<Change>, VaultError> {
        let function = function.clone();
        self.inner
            .writer
            .write(move |connection| {
                put(connection, &function, &secret)?;
                log(connection, commit)
            })
            .await
    }

    async fn sealed(&self, function: &DocumentId) -> Result<Vec<Sealed>, VaultError> {
        let function = function.clone();
        Ok(self.inner.readers.read(move |connection| sealed(connection, &function)).await?)
    }

    async fn delete(
        &self,
        function: &DocumentId,
        name: &str,
        commit: Commit,
    ) -> Result<Option<Vec<Change>>, VaultError> {
        let (function, name) = (function.clone(), name.to_owned());
        self.inner
            .writer
            .write(move |connection| {
                let sql =
                    "DELETE FROM function_secrets WHERE environment = ?1 AND function = ?2 AND name = ?3";
                let values = params![function.environment, function.key, name];
                let gone = connection.prepare_cached(sql)?.execute(values)?;
                if gone == 0 { Ok(None) } else { log(connection, commit).map(Some) }
            })
            .await
    }
}

fn put(connection: &Connection, function: &DocumentId, secret: &Sealed) -> Result<(), Fault> {
    let sql = "INSERT INTO function_secrets (environment, function, name, key_id, sealed, set_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (environment, function, name) DO UPDATE SET \
         key_id = excluded.key_id, sealed = excluded.sealed, set_at = excluded.set_at";
    let Sealed { name, key_id, bytes, set_at } = secret;
    let values = params![function.environment, function.key, name, key_id, bytes, nanos(*set_at)];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn sealed(connection: &Connection, function: &DocumentId) -> Result<Vec<Sealed>, Fault> {
    let sql = "SELECT name, key_id, sealed, set_at FROM function_secrets \
         WHERE environment = ?1 AND function = ?2 ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_and_then(params![function.environment, function.key], |row| {
            Ok(Sealed { name: row.get(0)?, key_id: row.get(1)?, bytes: row.get(2)?, set_at: time(row, 3)? })
        })?
        .collect()
}

/// Appends what goes with a write.
fn log(connection: &Connection, commit: Commit) -> Result<Vec<Change>, Stop<VaultError>> {
    changelog::append(connection, commit).map_err(|stop| match stop {
        Stop::Refused(CatalogError::Corrupt(source)) => Stop::Refused(VaultError::Corrupt(source)),
        Stop::Refused(CatalogError::Unavailable(source)) => Stop::Refused(VaultError::Unavailable(source)),
        Stop::Refused(conflict @ (CatalogError::Conflict { .. } | CatalogError::NotEmpty(_))) => {
            Stop::Refused(VaultError::Unavailable(conflict.into()))
        }
        Stop::Fault(fault) => Stop::Fault(fault),
    })
}
