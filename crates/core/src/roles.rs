//! Roles: named sets of permissions, per environment.

use std::collections::BTreeMap;

use flagbase_engine::Fault;
use serde::{Deserialize, Serialize};

use crate::{
    buckets::is_bucket_name,
    environments::{Environment, EnvironmentKind},
    permissions::{Permission, Permissions},
};

/// The administrator's role.
pub const ADMIN: &str = "admin";
/// The role of people who write software.
pub const DEVELOPER: &str = "developer";
/// The role of everybody else.
pub const USER: &str = "user";

/// A named set of permissions, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Unique; `admin`, `developer` and `user` are built in.
    pub key: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What it permits: by environment kind (`development`, `production`), in every environment (`*`), in one
    /// (`environment:<key>`), or in one bucket of it (`environment:<key>/bucket:<name>`, perhaps with `/<prefix>`).
    #[serde(default)]
    pub permissions: BTreeMap<String, Vec<Permission>>,
}

impl Role {
    /// The roles that are always there.
    pub fn built_in() -> [Self; 3] {
        let read = [
            Permission::FlagRead,
            Permission::FlagEvaluate,
            Permission::RouteRead,
            Permission::FunctionRead,
            Permission::MetricRead,
        ];
        let build = Permission::ALL
            .into_iter()
            // Whoever may register is a developer: he cannot touch what guards everybody.
            .filter(|p| {
                !matches!(p, Permission::EnvironmentWrite | Permission::UserManage | Permission::GuardWrite)
            })
            .collect::<Vec<_>>();
        let developer = [("development", build), ("production", read.to_vec())];
        let user = [("*", vec![Permission::FlagRead, Permission::FlagEvaluate])];
        [
            Self::of(ADMIN, "Administrator", [("*", Permission::ALL.to_vec())]),
            Self::of(DEVELOPER, "Developer", developer),
            Self::of(USER, "User", user),
        ]
    }

    fn of<const N: usize>(key: &str, name: &str, sets: [(&str, Vec<Permission>); N]) -> Self {
        let permissions = sets.into_iter().map(|(scope, set)| (scope.to_owned(), set)).collect();
        Self { key: key.to_owned(), name: name.to_owned(), permissions }
    }

    /// What the role permits in `environment`.
    pub fn permits(&self, environment: &Environment) -> Permissions {
        let kind = match environment.kind {
            EnvironmentKind::Development => "development",
            EnvironmentKind::Production => "production",
        };
        let mut permitted = self.scope("*").or(self.scope(kind));
        // The scope of one environment is rare: its name is only built when a role has such a scope at all.
        for (scope, set) in &self.permissions {
            if scope.strip_prefix("environment:") == Some(&environment.key) {
                permitted = permitted.or(set.iter().copied().collect());
            }
        }
        permitted
    }

    /// What the role permits with what begins with `to` in a bucket, by scopes of buckets.
    pub fn permits_in_bucket(&self, environment: &str, (bucket, to): (&str, &str)) -> Permissions {
        let meant = |scope: &str| {
            bucket_scope(scope).is_some_and(|(place, name, prefix)| {
                place == environment && name == bucket && to.starts_with(prefix)
            })
        };
        let scopes = self.permissions.iter().filter(|(scope, _)| meant(scope));
        scopes
            .fold(Permissions::NONE, |all, (_, set)| all.or(set.iter().copied().collect()))
            .and(Permissions::of_buckets())
    }

    /// Whether the role has a scope of a bucket, wherever in it.
    pub(crate) fn touches_bucket(&self, environment: &str, bucket: &str) -> bool {
        let meant = |scope: &String| {
            bucket_scope(scope).is_some_and(|(place, name, _)| place == environment && name == bucket)
        };
        self.permissions.keys().any(meant)
    }

    /// What the role permits outside any environment: users, roles, environments.
    pub fn permits_everywhere(&self) -> Permissions {
        self.scope("*")
    }

    /// What the role permits under exactly this scope: `*`, `development`, `production` or `environment:<key>`.
    pub fn permits_in_scope(&self, scope: &str) -> Permissions {
        self.scope(scope)
    }

    /// Everything about its form that makes no sense. Whether environments it names exist is not looked at.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut add = |pointer: String, message: String| faults.push(Fault { pointer, message });
        if !is_key(&self.key) {
            add(
                "/key".into(),
                "expected 1 to 64 lower-case letters, digits, `-` and `_`, not starting with a sign".into(),
            );
        }
        if self.name.chars().count() > 200 {
            add("/name".into(), "is longer than 200 characters; shorten it".into());
        }
        if self.permissions.len() > 100 {
            add("/permissions".into(), "has more than 100 scopes; use fewer".into());
        }
        for scope in self.permissions.keys() {
            let known = matches!(scope.as_str(), "*" | "development" | "production")
                || scope.strip_prefix("environment:").is_some_and(is_key)
                || bucket_scope(scope)
                    .is_some_and(|(place, bucket, _)| is_key(place) && is_bucket_name(bucket));
            if !known {
                let shown: String = scope.chars().take(80).collect();
                add(
                    "/permissions".into(),
                    format!(
                        "unknown scope `{shown}`; use `*`, `development`, `production`, `environment:<key>` or \
                         `environment:<key>/bucket:<name>`"
                    ),
                );
            }
        }
        faults
    }

    fn scope(&self, scope: &str) -> Permissions {
        self.permissions.get(scope).map_or(Permissions::NONE, |set| set.iter().copied().collect())
    }
}

/// The environment, the bucket and the prefix that a scope of a bucket names.
pub(crate) fn bucket_scope(scope: &str) -> Option<(&str, &str, &str)> {
    let (environment, rest) = scope.strip_prefix("environment:")?.split_once("/bucket:")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    Some((environment, bucket, prefix))
}

fn is_key(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| word(byte) || byte == b'-' || byte == b'_')
        && text.bytes().next().is_some_and(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(kind: EnvironmentKind) -> Environment {
        Environment { key: "e".into(), name: String::new(), kind, attributes: Vec::new() }
    }

    #[test]
    fn a_developer_builds_in_development_and_only_looks_in_production() {
        let [_, developer, _] = Role::built_in();
        let development = developer.permits(&environment(EnvironmentKind::Development));
        let production = developer.permits(&environment(EnvironmentKind::Production));
        for permission in [Permission::FlagCreate, Permission::RouteWrite, Permission::MetricRecord] {
            assert!(development.allow(permission) && !production.allow(permission), "{permission:?}");
        }
        assert!(production.allow(Permission::FlagEvaluate) && production.allow(Permission::FlagRead));
        assert!(development.allow(Permission::KeyManage) && !production.allow(Permission::KeyManage));
        for building in [Permission::FunctionWrite, Permission::FunctionInvoke, Permission::BucketRead] {
            assert!(development.allow(building) && !production.allow(building), "{building:?}");
        }
        for withheld in [Permission::UserManage, Permission::EnvironmentWrite, Permission::GuardWrite] {
            assert!(!development.allow(withheld) && !production.allow(withheld), "{withheld:?}");
        }
    }

    #[test]
    fn a_plain_user_cannot_record_events_anywhere() {
        let [_, _, user] = Role::built_in();
        assert!(!user.permits(&environment(EnvironmentKind::Development)).allow(Permission::MetricRecord));
    }

    #[test]
    fn a_role_of_no_sensible_form_is_told_where() {
        let good = Role::of("on-call_2", "On call", [("*", Vec::new()), ("environment:e-1", Vec::new())]);
        assert!(good.faults().is_empty());
        for key in ["", "-a", "Über", "a b", "A", &"a".repeat(65)] {
            assert_eq!(Role::of(key, "", [("*", Vec::new())]).faults()[0].pointer, "/key", "{key}");
        }
        for scope in ["", "staging", "environment:", "environment:A", "**"] {
            assert_eq!(Role::of("r", "", [(scope, Vec::new())]).faults().len(), 1, "{scope}");
        }
    }

    #[test]
    fn a_role_may_name_one_environment() {
        let role = Role::of("r", "", [("environment:e", vec![Permission::FlagUpdate])]);
        assert!(role.permits(&environment(EnvironmentKind::Production)).allow(Permission::FlagUpdate));
        assert!(!role.permits_everywhere().allow(Permission::FlagUpdate));
    }
}
