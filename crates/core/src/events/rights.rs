//! What somebody may do on a bus whose doors are ours, as subjects.
//!
//! | who has | may subscribe to |
//! |---|---|
//! | `event.read` in some environments | `flagbase.env.<environment>.>` of those |
//! | `event.read` in every environment | `flagbase.>`, without what belongs to no environment |
//! | that, and `user.manage` | `flagbase.>` |
//! | `bus.use` in any environment | whatever is not `flagbase.>`, too, and publish there |
//!
//! What is denied counts more than what is allowed, and holds back messages of a wider subscription, as in NATS.

use std::collections::BTreeSet;

use super::{may_see_global, subject};
use crate::{
    caller::Caller,
    catalog::Kind,
    environments::EnvironmentKind,
    permissions::{Permission, Permissions},
    snapshot::Snapshot,
};

/// Patterns of subjects: what is allowed, and what of it is denied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subjects {
    /// Nothing else is allowed; empty: nothing at all.
    pub allow: BTreeSet<String>,
    /// Never allowed.
    pub deny: BTreeSet<String>,
}

/// What somebody may do on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// What he may subscribe to.
    pub subscribe: Subjects,
    /// What he may publish on; never below `flagbase`.
    pub publish: Subjects,
}

/// All kinds of changes.
const KINDS: [Kind; 12] = [
    Kind::Environment,
    Kind::Flag,
    Kind::Segment,
    Kind::Guard,
    Kind::Route,
    Kind::Function,
    Kind::Bucket,
    Kind::Webhook,
    Kind::Role,
    Kind::ApiKey,
    Kind::User,
    Kind::Session,
];

impl Rights {
    /// What `caller` may do; `None` when that is nothing.
    pub fn of(caller: &Caller, snapshot: &Snapshot) -> Option<Self> {
        let permissions = |key: &str| {
            let environment = snapshot.environment(key);
            environment.map_or(Permissions::NONE, |environment| caller.permissions(snapshot, environment))
        };
        let sees = |key: &str| permissions(key).allow(Permission::EventRead);
        let uses =
            snapshot.environments().any(|it| permissions(&it.definition.key).allow(Permission::BusUse));
        Self::made_of(snapshot, sees, may_see_global(snapshot, caller), uses)
    }

    /// What whoever says nothing about himself may do where that is configured: see what happens in development
    /// environments. `None` when there are none.
    pub fn of_anybody(snapshot: &Snapshot) -> Option<Self> {
        let sees = |key: &str| {
            let environment = snapshot.environment(key);
            environment.is_some_and(|it| it.definition.kind == EnvironmentKind::Development)
        };
        Self::made_of(snapshot, sees, false, false)
    }

    fn made_of(
        snapshot: &Snapshot,
        sees: impl Fn(&str) -> bool,
        sees_global: bool,
        uses: bool,
    ) -> Option<Self> {
        let (open, hidden): (Vec<_>, Vec<_>) =
            snapshot.environments().map(|it| it.definition.key.as_str()).partition(|key| sees(key));
        if open.is_empty() && !sees_global && !uses {
            return None;
        }
        let mut rights = Self::default();
        rights.see(&open, &hidden, sees_global);
        if uses {
            rights.use_bus(&hidden, sees_global);
        }
        Some(rights)
    }

    fn see(&mut self, open: &[&str], hidden: &[&str], sees_global: bool) {
        let (allow, deny) = (&mut self.subscribe.allow, &mut self.subscribe.deny);
        if hidden.is_empty() {
            allow.insert("flagbase.>".to_owned());
        } else {
            // The plain subjects do not say where something happened.
            allow.extend(open.iter().map(|key| below(key)));
        }
        match (hidden.is_empty(), sees_global) {
            (true, false) => deny.extend(global()),
            (false, true) => allow.extend(only_global()),
            _ => {}
        }
    }

    fn use_bus(&mut self, hidden: &[&str], sees_global: bool) {
        self.publish.allow.insert(">".to_owned());
        self.publish.deny.extend(["flagbase.>", "$SYS.>"].map(str::to_owned));
        self.subscribe.deny.insert("$SYS.>".to_owned());
        self.subscribe.allow = BTreeSet::from([">".to_owned()]);
        if !(hidden.is_empty() && sees_global) {
            // A stream would keep, and show, what its maker may not see.
            self.publish.deny.insert("$JS.>".to_owned());
        }
        if !hidden.is_empty() {
            self.subscribe.deny.extend(scoped());
            self.subscribe.deny.extend(hidden.iter().map(|key| below(key)));
            if !sees_global {
                self.subscribe.deny.extend(global());
            }
        }
    }
}

fn below(environment: &str) -> String {
    format!("{}.>", subject::environment(environment))
}

/// Whether changes of a kind can belong to an environment, and whether they can belong to none.
const fn belongs(kind: Kind) -> (bool, bool) {
    match kind {
        Kind::Flag | Kind::Segment | Kind::Guard | Kind::Route | Kind::Function | Kind::Bucket => {
            (true, false)
        }
        Kind::Webhook => (true, true),
        Kind::Environment | Kind::Role | Kind::ApiKey | Kind::User | Kind::Session => (false, true),
    }
}

/// The plain subjects of what may belong to no environment.
fn global() -> impl Iterator<Item = String> {
    KINDS.into_iter().filter(|kind| belongs(*kind).1).map(plain)
}

/// The plain subjects of what belongs to no environment, always.
fn only_global() -> impl Iterator<Item = String> {
    KINDS.into_iter().filter(|kind| !belongs(*kind).0).map(plain)
}

/// The plain subjects of what may belong to an environment.
fn scoped() -> impl Iterator<Item = String> {
    KINDS.into_iter().filter(|kind| belongs(*kind).0).map(plain)
}

fn plain(kind: Kind) -> String {
    format!("flagbase.{kind}.*")
}
