//! Who comes in, and who has to leave.
//!
//! A token is a session's or an API key's, and what it permits is what it permits everywhere else. The door follows the
//! change log: whoever may do less, or something else, than when he came in is disconnected before what happened after
//! that is published, and comes back with what he may do now.

mod held;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use flagbase_core::{
    caller::Caller,
    catalog::{Change, Revision},
    events::{Rights, Subjects},
    refusal::{Class, Refusal},
    tasks::Tasks,
};
use flagbase_nats::{Access, Admitted, Credentials, Denied, Identity, Permissions, Rules, Server};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Authority;
use held::{Held, Holder, Holders};

/// Changes read at once.
const BATCH: u32 = 256;

/// How often it is looked for clients that came in while they lost what they may do.
const SWEEP: Duration = Duration::from_secs(1);

/// Subscriptions of one client, at most.
const MOST_SUBSCRIPTIONS: usize = 10_000;

/// The door of the embedded server.
pub(super) struct Door {
    authority: Authority,
    anonymous: bool,
    holders: Mutex<Holders>,
    server: OnceLock<Server>,
    reached: watch::Sender<Revision>,
}

/// What becomes of somebody after a change that may concern him.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// He may do the same as before.
    Stays,
    /// He may do something else, and has to come in anew for it.
    Returns,
    /// What he came in with is worth nothing any more.
    Ended,
}

impl Door {
    pub(super) fn new(authority: Authority, anonymous: bool) -> Self {
        // Nobody is in yet, so nobody has to leave because of what is in the log already.
        let head = authority.feed.snapshots().load().revision;
        Self {
            authority,
            anonymous,
            holders: Mutex::default(),
            server: OnceLock::new(),
            reached: watch::Sender::new(head),
        }
    }

    /// Follows the change log until `tasks` end.
    pub(super) fn start(self: Arc<Self>, server: Server, tasks: &Tasks) {
        let _ = self.server.set(server);
        let stop = tasks.stopping();
        let mut head = self.authority.feed.follow();
        tasks.spawn("events.door", async move {
            loop {
                let woken = async {
                    tokio::select! {
                        changed = head.changed() => changed.is_ok(),
                        () = tokio::time::sleep(SWEEP) => true,
                    }
                };
                if stop.run_until_cancelled(woken).await != Some(true) {
                    return;
                }
                self.catch_up().await;
                self.sweep();
            }
        });
    }

    /// Waits until everything up to `revision`, as far as this node knows of it, has been applied to who is connected.
    pub(super) async fn reached(&self, revision: Revision) {
        let revision = revision.min(self.authority.feed.snapshots().load().revision);
        let mut reached = self.reached.subscribe();
        // It ends with this door, which is borrowed.
        let _ = reached.wait_for(|reached| *reached >= revision).await;
    }

    async fn catch_up(&self) {
        let feed = &self.authority.feed;
        loop {
            let (reached, head) = (*self.reached.borrow(), feed.snapshots().load().revision);
            if reached >= head {
                return;
            }
            let changes = match feed.catalog().changes(reached, BATCH).await {
                Ok(changes) => changes,
                Err(error) => {
                    // Nothing is published meanwhile that somebody might not be meant to see: it waits for this.
                    tracing::warn!(%error, "who may listen cannot be brought up to date, trying again");
                    return;
                }
            };
            // What this node has not applied yet, it cannot judge yet.
            let Some(last) = changes.iter().rfind(|change| change.revision <= head) else { return };
            let known = changes.iter().filter(|change| change.revision <= head);
            self.judge(known).await;
            self.sweep();
            self.reached.send_replace(last.revision);
        }
    }

    /// Forgets every holder of something that changed and who may not do the same as before.
    async fn judge<'c>(&self, changes: impl Iterator<Item = &'c Change>) {
        let changes: Vec<_> = changes.collect();
        let concerned = self.holders.lock().concerned_by(&changes);
        for (name, held) in concerned {
            let verdict = self.verdict(&held).await;
            if verdict == Verdict::Stays {
                continue;
            }
            self.holders.lock().forget(&name);
            // Who is only to come back must not hear this: some clients give up for good when they do.
            if let (Verdict::Ended, Some(server)) = (verdict, self.server.get()) {
                server.revoke(|identity| identity.as_str() == name);
            }
        }
    }

    async fn verdict(&self, held: &Held) -> Verdict {
        let rights = match &held.holder {
            Holder::Anybody => self.anybody().ok(),
            Holder::Token { token, .. } => match self.authority.identity.authenticate(token).await {
                Ok(caller) => Rights::of(&caller, &self.authority.feed.snapshots().load()),
                Err(refusal) if refusal.class == Class::Unauthenticated => return Verdict::Ended,
                Err(_) => None,
            },
        };
        if rights.as_ref() == Some(&held.rights) { Verdict::Stays } else { Verdict::Returns }
    }

    /// Disconnects whoever is not held any more. With a token that is still good he comes back by himself.
    fn sweep(&self) {
        let Some(server) = self.server.get() else { return };
        let holders = self.holders.lock();
        server.disconnect(|identity| !holders.has(identity.as_str()));
    }

    fn anybody(&self) -> Result<Rights, Denied> {
        Rights::of_anybody(&self.authority.feed.snapshots().load()).ok_or(Denied::Violation)
    }

    async fn bearer(&self, token: &str) -> Result<(Arc<Caller>, Rights), Denied> {
        let caller = match self.authority.identity.authenticate(token).await {
            Ok(caller) => caller,
            Err(refusal) => return Err(self.denied(&refusal)),
        };
        let rights = Rights::of(&caller, &self.authority.feed.snapshots().load());
        rights.map(|rights| (caller, rights)).ok_or(Denied::Violation)
    }

    fn denied(&self, refusal: &Refusal) -> Denied {
        if matches!(refusal.class, Class::Unauthenticated | Class::Limited) {
            self.authority.meters.auth_failure(refusal.code);
        }
        match refusal.code {
            "token_expired" | "key_expired" => Denied::Expired,
            "session_ended" => Denied::Revoked,
            _ => Denied::Violation,
        }
    }

    fn admitted(&self, held: Held) -> Admitted {
        let now = self.authority.feed.clock().now();
        let ends = held.holder.ends_at();
        let left = ends.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default());
        let permissions = permissions(&held.rights);
        let text = self.holders.lock().hold(held, now);
        Admitted {
            identity: Identity::new(&text),
            permissions,
            expires_after: left,
            max_subscriptions: Some(MOST_SUBSCRIPTIONS),
        }
    }
}

#[async_trait]
impl Access for Door {
    fn required(&self) -> bool {
        !self.anonymous
    }

    async fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        let given = [&credentials.token, &credentials.password, &credentials.jwt];
        let token = given.into_iter().flatten().find(|token| !token.is_empty());
        let Some(token) = token else {
            let claims = credentials.user.as_ref().is_some_and(|user| !user.is_empty());
            if !self.anonymous || claims || credentials.nkey.is_some() {
                self.authority.meters.auth_failure("unauthenticated");
                return Err(Denied::Violation);
            }
            return Ok(self.admitted(Held { holder: Holder::Anybody, rights: self.anybody()? }));
        };
        let (caller, rights) = self.bearer(token).await?;
        let holder = Holder::Token { token: token.as_str().into(), caller };
        Ok(self.admitted(Held { holder, rights }))
    }
}

/// The same as the server puts it.
fn permissions(rights: &Rights) -> Permissions {
    let rules = |subjects: &Subjects| Rules {
        allow: Some(subjects.allow.iter().cloned().collect()),
        deny: subjects.deny.iter().cloned().collect(),
    };
    Permissions { publish: rules(&rights.publish), subscribe: rules(&rights.subscribe), responses: None }
}
