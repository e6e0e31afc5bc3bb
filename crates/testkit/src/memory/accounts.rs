//! Accounts in memory.

use async_trait::async_trait;
use flagbase_core::{
    accounts::{
        Accounts, AccountsError, Invitation, InvitationAsk, Session, User, UserPage, UserRef, UserWrite,
    },
    catalog::{CatalogError, Change, Commit},
};
use jiff::Timestamp;

use super::{Memory, People, State};

impl State {
    /// Does `work` on a copy of the people and appends `notice`, or changes nothing.
    fn write(
        &mut self,
        notice: Commit,
        work: impl FnOnce(&mut People) -> Result<(), AccountsError>,
    ) -> Result<Vec<Change>, AccountsError> {
        let mut people = self.people.clone();
        work(&mut people)?;
        let prepared = self.log.prepare(notice).map_err(|error| match error {
            CatalogError::Conflict { .. } | CatalogError::NotEmpty(_) => AccountsError::Conflict,
            CatalogError::Unavailable(source) => AccountsError::Unavailable(source),
            CatalogError::Corrupt(source) => AccountsError::Corrupt(source),
        })?;
        self.people = people;
        Ok(self.log.keep(prepared))
    }
}

impl People {
    fn apply(&mut self, write: UserWrite, at: Timestamp) -> Result<(), AccountsError> {
        match write {
            UserWrite::Create { user, invitation, first_admin } => {
                if first_admin && self.has_admin() {
                    return Err(AccountsError::AdminExists);
                }
                if let Some(hash) = invitation {
                    self.consume(&hash, &user, at)?;
                }
                self.refuse_taken(&user)?;
                if self.users.insert(user.id.clone(), user).is_some() {
                    return Err(AccountsError::Exists);
                }
            }
            UserWrite::Update { mut user, end_sessions } => {
                self.refuse_stale(&user.id, user.version)?;
                self.refuse_taken(&user)?;
                if end_sessions {
                    let sessions = self.sessions.values_mut();
                    sessions.filter(|session| session.user_id == user.id).for_each(|session| {
                        session.revoked_at.get_or_insert(at);
                    });
                }
                user.version += 1;
                self.users.insert(user.id.clone(), user);
            }
            UserWrite::Delete { id, version } => {
                self.refuse_stale(&id, version)?;
                self.users.remove(&id);
                self.sessions.retain(|_, session| session.user_id != id);
            }
        }
        Ok(())
    }

    fn has_admin(&self) -> bool {
        self.users.values().any(|user| &*user.role == "admin" && !user.disabled)
    }

    fn consume(&mut self, hash: &str, user: &User, now: Timestamp) -> Result<(), AccountsError> {
        let invitation = self.invitations.remove(hash).ok_or(AccountsError::Conflict)?;
        let meant = invitation.email.is_none_or(|email| folded(&email) == folded(&user.email));
        if invitation.expires_at > now && meant { Ok(()) } else { Err(AccountsError::Conflict) }
    }

    fn refuse_taken(&self, user: &User) -> Result<(), AccountsError> {
        let email = folded(&user.email);
        let taken = |other: &User| other.id != user.id && folded(&other.email) == email;
        if self.users.values().any(taken) { Err(AccountsError::Exists) } else { Ok(()) }
    }

    fn refuse_stale(&self, id: &str, version: u64) -> Result<(), AccountsError> {
        match self.users.get(id) {
            Some(user) if user.version == version => Ok(()),
            _ => Err(AccountsError::Conflict),
        }
    }

    fn put(&mut self, mut session: Session) -> Result<(), AccountsError> {
        if !self.users.contains_key(&session.user_id) {
            return Err(AccountsError::Conflict);
        }
        self.sessions.retain(|id, other| {
            other.user_id != session.user_id || other.expires_at > session.created_at || *id == session.id
        });
        if let Some(old) = self.sessions.get(&session.id) {
            session.revoked_at = old.revoked_at.or(session.revoked_at);
            session.user_id = old.user_id.clone();
            session.created_at = old.created_at;
        }
        self.sessions.insert(session.id.clone(), session);
        Ok(())
    }
}

fn folded(email: &str) -> String {
    email.to_lowercase()
}

#[async_trait]
impl Accounts for Memory {
    async fn write_user(&self, write: UserWrite, notice: Commit) -> Result<Vec<Change>, AccountsError> {
        let at = notice.at;
        self.state.lock().write(notice, |people| people.apply(write, at))
    }

    async fn user(&self, by: UserRef<'_>) -> Result<Option<User>, AccountsError> {
        let state = self.state.lock();
        let mut users = state.people.users.values();
        Ok(match by {
            UserRef::Id(id) => users.find(|user| *user.id == *id),
            UserRef::Email(email) => users.find(|user| folded(&user.email) == folded(email)),
        }
        .cloned())
    }

    async fn users(&self, page: UserPage) -> Result<Vec<User>, AccountsError> {
        let after = folded(&page.after.unwrap_or_default());
        let search = folded(&page.search.unwrap_or_default());
        let state = self.state.lock();
        let mut users: Vec<_> = state.people.users.values().cloned().collect();
        users.retain(|user| folded(&user.email) > after && folded(&user.email).contains(&search));
        users.sort_by_key(|user| folded(&user.email));
        users.truncate(page.limit as usize);
        Ok(users)
    }

    async fn has_admin(&self) -> Result<bool, AccountsError> {
        Ok(self.state.lock().people.has_admin())
    }

    async fn write_session(&self, session: Session, notice: Commit) -> Result<Vec<Change>, AccountsError> {
        self.state.lock().write(notice, |people| people.put(session))
    }

    async fn session(&self, id: &str) -> Result<Option<(Session, User)>, AccountsError> {
        let state = self.state.lock();
        let session = state.people.sessions.get(id);
        let user = session.and_then(|session| state.people.users.get(&session.user_id));
        Ok(session.cloned().zip(user.cloned()))
    }

    async fn sessions(&self, user_id: &str, now: Timestamp) -> Result<Vec<Session>, AccountsError> {
        let state = self.state.lock();
        let mut sessions: Vec<_> = state.people.sessions.values().cloned().collect();
        sessions.retain(|session| {
            *session.user_id == *user_id && session.revoked_at.is_none() && session.expires_at > now
        });
        sessions.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(sessions)
    }

    async fn invitations(&self, ask: InvitationAsk) -> Result<Vec<Invitation>, AccountsError> {
        let people = &mut self.state.lock().people;
        match ask {
            InvitationAsk::Find(hash) => Ok(people.invitations.get(&hash).cloned().into_iter().collect()),
            InvitationAsk::Remove(hash) => Ok(people.invitations.remove(&hash).into_iter().collect()),
            InvitationAsk::Open(now) => {
                let mut open: Vec<_> = people.invitations.values().cloned().collect();
                open.retain(|invitation| !invitation.setup && invitation.expires_at > now);
                open.sort_by_key(|invitation| (invitation.expires_at, invitation.token_hash.clone()));
                Ok(open)
            }
            InvitationAsk::Put(invitation) => {
                if invitation.setup {
                    people.invitations.retain(|_, other| !other.setup);
                }
                people.invitations.insert(invitation.token_hash.clone(), invitation.clone());
                Ok(vec![invitation])
            }
        }
    }
}
