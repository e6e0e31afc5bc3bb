//! Passwords: hashed with argon2id, a few at a time, away from the threads that serve requests.

mod argon;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use argon2::{ARGON2ID_IDENT, Params, PasswordHash};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    random::Random,
    refusal::{Class, Refusal},
};

/// Verified when there is no such user, so that the work is the same. Nobody knows a password for it.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$q0cJXy6tWmZ1bTq8o5uLhA$mJ2dYcR0b8n3QmFqzVYw1sTgP7uK4aXeH9oWl6iBtEc";

/// Hashes and verifies passwords, at most so many at once; more wait, and more than that are turned away.
pub(super) struct Passwords {
    random: Arc<dyn Random>,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    work: AtomicU64,
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verified {
    /// The password is the right one.
    pub(super) right: bool,
    /// It was hashed with weaker parameters than are used now.
    pub(super) outdated: bool,
}

impl Passwords {
    pub(super) fn new(concurrency: usize, queue: usize, random: Arc<dyn Random>) -> Self {
        let concurrency = concurrency.clamp(1, 1024);
        let places = concurrency.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self {
            random,
            running: Arc::new(Semaphore::new(concurrency)),
            places: Arc::new(Semaphore::new(places)),
            work: AtomicU64::new(0),
        }
    }

    /// How many hashes were computed since the start.
    pub(super) fn work(&self) -> u64 {
        self.work.load(Ordering::Relaxed)
    }

    /// The hash of `password` in PHC string form, with a fresh salt.
    pub(super) async fn hash(&self, password: String) -> Result<String, Refusal> {
        let salt = self.random.bytes::<16>();
        self.run(move || argon::hash(password.as_bytes(), &salt).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| broken().because(error))
    }

    /// Whether `password` belongs to `hash`; without a hash (no such user) the same work is done for nothing.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<Verified, Refusal> {
        self.run(move || {
            let known = hash.is_some();
            let Ok(hash) = PasswordHash::new(hash.as_deref().unwrap_or(NOBODYS)) else {
                tracing::error!("a stored password hash cannot be read; its user must reset the password");
                return Verified { right: false, outdated: false };
            };
            let right = argon::is_right(password.as_bytes(), &hash).unwrap_or_else(|error| {
                tracing::error!(%error, "a stored password hash cannot be used; its user must reset the password");
                false
            });
            Verified { right: right && known, outdated: is_outdated(&hash) }
        })
        .await
    }

    /// Runs `work` on a thread for blocking work, in turn. The permits travel with it: when the one who asked goes
    /// away, the hash under way still counts.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| broken())?;
        self.work.fetch_add(1, Ordering::Relaxed);
        let run = move || {
            let _held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, turn);
            work()
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| broken().because(error))
    }
}

fn is_outdated(hash: &PasswordHash) -> bool {
    let now = Params::default();
    hash.algorithm != ARGON2ID_IDENT
        || Params::try_from(hash).map_or(true, |then| {
            then.m_cost() < now.m_cost() || then.t_cost() < now.t_cost() || then.p_cost() < now.p_cost()
        })
}

fn busy() -> Refusal {
    Refusal::new(Class::Limited, "too_many_logins", "too many logins at once; try again in a moment")
        .retry_after(Duration::from_secs(2))
}

fn broken() -> Refusal {
    Refusal::new(Class::Internal, "internal", "the password could not be hashed; see the server's log")
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordHasher as _};

    use super::*;
    use crate::random::SystemRandom;

    fn passwords(concurrency: usize, queue: usize) -> Arc<Passwords> {
        Arc::new(Passwords::new(concurrency, queue, Arc::new(SystemRandom)))
    }

    #[tokio::test]
    async fn a_hash_is_salted_argon2id_and_fits_only_its_password() {
        let passwords = passwords(2, 8);
        let first = passwords.hash("correct horse".into()).await.unwrap();
        let second = passwords.hash("correct horse".into()).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        let right = passwords.verify("correct horse".into(), Some(first.clone())).await.unwrap();
        let wrong = passwords.verify("correct hors".into(), Some(first)).await.unwrap();
        assert_eq!(right, Verified { right: true, outdated: false });
        assert!(!wrong.right);
    }

    #[tokio::test]
    async fn nobody_is_verified_with_the_same_work_and_never_succeeds() {
        let passwords = passwords(1, 1);
        let hash = PasswordHash::new(NOBODYS).unwrap();
        assert!(!is_outdated(&hash), "it must cost as much as a real one");
        assert!(!passwords.verify("anything".into(), None).await.unwrap().right);
        assert_eq!(passwords.work(), 1);
    }

    #[tokio::test]
    async fn a_weaker_hash_is_recognised_as_outdated() {
        let weak = Argon2::from(Params::new(8192, 1, 1, None).unwrap())
            .hash_password_with_salt(b"correct horse", &[7; 16])
            .unwrap();
        let verified = passwords(1, 1).verify("correct horse".into(), Some(weak.to_string())).await.unwrap();
        assert_eq!(verified, Verified { right: true, outdated: true });
    }

    #[tokio::test]
    async fn an_unreadable_hash_admits_nobody() {
        let verified =
            passwords(1, 1).verify("x".into(), Some("5f4dcc3b5aa765d61d8327deb882cf99".into())).await;
        assert!(!verified.unwrap().right);
    }

    #[tokio::test]
    async fn beyond_the_queue_passwords_are_turned_away_with_a_time_to_wait() {
        let passwords = passwords(1, 1);
        let _running = Arc::clone(&passwords.places).try_acquire_many_owned(2).unwrap();
        let refusal = passwords.verify("x".into(), None).await.unwrap_err();
        assert_eq!(refusal.class, Class::Limited);
        assert!(refusal.retry_after.is_some());
        assert_eq!(passwords.work(), 0);
    }
}
