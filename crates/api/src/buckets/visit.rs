//! Who comes to an object, and by what right: a token, a signed URL, or what everybody may.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use flagbase_core::{
    buckets::{Act, Action, Bucket, Claim, Granted, Visitor},
    caller::Caller,
    catalog::Actor,
    gateway::Forwarded,
    refusal::{Class, Refusal},
    snapshot::DEFAULT_ENVIRONMENT,
};
use jiff::Timestamp;

use super::address::Address;
use crate::{
    problem::Problem,
    request::{Anyone, Client, Why, bad_query, query, scope},
    router::Handles,
};

/// Who comes, perhaps nobody known.
pub(super) struct Visit {
    pub(super) caller: Arc<Caller>,
    pub(super) environment: Arc<str>,
    reason: String,
    from: Option<Forwarded>,
}

impl Visit {
    /// The same, as use cases take it.
    pub(super) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            caller: &self.caller,
            environment: &self.environment,
            reason: &self.reason,
            ip: self.from.map(|from| from.address),
            secure: self.from.is_some_and(|from| from.secure),
        }
    }

    /// Who it will have been.
    pub(super) fn actor(&self) -> Actor {
        self.caller.actor()
    }
}

impl FromRequestParts<Handles> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let Anyone(caller) = Anyone::from_request_parts(parts, handles).await?;
        let Why(reason) = Why::from_request_parts(parts, handles).await?;
        let environment = scope(parts, &caller);
        Ok(Self { caller, environment, reason, from: Client::of(&parts.extensions).0 })
    }
}

/// A visit to one object.
pub(super) struct Coming {
    pub(super) address: Address,
    pub(super) version: Option<String>,
    by: Right,
}

enum Right {
    Visit(Visit),
    /// A signed URL, and its signature.
    Signed(Box<Claim>, String),
}

/// What somebody who was let in needs.
pub(super) struct Entry {
    pub(super) bucket: Arc<Bucket>,
    pub(super) granted: Granted,
    pub(super) actor: Actor,
    /// How many bytes may be written.
    pub(super) most: Option<u64>,
    /// The media type that has to be written.
    pub(super) content_type: Option<String>,
}

impl Coming {
    /// Lets in whoever may do `action` to the object.
    pub(super) fn enter(&self, handles: &Handles, action: Action) -> Result<Entry, Refusal> {
        match &self.by {
            Right::Visit(visit) => {
                let act = Act::new(action, &self.address.key);
                let (bucket, granted) =
                    handles.buckets.granted(&visit.visitor(), &self.address.bucket, act)?;
                Ok(Entry { bucket, granted, actor: visit.actor(), most: None, content_type: None })
            }
            Right::Signed(claim, signature) => {
                let bucket = handles.buckets.signed(claim, signature)?;
                let (kind, id) = claim.by.split_once(':').unwrap_or_default();
                let kind = if kind == "key" { "api_key" } else { "user" };
                let actor = Actor { kind: kind.into(), id: id.into(), name: "a signed URL".into() };
                let Claim { max_size, content_type, .. } = (**claim).clone();
                Ok(Entry { bucket, granted: Granted::Permission, actor, most: max_size, content_type })
            }
        }
    }

    /// Who comes, when he does not come by a signed URL: that leads to one object only.
    pub(super) fn visit(&self) -> Result<&Visit, Refusal> {
        match &self.by {
            Right::Visit(visit) => Ok(visit),
            Right::Signed(..) => {
                let message = "a signed URL does not permit this; come with a token";
                Err(Refusal::new(Class::Forbidden, "signature_invalid", message))
            }
        }
    }
}

impl FromRequestParts<Handles> for Coming {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let address = Address::of(&parts.uri)?;
        let version = query(parts, "version");
        let by = match query(parts, "signature") {
            None => Right::Visit(Visit::from_request_parts(parts, handles).await?),
            Some(signature) => Right::Signed(Box::new(claim(parts, (&address, version.clone()))?), signature),
        };
        Ok(Self { address, version, by })
    }
}

/// What a URL says that it permits.
fn claim(parts: &Parts, (address, version): (&Address, Option<String>)) -> Result<Claim, Refusal> {
    let number = |name: &str| {
        let text = query(parts, name);
        text.map(|text| text.parse::<u64>().map_err(|_| bad_query(name, &text, "a number"))).transpose()
    };
    let expires =
        number("expires")?.and_then(|second| Timestamp::from_second(i64::try_from(second).ok()?).ok());
    let expires = expires.ok_or_else(|| bad_query("expires", "", "the second at which it ends"))?;
    let method = if parts.method == Method::HEAD { "GET" } else { parts.method.as_str() };
    Ok(Claim {
        method: method.to_owned(),
        environment: query(parts, "environment").unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned()),
        bucket: address.bucket.clone(),
        key: address.key.clone(),
        version,
        expires,
        max_size: number("max_size")?,
        content_type: query(parts, "content_type"),
        by: query(parts, "by").unwrap_or_default(),
    })
}
