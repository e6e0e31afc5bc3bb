//! A gateway route, as people write it and the catalog keeps it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{
    engine::Fault,
    gateway::{AddressPolicy, BucketTarget, FunctionTarget, duration, parse},
};

/// What an upstream that is a function begins with.
pub(super) const FUNCTION: &str = "function:";

/// What an upstream that is a bucket begins with.
pub(super) const BUCKET: &str = "bucket:";

/// A gateway route: which requests it takes, who may take it, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Unique within its environment.
    pub id: String,
    /// For people; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The host it answers for, lower case, without port; none: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The path, below `/gateway` or on a host or path of the gateway's own.
    pub path: String,
    /// How the path is compared.
    #[serde(rename = "match")]
    pub matching: PathMatch,
    /// The methods it takes, upper case; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Request headers that must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// What is cut off the path before it is forwarded.
    pub strip_prefix: StripPrefix,
    /// The flag that decides; none: the route is always on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag_key: Option<String>,
    /// Where requests go when no upstream is named after their variant; empty: nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_many")]
    pub backend_url: Vec<String>,
    /// The function that requests go to instead of an upstream: `hello`, or `hello@2` for one of its versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The bucket that answers instead of an upstream, and the prefix of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketTarget>,
    /// Where requests go, by variant; `function:hello` for a function, `bucket:site/releases/2/` for a release.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, Vec<String>>,
    /// What is answered while the flag is off for the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_off: Option<OffAnswer>,
    /// Whether the caller's token goes on to the upstream.
    pub forward_token: bool,
    /// Who may take it.
    pub require: Require,
    /// How long an upstream may take.
    #[serde(skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
    /// How often an idempotent request is tried again; none: as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How upstreams are watched; none: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Whether the upstream sees the `Host` that the client sent.
    pub preserve_host: bool,
}

/// How a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathMatch {
    /// The whole path.
    Exact,
    /// The path and everything below it, by whole segments.
    Prefix,
}

/// A request header that must be there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HeaderMatch {
    /// Its name, lower case.
    pub name: String,
    /// What is asked of it.
    #[serde(flatten)]
    pub value: MatchValue,
}

/// What is asked of a request header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchValue {
    /// Exactly this value.
    Value(String),
    /// That it is there, or that it is not.
    Present(bool),
}

/// What is cut off the path before it is forwarded. `/gateway` is always cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StripPrefix {
    /// Nothing.
    No,
    /// The route's own path.
    Path,
    /// This prefix.
    This(String),
}

/// What is answered while a flag is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OffAnswer {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The body; none: a JSON problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body's media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Who may take a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Require {
    /// Whoever comes.
    Anyone,
    /// Whoever has a valid token.
    Authenticated,
    /// Whoever has one of these roles.
    Roles(Vec<String>),
}

/// How long an upstream may take; none: as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Timeouts {
    /// To accept a connection.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration::serialize_option")]
    pub connect: Option<Duration>,
    /// To begin its answer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration::serialize_option")]
    pub request: Option<Duration>,
    /// Between two parts of a body.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration::serialize_option")]
    pub idle: Option<Duration>,
}

/// How upstreams are watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// Asked with `GET`; a status below 400 is healthy.
    pub path: String,
    /// How often.
    #[serde(serialize_with = "duration::serialize")]
    pub interval: Duration,
    /// How long the answer may take.
    #[serde(serialize_with = "duration::serialize")]
    pub timeout: Duration,
    /// So many good answers in a row make it healthy.
    pub healthy_threshold: u32,
    /// So many bad answers in a row make it unhealthy.
    pub unhealthy_threshold: u32,
}

impl Route {
    /// Reads and checks everything that can be checked without knowing the environment. An empty `id` means that none
    /// was given.
    ///
    /// # Errors
    /// All faults found, each with a JSON pointer into `body`.
    pub fn from_json(body: &Value, policy: AddressPolicy) -> Result<Self, Vec<Fault>> {
        parse::route(body, policy)
    }

    /// The canonical form: [`Route::from_json`] of it gives the same route.
    pub fn to_json(&self) -> Value {
        // A route holds nothing that JSON cannot.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Names of the functions that requests may go to.
    pub fn functions(&self) -> impl Iterator<Item = FunctionTarget> {
        let variants = self.variants.values().flatten();
        let named = variants.chain(&self.backend_url).filter_map(|text| text.strip_prefix(FUNCTION));
        named.chain(self.function.as_deref()).filter_map(|text| FunctionTarget::parse(text).ok())
    }

    /// Buckets that requests may be answered from.
    pub fn buckets(&self) -> impl Iterator<Item = BucketTarget> {
        let variants = self.variants.values().flatten();
        let named = variants.chain(&self.backend_url).filter_map(|text| text.strip_prefix(BUCKET));
        named.filter_map(|text| BucketTarget::parse(text).ok()).chain(self.bucket.clone())
    }

    /// The path in the first API's form: `/x` is exact, `/x/*` is everything below.
    pub fn pattern(&self) -> String {
        match self.matching {
            PathMatch::Exact => self.path.clone(),
            PathMatch::Prefix => format!("{}/*", self.path.trim_end_matches('/')),
        }
    }

    /// Whether both take exactly the same requests.
    pub fn takes_same(&self, other: &Self) -> bool {
        self.host == other.host
            && self.path == other.path
            && self.matching == other.matching
            && self.methods == other.methods
            && self.headers == other.headers
    }

    /// Whether the first API could have written it: nothing but a path decides.
    pub fn is_plain(&self) -> bool {
        self.host.is_none() && self.methods.is_empty() && self.headers.is_empty()
    }

    /// Whether it accepts requests of `method`.
    pub fn takes_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|taken| taken == method)
    }
}

impl<'de> Deserialize<'de> for Route {
    /// Reads what is stored. Addresses were checked when it was written, and are when they are connected to.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Value::deserialize(deserializer)?;
        let open = AddressPolicy { loopback: true, private: true };
        Self::from_json(&body, open).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            serde::de::Error::custom(faults.join("; "))
        })
    }
}

impl Timeouts {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for StripPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Path => serializer.serialize_bool(true),
            Self::This(prefix) => serializer.serialize_str(prefix),
        }
    }
}

impl Serialize for Require {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Anyone => serializer.serialize_str("anyone"),
            Self::Authenticated => serializer.serialize_str("authenticated"),
            Self::Roles(roles) => serde_json::json!({ "roles": roles }).serialize(serializer),
        }
    }
}

/// The first API had exactly one; its clients expect a string.
fn one_or_many<S: Serializer>(urls: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match urls {
        [only] => serializer.serialize_str(only),
        many => many.serialize(serializer),
    }
}

#[cfg(test)]
mod tests;
