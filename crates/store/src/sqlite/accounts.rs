//! Accounts on SQLite.

use async_trait::async_trait;
use flagbase_core::{
    accounts::{
        Accounts, AccountsError, Invitation, InvitationAsk, Session, User, UserPage, UserRef, UserWrite,
    },
    catalog::{CatalogError, Change, Commit},
};
use jiff::Timestamp;
use rusqlite::Connection;

use super::{Sqlite, changelog, fault::Fault, writer::Stop};

mod invitations;
mod sessions;
mod users;

type Written<T> = Result<T, Stop<AccountsError>>;

#[async_trait]
impl Accounts for Sqlite {
    async fn write_user(&self, write: UserWrite, notice: Commit) -> Result<Vec<Change>, AccountsError> {
        self.inner
            .writer
            .write(move |connection| {
                match write {
                    UserWrite::Create { user, invitation, first_admin } => {
                        if first_admin && users::has_admin(connection)? {
                            return Err(Stop::Refused(AccountsError::AdminExists));
                        }
                        if let Some(hash) = invitation {
                            invitations::consume(connection, &hash, &user, notice.at)?;
                        }
                        users::create(connection, &user)?;
                    }
                    UserWrite::Update { user, end_sessions } => {
                        users::update(connection, &user)?;
                        if end_sessions {
                            sessions::end_all(connection, &user.id, notice.at)?;
                        }
                    }
                    UserWrite::Delete { id, version } => users::delete(connection, &id, version)?,
                }
                log(connection, notice)
            })
            .await
    }

    async fn user(&self, by: UserRef<'_>) -> Result<Option<User>, AccountsError> {
        let query = users::Lookup::from(by);
        Ok(self.inner.readers.read(move |connection| users::find(connection, &query)).await?)
    }

    async fn users(&self, page: UserPage) -> Result<Vec<User>, AccountsError> {
        Ok(self.inner.readers.read(move |connection| users::list(connection, &page)).await?)
    }

    async fn has_admin(&self) -> Result<bool, AccountsError> {
        Ok(self.inner.readers.read(users::has_admin).await?)
    }

    async fn write_session(&self, session: Session, notice: Commit) -> Result<Vec<Change>, AccountsError> {
        self.inner
            .writer
            .write(move |connection| {
                sessions::put(connection, &session)?;
                log(connection, notice)
            })
            .await
    }

    async fn session(&self, id: &str) -> Result<Option<(Session, User)>, AccountsError> {
        let id = id.to_owned();
        Ok(self.inner.readers.read(move |connection| sessions::find(connection, &id)).await?)
    }

    async fn sessions(&self, user_id: &str, now: Timestamp) -> Result<Vec<Session>, AccountsError> {
        let user_id = user_id.to_owned();
        let query = move |connection: &Connection| sessions::live(connection, &user_id, now);
        Ok(self.inner.readers.read(query).await?)
    }

    async fn invitations(&self, ask: InvitationAsk) -> Result<Vec<Invitation>, AccountsError> {
        let found = match ask {
            InvitationAsk::Open(now) => {
                let query = move |connection: &Connection| invitations::open(connection, now);
                return Ok(self.inner.readers.read(query).await?);
            }
            InvitationAsk::Find(hash) => {
                let query = move |connection: &Connection| invitations::find(connection, &hash);
                self.inner.readers.read(query).await?
            }
            InvitationAsk::Remove(hash) => {
                let work = move |connection: &Connection| Ok(invitations::remove(connection, &hash)?);
                self.inner.writer.write::<_, AccountsError, _>(work).await?
            }
            InvitationAsk::Put(invitation) => {
                let work = move |connection: &Connection| {
                    invitations::put(connection, &invitation)?;
                    Ok(Some(invitation))
                };
                self.inner.writer.write::<_, AccountsError, _>(work).await?
            }
        };
        Ok(found.into_iter().collect())
    }
}

/// Appends the notices that go with a write.
fn log(connection: &Connection, notice: Commit) -> Written<Vec<Change>> {
    changelog::append(connection, notice).map_err(|stop| match stop {
        Stop::Refused(CatalogError::Conflict { .. } | CatalogError::NotEmpty(_)) => {
            Stop::Refused(AccountsError::Conflict)
        }
        Stop::Refused(CatalogError::Unavailable(source)) => Stop::Refused(AccountsError::Unavailable(source)),
        Stop::Refused(CatalogError::Corrupt(source)) => Stop::Refused(AccountsError::Corrupt(source)),
        Stop::Fault(fault) => Stop::Fault(fault),
    })
}

/// Refuses when a statement met no row: somebody else was faster.
fn one(rows: usize) -> Written<()> {
    if rows == 1 { Ok(()) } else { Err(Stop::Refused(AccountsError::Conflict)) }
}

/// Turns a broken constraint into the port's word for it.
fn constraint(error: rusqlite::Error, meaning: AccountsError) -> Stop<AccountsError> {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => Stop::Refused(meaning),
        _ => Stop::Fault(Fault::from(error)),
    }
}
