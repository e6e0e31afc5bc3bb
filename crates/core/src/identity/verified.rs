//! Verified callers, remembered until they expire or something about them changes: the request path's memory.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use jiff::Timestamp;
use papaya::HashMap;
use sha2::{Digest as _, Sha256};

use crate::{
    caller::{Caller, Principal},
    feed::Epochs,
    snapshot::Snapshot,
};

/// The first half of a token's SHA-256: nobody can make another token with the same one, and it tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest(u128);

impl Digest {
    pub(super) fn of(token: &str) -> Self {
        let digest = Sha256::digest(token.as_bytes());
        let half = digest.first_chunk::<16>().copied().unwrap_or_default();
        Self(u128::from_le_bytes(half))
    }
}

/// Takes what is a good hash already.
#[derive(Default)]
pub(super) struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a digest is as good a hash as the whole")]
    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

/// Callers whose token was verified.
pub(super) struct Verified {
    callers: HashMap<Digest, Entry, BuildHasherDefault<Taken>>,
    most: usize,
}

struct Entry {
    caller: Arc<Caller>,
    /// [`Epochs::stamp`] of user and session, taken before they were read; 0 for keys, which are in the snapshot.
    stamp: u64,
}

impl Entry {
    /// Whether nothing has happened to the caller since it was verified.
    fn holds(&self, epochs: &Epochs, snapshot: &Snapshot, now: Timestamp) -> bool {
        let caller = &self.caller;
        if caller.expires_at.is_some_and(|end| end <= now) {
            return false;
        }
        match &caller.principal {
            Principal::Nobody => false,
            Principal::User => {
                caller.session.as_ref().is_some_and(|session| epochs.stamp(&caller.id, session) == self.stamp)
            }
            Principal::Key(key) => snapshot.key(&key.id).is_some_and(|stored| Arc::ptr_eq(stored, key)),
        }
    }
}

impl Verified {
    /// Room for `most` callers.
    pub(super) fn new(most: usize) -> Self {
        Self { callers: HashMap::builder().hasher(BuildHasherDefault::default()).build(), most }
    }

    /// The caller behind this token, when it is remembered and still holds. Takes no lock.
    pub(super) fn get(
        &self,
        token: Digest,
        epochs: &Epochs,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<Arc<Caller>> {
        let callers = self.callers.pin();
        let entry = callers.get(&token)?;
        if entry.holds(epochs, snapshot, now) {
            return Some(Arc::clone(&entry.caller));
        }
        callers.remove(&token);
        None
    }

    /// Remembers a verified caller. `stamp` must have been taken before its user and session were read.
    pub(super) fn remember(&self, token: Digest, caller: &Arc<Caller>, stamp: u64) {
        let callers = self.callers.pin();
        callers.insert(token, Entry { caller: Arc::clone(caller), stamp });
    }

    /// Makes room when there is none: first what no longer holds goes, then everything.
    pub(super) fn make_room(&self, epochs: &Epochs, snapshot: &Snapshot, now: Timestamp) {
        let callers = self.callers.pin();
        if callers.len() < self.most {
            return;
        }
        callers.retain(|_, entry| entry.holds(epochs, snapshot, now));
        // Forgetting costs one verification each; keeping a queue of who came last would cost every request.
        if callers.len() >= self.most - self.most / 8 {
            callers.clear();
        }
    }

    /// How many callers are remembered.
    pub(super) fn len(&self) -> usize {
        self.callers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(user: &str, session: &str, expires_at: i64) -> Arc<Caller> {
        Arc::new(Caller {
            principal: Principal::User,
            id: user.into(),
            session: Some(session.into()),
            expires_at: Some(at(expires_at)),
            ..Caller::clone(&Caller::nobody())
        })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_remembered_caller_holds_until_it_expires() {
        let (verified, epochs, snapshot) = (Verified::new(8), Epochs::default(), Snapshot::empty());
        let token = Digest::of("token");
        verified.remember(token, &caller("u", "s", 100), epochs.stamp("u", "s"));
        assert!(verified.get(token, &epochs, &snapshot, at(99)).is_some());
        assert!(verified.get(Digest::of("other"), &epochs, &snapshot, at(99)).is_none());
        assert!(verified.get(token, &epochs, &snapshot, at(100)).is_none());
        assert_eq!(verified.len(), 0, "what has expired is dropped when it is met");
    }

    #[test]
    fn a_stamp_that_is_not_the_present_one_admits_nobody() {
        let (verified, epochs, snapshot) = (Verified::new(8), Epochs::default(), Snapshot::empty());
        let token = Digest::of("token");
        verified.remember(token, &caller("u", "s", 100), epochs.stamp("u", "s").wrapping_sub(1));
        assert!(verified.get(token, &epochs, &snapshot, at(1)).is_none());
    }

    #[test]
    fn the_memory_is_bounded_and_the_dead_go_first() {
        let (verified, epochs, snapshot) = (Verified::new(100), Epochs::default(), Snapshot::empty());
        for number in 0..1000 {
            let (user, expires_at) = (format!("u{number}"), if number % 2 == 0 { 10 } else { 100 });
            verified.make_room(&epochs, &snapshot, at(50));
            let stamp = epochs.stamp(&user, "s");
            verified.remember(Digest::of(&user), &caller(&user, "s", expires_at), stamp);
            assert!(verified.len() <= 100);
        }
        assert!(verified.get(Digest::of("u999"), &epochs, &snapshot, at(50)).is_some());
    }

    #[test]
    fn tokens_that_differ_in_one_bit_have_nothing_in_common() {
        assert!(Digest::of("fb_a_b") != Digest::of("fb_a_c"));
        assert!(Digest::of("") != Digest::of("\0"));
    }
}
