//! Sessions: which there are, and their end.

use std::sync::Arc;

use serde_json::json;

use super::{Identity, SessionInfo, login::own_session, writer::Notice};
use crate::{caller::Caller, refusal::Refusal};

impl Identity {
    /// The caller's own sessions, newest first.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionInfo>, Refusal> {
        let current = own_session(caller)?;
        let sessions = self.accounts.sessions(&caller.id, self.clock.now()).await?;
        Ok(sessions.into_iter().map(|session| SessionInfo::of(session, Some(current))).collect())
    }

    /// Ends one of the caller's own sessions. Those of others do not exist for him.
    pub async fn end_session(&self, caller: &Caller, id: &str) -> Result<(), Refusal> {
        own_session(caller)?;
        let found = self.accounts.session(id).await?;
        match found {
            Some((session, _)) if session.user_id == caller.id => {
                self.writer.end_session(session.id, self.clock.now(), caller.actor()).await
            }
            _ => {
                let id: String = id.chars().take(64).collect();
                Err(Refusal::not_found("session_not_found", format!("you have no session `{id}`")))
            }
        }
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions(&self, caller: &Caller, user: &str, reason: &str) -> Result<(), Refusal> {
        self.require_manager(caller)?;
        let mut user = self.writer.user(user).await?;
        self.may_change(caller, &user)?;
        user.updated_at = self.clock.now();
        let notice = Notice {
            actor: caller.actor(),
            reason: reason.to_owned(),
            verb: "updated",
            detail: json!({"changed": ["sessions"]}),
        };
        self.writer.update(user, true, notice).await
    }

    /// The sessions of any user, newest first, for administrators.
    pub async fn sessions_of(&self, caller: &Caller, user: &str) -> Result<Vec<SessionInfo>, Refusal> {
        self.require_manager(caller)?;
        let user = self.writer.user(user).await?;
        let sessions = self.accounts.sessions(&user.id, self.clock.now()).await?;
        let current: Option<&Arc<str>> = caller.session.as_ref();
        Ok(sessions.into_iter().map(|session| SessionInfo::of(session, current)).collect())
    }
}
