//! The limits of administering: nobody gives away, or takes over, more than he has himself.

use super::{Identity, policy::fault};
use crate::{
    accounts::{Grant, User},
    caller::Caller,
    permissions::Permission,
    refusal::{Class, Refusal},
    roles::{ADMIN, Role, bucket_scope},
    snapshot::Snapshot,
};

impl Identity {
    /// Fails unless `caller` may administer users at all.
    pub(super) fn require_manager(&self, caller: &Caller) -> Result<(), Refusal> {
        caller.require_everywhere(&self.feed.snapshots().load(), Permission::UserManage)
    }

    /// Fails unless `caller` has everything that the role called `role` permits. `pointer` says where it was asked for.
    pub(super) fn may_grant(&self, caller: &Caller, role: &str, pointer: &str) -> Result<(), Refusal> {
        let snapshot = self.feed.snapshots().load();
        let Some(granted) = snapshot.role(role) else {
            return Err(Refusal::invalid(vec![fault(pointer, &unknown_role(&snapshot, role))]));
        };
        Self::has_all_of(caller, &snapshot, granted)
    }

    /// Fails unless `caller` has everything that `role` permits.
    pub(super) fn has_all_of(caller: &Caller, snapshot: &Snapshot, role: &Role) -> Result<(), Refusal> {
        let covered = *caller.role == *ADMIN
            || (role.key != ADMIN
                && snapshot.role(&caller.role).is_some_and(|own| covers(own, role, snapshot)));
        if covered {
            return Ok(());
        }
        Err(Refusal::new(
            Class::Forbidden,
            "beyond_own_role",
            format!(
                "role `{}` permits things that your role `{}` does not; ask an administrator",
                role.key, caller.role
            ),
        ))
    }

    /// Fails unless `caller` has everything that `user` has: else a reset of the password would be a way up.
    pub(super) fn may_change(&self, caller: &Caller, user: &User) -> Result<(), Refusal> {
        let snapshot = self.feed.snapshots().load();
        let roles = std::iter::once(&user.role).chain(user.grants.iter().map(|grant| &grant.role));
        // A role that is gone permits nothing.
        roles
            .filter_map(|role| snapshot.role(role))
            .try_for_each(|role| Self::has_all_of(caller, &snapshot, role))
    }

    /// The grants, when environments and roles exist and `caller` may give them.
    pub(super) fn check_grants(&self, caller: &Caller, grants: &[Grant]) -> Result<(), Refusal> {
        const MOST: usize = 100;
        if grants.len() > MOST {
            return Err(Refusal::fault(
                "/grants",
                format!("has {} grants; {MOST} is the most", grants.len()),
            ));
        }
        for (at, grant) in grants.iter().enumerate() {
            if let Err(unknown) = self.feed.snapshots().load().require_environment(&grant.environment) {
                return Err(Refusal::fault(&format!("/grants/{at}/environment"), unknown.message));
            }
            self.may_grant(caller, &grant.role, &format!("/grants/{at}/role"))?;
        }
        Ok(())
    }
}

fn unknown_role(snapshot: &Snapshot, role: &str) -> String {
    let mut known: Vec<_> = snapshot.roles().map(|role| format!("`{}`", role.key)).collect();
    known.sort();
    let role: String = role.chars().take(64).collect();
    format!("role `{role}` does not exist; there is {}", known.join(", "))
}

/// Whether everything that `other` permits, wherever, is permitted there by `own`.
fn covers(own: &Role, other: &Role, snapshot: &Snapshot) -> bool {
    other.permissions.keys().all(|scope| {
        let place =
            bucket_scope(scope).map(|(place, _, _)| place).or_else(|| scope.strip_prefix("environment:"));
        let had = match place.map(|key| snapshot.environment(key)) {
            Some(Some(environment)) => own.permits(&environment.definition),
            // A scope of its own word, or of an environment that is not there: only what is had under the same words.
            _ => own.permits_in_scope("*").or(own.permits_in_scope(scope)),
        };
        let given = other.permits_in_scope(scope);
        had.and(given) == given
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(key: &str, sets: &[(&str, &[Permission])]) -> Role {
        let permissions = sets.iter().map(|(scope, set)| ((*scope).to_owned(), set.to_vec())).collect();
        Role { key: key.to_owned(), name: String::new(), permissions }
    }

    #[test]
    fn a_role_covers_what_it_has_itself_and_nothing_else() {
        let snapshot = Snapshot::empty();
        let [admin, developer, user] = Role::built_in();
        assert!(covers(&admin, &developer, &snapshot) && covers(&admin, &user, &snapshot));
        assert!(covers(&user, &user, &snapshot));
        assert!(!covers(&user, &developer, &snapshot) && !covers(&developer, &admin, &snapshot));
        let manager = role("manager", &[("*", &[Permission::UserManage, Permission::FlagRead])]);
        assert!(!covers(&manager, &user, &snapshot), "it lacks `flag.evaluate`");
        let reader = role(
            "reader",
            &[("production", &[Permission::FlagRead]), ("environment:x", &[Permission::FlagRead])],
        );
        assert!(covers(&manager, &reader, &snapshot), "what is had everywhere covers every place");
        assert!(!covers(&reader, &manager, &snapshot), "what is had in a place does not cover everywhere");
    }
}
