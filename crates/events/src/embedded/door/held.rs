//! Who is in, with what.

use std::{collections::HashMap, sync::Arc};

use flagbase_core::{
    caller::{Caller, Principal},
    catalog::{Change, Kind},
    events::Rights,
};
use jiff::Timestamp;

/// How many are held before those who have ended are looked for.
const MANY: usize = 1024;

/// What somebody came in with, and what that permits.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) holder: Holder,
    pub(super) rights: Rights,
}

/// What somebody came in with.
#[derive(Clone)]
pub(super) enum Holder {
    /// With nothing.
    Anybody,
    /// With a token.
    Token { token: Arc<str>, caller: Arc<Caller> },
}

/// Who is in, by the name that the server knows him by. A name stands for what he may do, too: with other rights he has
/// another name, so that a client that came in with the old ones can be told apart.
#[derive(Default)]
pub(super) struct Holders {
    by_name: HashMap<String, Held>,
    names: HashMap<Option<Arc<str>>, String>,
    count: u64,
}

impl Holders {
    /// Holds somebody, and returns his name.
    pub(super) fn hold(&mut self, held: Held, now: Timestamp) -> String {
        let token = held.holder.token();
        if let Some(name) = self.names.get(&token)
            && self.by_name.get(name).is_some_and(|known| known.rights == held.rights)
        {
            return name.clone();
        }
        if self.by_name.len() >= MANY {
            self.by_name.retain(|_, held| held.holder.ends_at().is_none_or(|end| end > now));
            self.names.retain(|_, name| self.by_name.contains_key(name));
        }
        self.count += 1;
        let name = format!("{} #{}", held.holder.name(), self.count);
        if let Some(before) = self.names.insert(token, name.clone()) {
            self.by_name.remove(&before);
        }
        self.by_name.insert(name.clone(), held);
        name
    }

    /// Everybody whom one of `changes` may concern.
    pub(super) fn concerned_by(&self, changes: &[&Change]) -> Vec<(String, Held)> {
        let concerned = self
            .by_name
            .iter()
            .filter(|(_, held)| changes.iter().any(|change| held.holder.is_concerned_by(change)));
        concerned.map(|(name, held)| (name.clone(), held.clone())).collect()
    }

    pub(super) fn forget(&mut self, name: &str) {
        if let Some(held) = self.by_name.remove(name) {
            self.names.remove(&held.holder.token());
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

impl Holder {
    fn token(&self) -> Option<Arc<str>> {
        match self {
            Self::Anybody => None,
            Self::Token { token, .. } => Some(Arc::clone(token)),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Anybody => "anonymous",
            Self::Token { caller, .. } => &caller.email,
        }
    }

    /// When this ends by itself.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Anybody => None,
            Self::Token { caller, .. } => caller.expires_at,
        }
    }

    fn is_concerned_by(&self, change: &Change) -> bool {
        let key = change.id.key.as_ref();
        let Self::Token { caller, .. } = self else {
            return change.id.kind == Kind::Environment;
        };
        match change.id.kind {
            Kind::Environment => true,
            Kind::Role => matches!(caller.principal, Principal::User),
            Kind::User => *caller.id == *key,
            Kind::Session => caller.session.as_deref() == Some(key),
            Kind::ApiKey => matches!(&caller.principal, Principal::Key(own) if *own.id == *key),
            Kind::Flag
            | Kind::Segment
            | Kind::Guard
            | Kind::Route
            | Kind::Function
            | Kind::Bucket
            | Kind::Webhook => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use flagbase_core::events::Subjects;

    use super::*;

    fn held(token: &str, ends: i64, pattern: &str) -> Held {
        let caller = Caller {
            email: "alice@example.com".into(),
            expires_at: Timestamp::from_second(ends).ok(),
            ..Caller::clone(&Caller::nobody())
        };
        let subscribe = Subjects { allow: [pattern.to_owned()].into(), ..Subjects::default() };
        Held {
            holder: Holder::Token { token: token.into(), caller: Arc::new(caller) },
            rights: Rights { subscribe, ..Rights::default() },
        }
    }

    #[test]
    fn a_name_stands_for_a_token_and_what_it_permits() {
        let (mut holders, now) = (Holders::default(), Timestamp::UNIX_EPOCH);
        let first = holders.hold(held("t", 10, "a"), now);
        assert_eq!(holders.hold(held("t", 10, "a"), now), first, "two connections, one name");
        let other = holders.hold(held("u", 10, "a"), now);
        assert_ne!(other, first);
        let narrower = holders.hold(held("t", 10, "b"), now);
        assert!(!holders.has(&first) && holders.has(&narrower), "who came in with more has to leave");
        holders.forget(&narrower);
        assert!(!holders.has(&narrower) && holders.has(&other));
        assert_ne!(holders.hold(held("t", 10, "b"), now), narrower, "a name is never used again");
    }

    #[test]
    fn those_who_have_ended_are_forgotten_before_there_are_too_many() {
        let mut holders = Holders::default();
        for n in 0..10 * MANY {
            let now = i64::try_from(n).unwrap();
            holders.hold(held(&n.to_string(), now + 10, "a"), Timestamp::from_second(now).unwrap());
        }
        assert!(holders.by_name.len() <= MANY && holders.names.len() <= MANY);
    }
}
