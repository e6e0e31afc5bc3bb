//! Who refers to what, so that nothing is removed that is still needed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::fault::quote;
use crate::shards::{Keyed, Shards};

/// Something that refers to a flag or a segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum User {
    Flag(Arc<str>),
    Segment(Arc<str>),
}

/// Everything that refers to the flag or segment of this key; at least one.
#[derive(Debug, Clone)]
pub(super) struct Users {
    of: Arc<str>,
    pub(super) by: Arc<BTreeSet<User>>,
}

impl Keyed for Users {
    fn key(&self) -> &str {
        &self.of
    }
}

/// Notes that `user` does no longer refer to `old` but to `new`.
pub(super) fn replace<'a>(
    index: &mut Shards<Users>,
    user: &User,
    old: impl Iterator<Item = &'a Arc<str>>,
    new: impl Iterator<Item = &'a Arc<str>>,
) {
    let old: BTreeSet<&Arc<str>> = old.collect();
    let new: BTreeSet<&Arc<str>> = new.collect();
    for key in old.difference(&new) {
        forget(index, key, user);
    }
    for key in new.difference(&old) {
        let by = index.get(key).map(|users| users.by.clone()).unwrap_or_default();
        // Taken out first, so that a set nobody shares is changed in place.
        index.remove(key);
        let mut users = Users { of: Arc::clone(key), by };
        Arc::make_mut(&mut users.by).insert(user.clone());
        index.put(users);
    }
}

fn forget(index: &mut Shards<Users>, key: &str, user: &User) {
    let Some(mut users) = index.get(key).cloned() else {
        return;
    };
    index.remove(key);
    Arc::make_mut(&mut users.by).remove(user);
    if !users.by.is_empty() {
        index.put(users);
    }
}

impl fmt::Display for Users {
    /// `` flag `a`, segment `b` and 3 more ``.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let names = self.by.iter().take(SHOWN).map(|user| match user {
            User::Flag(key) => format!("flag {}", quote(key)),
            User::Segment(key) => format!("segment {}", quote(key)),
        });
        out.write_str(&names.collect::<Vec<_>>().join(", "))?;
        match self.by.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}
