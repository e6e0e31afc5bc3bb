//! Identity: who is asking, how that is proven, and what administrators decide about it.
//!
//! The request path asks [`Identity::cached`] first, which takes no lock and waits for nothing, and
//! [`Identity::authenticate`] only when that knows nothing. A verified caller is remembered until its token ends or
//! its session or user changes; what its role permits is computed from the snapshot at every request. So a demotion,
//! a disabled account and a logout act on the next request.

mod attempts;
mod config;
mod duration;
mod invitations;
mod keys;
mod login;
mod passwords;
mod policy;
mod power;
mod profile;
mod roles;
mod sessions;
mod setup;
mod tokens;
mod users;
mod verified;
mod withdrawal;
mod writer;

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use self::{
    attempts::{Clients, Lockout},
    passwords::Passwords,
    tokens::Tokens,
    verified::{Digest, Verified},
    writer::Writer,
};
use crate::{
    accounts::Accounts,
    caller::Caller,
    clock::Clock,
    feed::Feed,
    functions::vault::Keyring,
    permissions::Permission,
    random::Random,
    refusal::{Class, Refusal},
};

pub use config::{IdentityConfig, KnownSecret, Registration, Secret};
pub use duration::lifetime;
pub use invitations::{InvitationRequest, Invited, OpenInvitation};
pub use keys::{AccessKey, KeyRequest, NewKey};
pub use login::{Credentials, Login, Origin, Register};
pub use profile::{Profile, SessionInfo};
pub use roles::StoredRole;
pub use users::{NewUser, UserPatch};

/// Verified callers remembered at most; about 500 bytes each.
const MOST_VERIFIED: usize = 100_000;

/// Knows people and service accounts.
pub struct Identity {
    config: IdentityConfig,
    accounts: Arc<dyn Accounts>,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    writer: Writer,
    passwords: Passwords,
    tokens: Tokens,
    verified: Verified,
    lockout: Lockout,
    clients: Clients,
    /// Seals the secrets of S3 access keys; without one there are none.
    keyring: Option<Keyring>,
}

impl Identity {
    /// Ready to work on these accounts. Fails when the signing secret is no secret.
    pub fn new(
        config: IdentityConfig,
        accounts: Arc<dyn Accounts>,
        feed: Arc<Feed>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, KnownSecret> {
        config.check()?;
        let per_client = config.login_attempts.saturating_mul(10);
        Ok(Self {
            writer: Writer::new(Arc::clone(&accounts), Arc::clone(&feed)),
            passwords: Passwords::new(config.hash_concurrency, config.hash_queue, Arc::clone(&random)),
            tokens: Tokens::new(&config.secret),
            verified: Verified::new(MOST_VERIFIED),
            lockout: Lockout::new(config.login_attempts, config.login_window),
            clients: Clients::new(per_client, config.login_window, Arc::clone(&clock)),
            config,
            accounts,
            feed,
            clock,
            random,
            keyring: None,
        })
    }

    /// The same, with API keys that are S3 access keys, too, whose secrets `keyring` seals.
    #[must_use]
    pub fn with_access_keys(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// The caller behind this token, when it was verified before and nothing has changed since. Waits for nothing.
    pub fn cached(&self, token: &str) -> Option<Arc<Caller>> {
        self.verified.get(
            Digest::of(token),
            self.feed.epochs(),
            &self.feed.snapshots().load(),
            self.clock.now(),
        )
    }

    /// The caller behind this token (a session's or an API key's), or why there is none.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        if let Some(caller) = self.cached(token) {
            return Ok(caller);
        }
        if token.starts_with(keys::PREFIX) {
            let caller = Arc::new(Caller::of_key(self.key_behind(token)?));
            self.remember(token, &caller, 0);
            return Ok(caller);
        }
        let now = self.clock.now();
        let claim = self.tokens.verify(token, now)?;
        // Before the user is read: a change that comes after this moment makes what is remembered below worthless.
        let stamp = self.feed.epochs().stamp(&claim.user, &claim.session);
        let (session, user) = self.accounts.session(&claim.session).await?.ok_or_else(ended)?;
        let his = session.user_id == claim.user && user.id == claim.user;
        if !his || session.revoked_at.is_some() || session.expires_at <= now || user.disabled {
            return Err(ended());
        }
        let caller = Arc::new(Caller::of_user(user, session, claim.expires_at));
        self.remember(token, &caller, stamp);
        Ok(caller)
    }

    fn remember(&self, token: &str, caller: &Arc<Caller>, stamp: u64) {
        let snapshot = self.feed.snapshots().load();
        self.verified.make_room(self.feed.epochs(), &snapshot, self.clock.now());
        self.verified.remember(Digest::of(token), caller, stamp);
    }

    /// What a caller may do, by environment.
    pub fn permissions(&self, caller: &Caller) -> BTreeMap<String, Vec<Permission>> {
        let snapshot = self.feed.snapshots().load();
        snapshot
            .environments()
            .map(|environment| {
                let permitted = caller.permissions(&snapshot, environment);
                (environment.definition.key.clone(), permitted.iter().collect())
            })
            .collect()
    }

    /// How many callers are remembered as verified.
    pub fn remembered(&self) -> usize {
        self.verified.len()
    }

    /// How many passwords were hashed or verified since the start.
    pub fn hashed(&self) -> u64 {
        self.passwords.work()
    }
}

fn ended() -> Refusal {
    Refusal::new(Class::Unauthenticated, "session_ended", "this session has ended; log in again")
}

/// SHA-256 in hex: how secrets that are random already are kept.
fn sha256(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
