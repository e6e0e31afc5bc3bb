//! Who may do what to a bucket and what is in it.

use std::net::IpAddr;

use super::{Bucket, Public, Question, Verdict, shown};
use crate::{
    caller::{Caller, Principal},
    flags::Asked,
    keys::{ApiKey, KeyBucket},
    permissions::{Permission, Permissions},
    refusal::{Class, Refusal},
    snapshot::{EnvironmentSnapshot, Snapshot},
};

/// Places of a key that are named when it is used elsewhere.
const MOST_TOLD: usize = 5;

/// Who asks, where, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Who asks; perhaps nobody.
    pub caller: &'a Caller,
    /// The environment's key.
    pub environment: &'a str,
    /// Why, in the caller's words; may be empty.
    pub reason: &'a str,
    /// Where the request comes from, when that is known.
    pub ip: Option<IpAddr>,
    /// Whether nobody on the way could read it.
    pub secure: bool,
}

impl<'a> From<Asked<'a>> for Visitor<'a> {
    fn from(asked: Asked<'a>) -> Self {
        let Asked { caller, environment, reason } = asked;
        Self { caller, environment, reason, ip: None, secure: false }
    }
}

impl<'a> Visitor<'a> {
    /// The same without where it comes from.
    pub fn asked(&self) -> Asked<'a> {
        Asked { caller: self.caller, environment: self.environment, reason: self.reason }
    }
}

/// What is to be done, as policies call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See that a bucket is there, and where.
    HeadBucket,
    /// List objects.
    ListBucket,
    /// List versions of objects.
    ListVersions,
    /// List uploads under way.
    ListUploads,
    /// List parts of an upload.
    ListParts,
    /// Read an object.
    GetObject,
    /// Read a version of an object.
    GetVersion,
    /// Read tags of an object.
    GetTags,
    /// Write an object, whole or in parts.
    PutObject,
    /// Write tags of an object.
    PutTags,
    /// Give up an upload.
    AbortUpload,
    /// Delete an object.
    DeleteObject,
    /// Delete a version for good.
    DeleteVersion,
    /// See how a bucket is set up.
    GetSettings,
    /// Make, set up or delete a bucket.
    PutSettings,
}

impl Action {
    /// The permission it needs.
    pub const fn permission(self) -> Permission {
        match self {
            Self::HeadBucket | Self::ListBucket | Self::ListVersions | Self::ListUploads => {
                Permission::BucketList
            }
            Self::GetObject | Self::GetVersion | Self::GetTags => Permission::BucketRead,
            Self::PutObject | Self::PutTags | Self::ListParts | Self::AbortUpload => Permission::BucketWrite,
            Self::DeleteObject | Self::DeleteVersion => Permission::BucketDelete,
            Self::GetSettings | Self::PutSettings => Permission::BucketManage,
        }
    }

    /// What policies call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HeadBucket | Self::ListBucket => "s3:ListBucket",
            Self::ListVersions => "s3:ListBucketVersions",
            Self::ListUploads => "s3:ListBucketMultipartUploads",
            Self::ListParts => "s3:ListMultipartUploadParts",
            Self::GetObject => "s3:GetObject",
            Self::GetVersion => "s3:GetObjectVersion",
            Self::GetTags => "s3:GetObjectTagging",
            Self::PutObject => "s3:PutObject",
            Self::PutTags => "s3:PutObjectTagging",
            Self::AbortUpload => "s3:AbortMultipartUpload",
            Self::DeleteObject => "s3:DeleteObject",
            Self::DeleteVersion => "s3:DeleteObjectVersion",
            Self::GetSettings => "s3:GetBucketPolicy",
            Self::PutSettings => "s3:PutBucketPolicy",
        }
    }
}

/// What is to be done, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act<'a> {
    /// What.
    pub action: Action,
    /// To the object under this key, or to those that are listed by this prefix; empty: to the bucket.
    pub to: &'a str,
}

impl<'a> Act<'a> {
    /// `action` to the object under `key`, or to what is listed by that prefix.
    pub const fn new(action: Action, to: &'a str) -> Self {
        Self { action, to }
    }

    fn is_about_bucket(&self) -> bool {
        matches!(
            self.action,
            Action::HeadBucket
                | Action::ListBucket
                | Action::ListVersions
                | Action::ListUploads
                | Action::GetSettings
                | Action::PutSettings
        )
    }
}

/// Why something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// The caller's role or key permits it.
    Permission,
    /// The bucket's policy allows it.
    Policy,
    /// Everybody may.
    Public,
}

/// Whether `visitor` may do `act` in `bucket`. What the policy forbids is forbidden; then what the caller is permitted, what
/// the policy allows, and what everybody may do count.
pub fn may(
    snapshot: &Snapshot,
    bucket: &Bucket,
    visitor: &Visitor<'_>,
    act: Act<'_>,
) -> Result<Granted, Refusal> {
    let permission = act.action.permission();
    let environment = snapshot.require_environment(visitor.environment)?;
    let permitted =
        permitted(snapshot, environment, visitor.caller, (bucket.name(), act.to)).allow(permission);
    // Whoever manages buckets can always undo a policy that shuts everybody out.
    if permitted && permission == Permission::BucketManage {
        return Ok(Granted::Permission);
    }
    match ask(bucket, visitor, act) {
        Verdict::Deny => Err(refused(visitor.caller, bucket, act, true)),
        _ if permitted => Ok(Granted::Permission),
        Verdict::Allow => Ok(Granted::Policy),
        Verdict::Silent if is_public(bucket, act.action) => Ok(Granted::Public),
        Verdict::Silent => Err(refused(visitor.caller, bucket, act, false)),
    }
}

/// What `caller` is permitted to do with what begins with `to` in a bucket, policies aside.
pub fn permitted(
    snapshot: &Snapshot,
    environment: &EnvironmentSnapshot,
    caller: &Caller,
    (bucket, to): (&str, &str),
) -> Permissions {
    let key = environment.definition.key.as_str();
    let of_role = |role: &str| {
        snapshot.role(role).map_or(Permissions::NONE, |role| role.permits_in_bucket(key, (bucket, to)))
    };
    let everywhere = caller.permissions(snapshot, environment);
    match &caller.principal {
        Principal::Key(api_key) if api_key.environment == key => {
            everywhere.or(api_key.permitted_in_bucket(bucket, to))
        }
        Principal::Nobody | Principal::Key(_) => Permissions::NONE,
        Principal::User => caller
            .grants
            .iter()
            .filter(|grant| *grant.environment == *key)
            .fold(everywhere.or(of_role(&caller.role)), |all, grant| all.or(of_role(&grant.role))),
    }
}

/// Whether `caller` is permitted anything at all in a bucket, wherever in it.
pub(super) fn touches(
    snapshot: &Snapshot,
    environment: &EnvironmentSnapshot,
    caller: &Caller,
    bucket: &str,
) -> bool {
    let key = environment.definition.key.as_str();
    let of_role = |role: &str| snapshot.role(role).is_some_and(|role| role.touches_bucket(key, bucket));
    let everywhere = caller.permissions(snapshot, environment).and(Permissions::of_buckets());
    let some = match &caller.principal {
        Principal::Nobody => false,
        Principal::Key(api_key) => {
            api_key.environment == key && api_key.buckets.iter().any(|scope| scope.bucket == bucket)
        }
        Principal::User => {
            let here = caller.grants.iter().filter(|grant| *grant.environment == *key);
            of_role(&caller.role) || here.map(|grant| &*grant.role).any(of_role)
        }
    };
    some || everywhere != Permissions::NONE
}

fn ask(bucket: &Bucket, visitor: &Visitor<'_>, act: Act<'_>) -> Verdict {
    let Some(policy) = &bucket.policy else { return Verdict::Silent };
    let about_bucket = act.is_about_bucket();
    policy.ask(&Question {
        principals: &principals(visitor.caller),
        action: act.action.as_str(),
        bucket: bucket.name(),
        key: (!about_bucket).then_some(act.to),
        prefix: about_bucket.then_some(act.to),
        ip: visitor.ip,
        secure: visitor.secure,
    })
}

/// What policies call a caller.
fn principals(caller: &Caller) -> Vec<String> {
    match &caller.principal {
        Principal::Nobody => Vec::new(),
        Principal::Key(key) => vec![format!("key:{}", key.id)],
        Principal::User => vec![format!("user:{}", caller.email), format!("role:{}", caller.role)],
    }
}

fn is_public(bucket: &Bucket, action: Action) -> bool {
    bucket.settings.public == Public::Read && action == Action::GetObject
}

fn refused(caller: &Caller, bucket: &Bucket, act: Act<'_>, denied: bool) -> Refusal {
    if caller.is_nobody() {
        return Refusal::unauthenticated();
    }
    let (name, permission) = (bucket.name(), act.action.permission());
    let message = if denied {
        format!("the policy of bucket `{name}` denies `{}` here", act.action.as_str())
    } else if let Some(refusal) = elsewhere(caller, bucket.environment(), (name, act.to), permission) {
        return refusal;
    } else {
        let permission = permission.as_str();
        format!("`{permission}` is not permitted here in bucket `{name}`; ask whoever manages it")
    };
    Refusal::new(Class::Forbidden, "forbidden", message)
}

/// What is told to a key that is for certain buckets, and was used for something else: what it is for, and what was asked.
pub(super) fn elsewhere(
    caller: &Caller,
    environment: &str,
    (bucket, to): (&str, &str),
    permission: Permission,
) -> Option<Refusal> {
    let Principal::Key(key) = &caller.principal else { return None };
    if key.buckets.is_empty() || key.environment != environment {
        return None;
    }
    let asked = match to {
        "" => format!("`{}`", shown(bucket)),
        to => format!("`{}/{}`", shown(bucket), shown(to)),
    };
    let permission = permission.as_str();
    let meant = |scope: &&KeyBucket| scope.bucket == bucket && to.starts_with(&scope.prefix);
    let message = if key.buckets.iter().any(|scope| meant(&scope)) {
        format!("this access key does not hold `{permission}` for {asked}; make one that does")
    } else {
        let mut places: Vec<_> = key.buckets.iter().take(MOST_TOLD).map(place).collect();
        if key.buckets.len() > MOST_TOLD {
            places.push("others".to_owned());
        }
        let places = places.join(", ");
        format!(
            "this access key is for {places} only, and `{permission}` was asked for {asked}; use a key for that"
        )
    };
    Some(Refusal::new(Class::Forbidden, "forbidden", message))
}

fn place(scope: &KeyBucket) -> String {
    match scope.prefix.as_str() {
        "" => format!("`{}`", scope.bucket),
        prefix => format!("`{}/{}`", scope.bucket, shown(prefix)),
    }
}

impl ApiKey {
    /// What it permits with what begins with `to` in a bucket, by the buckets it names.
    pub fn permitted_in_bucket(&self, bucket: &str, to: &str) -> Permissions {
        let all = self.permissions.iter().copied().collect::<Permissions>().and(Permissions::of_buckets());
        let meant = |scope: &&KeyBucket| scope.bucket == bucket && to.starts_with(&scope.prefix);
        self.buckets.iter().filter(meant).fold(Permissions::NONE, |permitted, scope| {
            let own = scope.permissions.as_ref().map(|own| own.iter().copied().collect::<Permissions>());
            permitted.or(own.map_or(all, |own| own.and(all)))
        })
    }
}

#[cfg(test)]
mod tests;
