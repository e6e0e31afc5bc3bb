//! Writes to the accounts, each followed by its application on this node, and never given up half way.

use std::{future::Future, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    accounts::{Accounts, Session, User, UserPage, UserRef, UserWrite},
    catalog::{Actor, Commit, DocumentId, Draft, Expect, Kind, Write},
    feed::Feed,
    refusal::{Class, Refusal},
    roles::ADMIN,
};

/// Users looked through at once when the last administrator is at stake.
const PAGE: u32 = 500;

/// Writes accounts. Cheap to clone, so that a write can outlive the request that asked for it.
#[derive(Clone)]
pub(super) struct Writer {
    accounts: Arc<dyn Accounts>,
    feed: Arc<Feed>,
}

/// What is told about a change of a user or session.
pub(super) struct Notice {
    pub(super) actor: Actor,
    pub(super) reason: String,
    pub(super) verb: &'static str,
    pub(super) detail: Value,
}

impl Writer {
    pub(super) fn new(accounts: Arc<dyn Accounts>, feed: Arc<Feed>) -> Self {
        Self { accounts, feed }
    }

    /// Makes the account.
    pub(super) async fn create(&self, write: UserWrite, id: Arc<str>, notice: Notice) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move { this.write(write, this.commit(Kind::User, &id, notice)).await }).await
    }

    /// Stores `user`, read at `user.version`; `end_sessions` ends them all.
    ///
    /// Fails when that would leave nobody to administer. Two such changes cannot pass each other: they take turns.
    pub(super) async fn update(&self, user: User, end_sessions: bool, notice: Notice) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move {
            let _turn = this.feed.edit().await;
            if user.disabled || *user.role != *ADMIN {
                this.keep_an_admin(&user.id).await?;
            }
            let commit = this.commit(Kind::User, &user.id, notice);
            this.write(UserWrite::Update { user, end_sessions }, commit).await
        })
        .await
    }

    /// Removes a user read at `version`.
    pub(super) async fn delete(&self, id: Arc<str>, version: u64, notice: Notice) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move {
            let _turn = this.feed.edit().await;
            this.keep_an_admin(&id).await?;
            let commit = this.commit(Kind::User, &id, notice);
            this.write(UserWrite::Delete { id, version }, commit).await
        })
        .await
    }

    /// Stores a better hash of the same password; nothing that anybody could notice, so nothing is logged.
    pub(super) async fn rehash(&self, user: User) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move {
            let commit = this.feed.draft(Actor::system(), "", Vec::new());
            this.write(UserWrite::Update { user, end_sessions: false }, commit).await
        })
        .await
    }

    /// Stores a new session; logins are too many for the change log.
    pub(super) async fn begin_session(&self, session: Session) -> Result<(), Refusal> {
        let commit = self.feed.draft(Actor::system(), "", Vec::new());
        self.accounts.write_session(session, commit).await?;
        Ok(())
    }

    /// Ends a session at `now`; ending it twice is fine.
    ///
    /// Takes its turn with whoever else changes sessions (overrides), so that none of them writes it back alive.
    pub(super) async fn end_session(
        &self,
        id: Arc<str>,
        now: Timestamp,
        actor: Actor,
    ) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move {
            let _turn = this.feed.edit().await;
            let Some((mut session, _)) = this.accounts.session(&id).await? else {
                return Ok(());
            };
            if session.revoked_at.is_some() {
                return Ok(());
            }
            session.revoked_at = Some(now);
            let detail = json!({"user_id": session.user_id});
            let notice = Notice { actor, reason: String::new(), verb: "revoked", detail };
            let commit = this.commit(Kind::Session, &id, notice);
            let changes = this.accounts.write_session(session, commit).await?;
            this.feed.applied(changes).await?;
            Ok(())
        })
        .await
    }

    /// Fails when `user` is the only enabled administrator.
    async fn keep_an_admin(&self, user: &str) -> Result<(), Refusal> {
        let before = self.accounts.user(UserRef::Id(user)).await?;
        if !before.as_ref().is_some_and(is_admin) {
            return Ok(());
        }
        let mut page = UserPage { limit: PAGE, ..UserPage::default() };
        loop {
            let users = self.accounts.users(page.clone()).await?;
            if users.iter().any(|other| is_admin(other) && *other.id != *user) {
                return Ok(());
            }
            match users.last() {
                Some(last) if users.len() >= PAGE as usize => {
                    page.after = Some(last.email.to_string());
                }
                _ => break,
            }
        }
        Err(Refusal::new(
            Class::Conflict,
            "last_admin",
            "this is the last administrator; make another one first, then change or remove this one",
        ))
    }

    async fn write(&self, write: UserWrite, commit: Commit) -> Result<(), Refusal> {
        let changes = self.accounts.write_user(write, commit).await?;
        self.feed.applied(changes).await?;
        Ok(())
    }

    fn commit(&self, kind: Kind, key: &str, notice: Notice) -> Commit {
        let draft = Draft {
            id: DocumentId::new(kind, "", key),
            verb: notice.verb,
            expect: Expect::Any,
            write: Write::Nothing,
            detail: notice.detail,
        };
        self.feed.draft(notice.actor, &notice.reason, vec![draft])
    }

    /// The user called `id`.
    pub(super) async fn user(&self, id: &str) -> Result<User, Refusal> {
        self.accounts.user(UserRef::Id(id)).await?.ok_or_else(|| {
            let id: String = id.chars().take(64).collect();
            Refusal::not_found("user_not_found", format!("user `{id}` does not exist"))
        })
    }
}

fn is_admin(user: &User) -> bool {
    !user.disabled && *user.role == *ADMIN
}

/// Runs a write to its end, whatever becomes of whoever asked for it.
pub(super) async fn finish<T: Send + 'static>(
    write: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    Feed::finish(write).await.unwrap_or_else(|| {
        Err(Refusal::new(Class::Internal, "internal", "the change was interrupted; see the server's log"))
    })
}
