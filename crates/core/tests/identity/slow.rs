//! Accounts that can be held up in the middle of a read.

use std::sync::Arc;

use async_trait::async_trait;
use flagbase_core::{
    accounts::{
        Accounts, AccountsError, Invitation, InvitationAsk, Session, User, UserPage, UserRef, UserWrite,
    },
    catalog::{Change, Commit},
};
use flagbase_testkit::Memory;
use jiff::Timestamp;
use tokio::sync::Semaphore;

/// Reads sessions at once, and hands them out when it is let.
pub(crate) struct Slow {
    pub(crate) inner: Memory,
    /// Gets a permit for every session that was read.
    pub(crate) read: Arc<Semaphore>,
    /// Takes a permit for every session that is handed out.
    pub(crate) let_go: Arc<Semaphore>,
}

impl Slow {
    async fn hold_up(&self) {
        self.read.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl Accounts for Slow {
    async fn session(&self, id: &str) -> Result<Option<(Session, User)>, AccountsError> {
        let found = self.inner.session(id).await;
        self.hold_up().await;
        found
    }

    async fn sessions(&self, user_id: &str, now: Timestamp) -> Result<Vec<Session>, AccountsError> {
        let found = self.inner.sessions(user_id, now).await;
        self.hold_up().await;
        found
    }

    async fn write_user(&self, write: UserWrite, notice: Commit) -> Result<Vec<Change>, AccountsError> {
        self.inner.write_user(write, notice).await
    }

    async fn user(&self, by: UserRef<'_>) -> Result<Option<User>, AccountsError> {
        self.inner.user(by).await
    }

    async fn users(&self, page: UserPage) -> Result<Vec<User>, AccountsError> {
        self.inner.users(page).await
    }

    async fn has_admin(&self) -> Result<bool, AccountsError> {
        self.inner.has_admin().await
    }

    async fn write_session(&self, session: Session, notice: Commit) -> Result<Vec<Change>, AccountsError> {
        self.inner.write_session(session, notice).await
    }

    async fn invitations(&self, ask: InvitationAsk) -> Result<Vec<Invitation>, AccountsError> {
        self.inner.invitations(ask).await
    }
}
