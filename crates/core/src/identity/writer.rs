//! Writes to the accounts, each followed by its application on this node, and never given up half way.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::withdrawal;
use crate::{
    accounts::{Accounts, Session, User, UserPage, UserRef, UserWrite},
    caller::Caller,
    catalog::{Actor, Commit, DocumentId, Draft, Expect, Kind, Revision, Write},
    feed::Feed,
    keys::ApiKey,
    refusal::{Class, Refusal},
    roles::{ADMIN, Role},
    snapshot::Snapshot,
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
    /// The keys he made go in the same step when he is disabled, or as far as they permit more than he may do himself.
    /// Fails when nobody would be left to administer. Two such changes cannot pass each other: they take turns.
    pub(super) async fn update(&self, user: User, end_sessions: bool, notice: Notice) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move {
            let _turn = this.feed.edit().await;
            if user.disabled || *user.role != *ADMIN {
                this.keep_an_admin(&user.id).await?;
            }
            let snapshot = this.present().await?;
            let keys = if user.disabled {
                withdrawal::of_nobody(&snapshot, &user.id, "its maker was disabled")
            } else {
                withdrawal::of_somebody(&snapshot, &user, "it permits more than its maker may do now")
            };
            let commit = this.commit_with(draft(Kind::User, &user.id, notice), keys);
            this.write(UserWrite::Update { user, end_sessions }, commit).await
        })
        .await
    }

    /// Removes a user read at `version`, and the keys he made.
    pub(super) async fn delete(&self, id: Arc<str>, version: u64, notice: Notice) -> Result<(), Refusal> {
        let this = self.clone();
        finish(async move {
            let _turn = this.feed.edit().await;
            this.keep_an_admin(&id).await?;
            let keys = withdrawal::of_nobody(&*this.present().await?, &id, "its maker was removed");
            let commit = this.commit_with(draft(Kind::User, &id, notice), keys);
            this.write(UserWrite::Delete { id, version }, commit).await
        })
        .await
    }

    /// Stores a new key. What its maker may do is looked at again in turn: he may have been demoted since he asked.
    pub(super) async fn create_key(
        &self,
        caller: &Caller,
        reason: &str,
        key: ApiKey,
    ) -> Result<Revision, Refusal> {
        let (this, actor, reason) = (self.clone(), caller.actor(), reason.to_owned());
        let body = serde_json::to_value(&key).map_err(|error| unwritable("key").because(error))?;
        finish(async move {
            let turn = this.feed.edit().await;
            let snapshot = this.present().await?;
            let maker = this.accounts.user(UserRef::Id(&key.created_by)).await?;
            let maker = maker.filter(|user| !user.disabled).map(|user| Caller::of_account(&user));
            if !maker.is_some_and(|maker| withdrawal::covers(&snapshot, &maker, &key)) {
                let message = "what you may do was changed meanwhile; ask for the key again";
                return Err(Refusal::new(Class::Conflict, "user_changed", message));
            }
            let draft = Draft {
                id: DocumentId::new(Kind::ApiKey, "", &key.id),
                verb: "created",
                expect: Expect::Absent,
                write: Write::Put(body),
                detail: Value::Null,
            };
            let changes = turn.commit(actor, &reason, vec![draft]).await?;
            Ok(changes.last().map_or(0, |change| change.revision))
        })
        .await
    }

    /// Commits a change of the role called `key`, which is `next` afterwards, and in the same step withdraws the keys of
    /// its holders as far as they permit more than those may do themselves then.
    pub(super) async fn write_role(
        &self,
        (actor, reason): (Actor, &str),
        (change, key, next): (Draft, &str, Option<Role>),
    ) -> Result<Revision, Refusal> {
        let (this, reason, key) = (self.clone(), reason.to_owned(), key.to_owned());
        finish(async move {
            let turn = this.feed.edit().await;
            let then = Snapshot::clone(&*this.present().await?).with_role(&key, next);
            let mut drafts = vec![change];
            let makers: BTreeSet<_> = then.keys().map(|key| key.created_by.as_str()).collect();
            for maker in makers {
                let holder = this.accounts.user(UserRef::Id(maker)).await?.filter(|user| holds(user, &key));
                if let Some(holder) = holder {
                    let because = "the role of its maker permits less now";
                    drafts.extend(withdrawal::of_somebody(&then, &holder, because));
                }
            }
            let changes = turn.commit(actor, &reason, drafts).await?;
            Ok(changes.first().map_or(0, |change| change.revision))
        })
        .await
    }

    /// The snapshot with everything that was logged, also by others. To be called in turn.
    async fn present(&self) -> Result<Arc<Snapshot>, Refusal> {
        self.feed.catch_up().await?;
        Ok(self.feed.snapshots().get())
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
        self.commit_with(draft(kind, key, notice), Vec::new())
    }

    fn commit_with(&self, (actor, reason, first): (Actor, String, Draft), more: Vec<Draft>) -> Commit {
        let drafts = std::iter::once(first).chain(more).collect();
        self.feed.draft(actor, &reason, drafts)
    }

    /// The user called `id`.
    pub(super) async fn user(&self, id: &str) -> Result<User, Refusal> {
        self.accounts.user(UserRef::Id(id)).await?.ok_or_else(|| {
            let id: String = id.chars().take(64).collect();
            Refusal::not_found("user_not_found", format!("user `{id}` does not exist"))
        })
    }
}

/// A notice as it is logged: it touches no document of the catalog.
fn draft(kind: Kind, key: &str, notice: Notice) -> (Actor, String, Draft) {
    let draft = Draft {
        id: DocumentId::new(kind, "", key),
        verb: notice.verb,
        expect: Expect::Any,
        write: Write::Nothing,
        detail: notice.detail,
    };
    (notice.actor, notice.reason, draft)
}

fn holds(user: &User, role: &str) -> bool {
    *user.role == *role || user.grants.iter().any(|grant| *grant.role == *role)
}

fn unwritable(what: &str) -> Refusal {
    Refusal::new(Class::Internal, "internal", format!("the {what} cannot be written"))
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
