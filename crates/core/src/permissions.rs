//! Permissions: what a caller may do, per environment.

use serde::{Deserialize, Serialize};

/// One action a caller may be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Permission {
    /// See flags, segments, guards, environments and their history.
    #[serde(rename = "flag.read")]
    FlagRead,
    /// Evaluate flags for oneself.
    #[serde(rename = "flag.evaluate")]
    FlagEvaluate,
    /// Evaluate flags for anybody: with a context of one's own making.
    #[serde(rename = "flag.preview")]
    FlagPreview,
    /// Create flags and segments.
    #[serde(rename = "flag.create")]
    FlagCreate,
    /// Change, enable, disable and revert flags and segments.
    #[serde(rename = "flag.update")]
    FlagUpdate,
    /// Delete flags and segments.
    #[serde(rename = "flag.delete")]
    FlagDelete,
    /// Set a flag for one's own session.
    #[serde(rename = "flag.override")]
    FlagOverride,
    /// See gateway routes.
    #[serde(rename = "route.read")]
    RouteRead,
    /// Create, change and delete gateway routes.
    #[serde(rename = "route.write")]
    RouteWrite,
    /// See functions: their settings, versions, logs and what they did not take.
    #[serde(rename = "function.read")]
    FunctionRead,
    /// Create, deploy, promote, change and delete functions, and set their secrets.
    #[serde(rename = "function.write")]
    FunctionWrite,
    /// Call any version of a function, past its flag.
    #[serde(rename = "function.invoke")]
    FunctionInvoke,
    /// See buckets, and list what is in them.
    #[serde(rename = "bucket.list")]
    BucketList,
    /// Read objects.
    #[serde(rename = "bucket.read")]
    BucketRead,
    /// Write objects.
    #[serde(rename = "bucket.write")]
    BucketWrite,
    /// Delete objects.
    #[serde(rename = "bucket.delete")]
    BucketDelete,
    /// Create, set up and delete buckets.
    #[serde(rename = "bucket.manage")]
    BucketManage,
    /// Record events about flags.
    #[serde(rename = "metric.record")]
    MetricRecord,
    /// See measurements.
    #[serde(rename = "metric.read")]
    MetricRead,
    /// Change guards.
    #[serde(rename = "guard.write")]
    GuardWrite,
    /// Follow the events and read the change log.
    #[serde(rename = "event.read")]
    EventRead,
    /// Publish and follow messages of programs on the embedded bus.
    #[serde(rename = "bus.use")]
    BusUse,
    /// Change environments.
    #[serde(rename = "environment.write")]
    EnvironmentWrite,
    /// See and change users, roles, sessions of others, invitations.
    #[serde(rename = "user.manage")]
    UserManage,
    /// Make and revoke API keys.
    #[serde(rename = "key.manage")]
    KeyManage,
    /// See and change webhooks, and what was sent to them.
    #[serde(rename = "webhook.manage")]
    WebhookManage,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::FlagRead,
        Self::FlagEvaluate,
        Self::FlagPreview,
        Self::FlagCreate,
        Self::FlagUpdate,
        Self::FlagDelete,
        Self::FlagOverride,
        Self::RouteRead,
        Self::RouteWrite,
        Self::FunctionRead,
        Self::FunctionWrite,
        Self::FunctionInvoke,
        Self::BucketList,
        Self::BucketRead,
        Self::BucketWrite,
        Self::BucketDelete,
        Self::BucketManage,
        Self::MetricRecord,
        Self::MetricRead,
        Self::GuardWrite,
        Self::EventRead,
        Self::BusUse,
        Self::EnvironmentWrite,
        Self::UserManage,
        Self::KeyManage,
        Self::WebhookManage,
    ];

    /// The word used in roles, keys and errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlagRead => "flag.read",
            Self::FlagEvaluate => "flag.evaluate",
            Self::FlagPreview => "flag.preview",
            Self::FlagCreate => "flag.create",
            Self::FlagUpdate => "flag.update",
            Self::FlagDelete => "flag.delete",
            Self::FlagOverride => "flag.override",
            Self::RouteRead => "route.read",
            Self::RouteWrite => "route.write",
            Self::FunctionRead => "function.read",
            Self::FunctionWrite => "function.write",
            Self::FunctionInvoke => "function.invoke",
            Self::BucketList => "bucket.list",
            Self::BucketRead => "bucket.read",
            Self::BucketWrite => "bucket.write",
            Self::BucketDelete => "bucket.delete",
            Self::BucketManage => "bucket.manage",
            Self::MetricRecord => "metric.record",
            Self::MetricRead => "metric.read",
            Self::GuardWrite => "guard.write",
            Self::EventRead => "event.read",
            Self::BusUse => "bus.use",
            Self::EnvironmentWrite => "environment.write",
            Self::UserManage => "user.manage",
            Self::KeyManage => "key.manage",
            Self::WebhookManage => "webhook.manage",
        }
    }
}

/// A set of permissions, small enough to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// Nothing is permitted.
    pub const NONE: Self = Self(0);

    /// Everything is permitted.
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// All that is about buckets and what is in them.
    pub fn of_buckets() -> Self {
        use Permission::{BucketDelete, BucketList, BucketManage, BucketRead, BucketWrite};
        [BucketList, BucketRead, BucketWrite, BucketDelete, BucketManage].into_iter().collect()
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `permission` is in the set.
    pub const fn allow(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.allow(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(members: I) -> Self {
        Self(members.into_iter().fold(0, |bits, member| bits | (1 << member as u8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_its_members_and_no_others() {
        let set: Permissions = [Permission::FlagRead, Permission::KeyManage].into_iter().collect();
        assert!(set.allow(Permission::FlagRead) && set.allow(Permission::KeyManage));
        assert!(!set.allow(Permission::FlagUpdate));
        assert_eq!(set.iter().count(), 2);
        assert_eq!(Permissions::all().iter().count(), Permission::ALL.len());
    }

    #[test]
    fn every_permission_is_called_the_same_in_json_and_in_errors() {
        for permission in Permission::ALL {
            let json = serde_json::to_value(permission).unwrap();
            assert_eq!(json, serde_json::Value::from(permission.as_str()));
        }
    }
}
