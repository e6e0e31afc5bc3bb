//! Signed URLs: whoever has one may do one thing to one object for some time.

use axum::{
    Json,
    extract::{Path, State},
};
use flagbase_core::{buckets::Claim, refusal::Refusal};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{address::Address, visit::Visit};
use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    router::Handles,
};

/// How long a URL is good for when nothing is said, in seconds.
const HOUR: i64 = 3600;

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(sign))
}

/// What a URL is to permit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `GET` (which admits `HEAD`), `PUT` or `DELETE`.
    #[serde(default)]
    method: Option<String>,
    /// The object's key.
    key: String,
    /// The version that may be read.
    #[serde(default)]
    version: Option<String>,
    /// For how many seconds, up to 7 days; an hour when nothing is said.
    #[serde(default)]
    expires_in: Option<i64>,
    /// How many bytes may be written.
    #[serde(default)]
    max_size: Option<u64>,
    /// The `Content-Type` that has to be sent.
    #[serde(default)]
    content_type: Option<String>,
}

/// Makes a URL with which one thing may be done to one object without a token, by who may do that himself. `url` is
/// relative to the address of this server.
#[utoipa::path(
    post, path = "/api/v1/buckets/{name}/sign", tag = "buckets", request_body = Wanted,
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn sign(
    State(handles): State<Handles>,
    visit: Visit,
    Path(name): Path<String>,
    Body(wanted): Body<Wanted>,
) -> Reply<Json<Value>> {
    let method = wanted.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    if method != "PUT" && (wanted.max_size.is_some() || wanted.content_type.is_some()) {
        let pointer = if wanted.max_size.is_some() { "/max_size" } else { "/content_type" };
        return Err(Refusal::fault(pointer, "says something of a `PUT` only").into());
    }
    if method != "GET" && wanted.version.is_some() {
        return Err(Refusal::fault("/version", "can be read only").into());
    }
    visit.caller.require_somebody()?;
    let now = handles.feed.clock().now();
    let expires_in = SignedDuration::from_secs(wanted.expires_in.unwrap_or(HOUR));
    let claim = Claim {
        method,
        environment: visit.environment.to_string(),
        bucket: name,
        key: wanted.key,
        version: wanted.version,
        expires: now.checked_add(expires_in).unwrap_or(now),
        max_size: wanted.max_size,
        content_type: wanted.content_type,
        by: String::new(),
    };
    let (claim, signature) = handles.buckets.sign(&visit.visitor(), claim)?;
    let url = url(&claim, &signature);
    Ok(Json(json!({"url": url, "method": claim.method, "expires_at": claim.expires})))
}

fn url(claim: &Claim, signature: &str) -> String {
    let address = Address { bucket: claim.bucket.clone(), key: claim.key.clone() };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("environment", &claim.environment);
    let max_size = claim.max_size.map(|size| size.to_string());
    let members =
        [("version", &claim.version), ("max_size", &max_size), ("content_type", &claim.content_type)];
    query.extend_pairs(members.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    query.append_pair("expires", &claim.expires.as_second().to_string());
    query.append_pair("by", &claim.by).append_pair("signature", signature);
    format!("{}?{}", address.path(), query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_signed_travels_in_the_url() {
        let claim = Claim {
            method: "PUT".into(),
            environment: "default".into(),
            bucket: "up".into(),
            key: "a b/ä".into(),
            version: None,
            expires: jiff::Timestamp::from_second(100).unwrap(),
            max_size: Some(5),
            content_type: Some("a/b".into()),
            by: "user:u1".into(),
        };
        assert_eq!(
            url(&claim, "5e"),
            "/api/v1/buckets/up/objects/a%20b/%C3%A4?environment=default&max_size=5&content_type=a%2Fb&expires=100\
             &by=user%3Au1&signature=5e"
        );
    }
}
