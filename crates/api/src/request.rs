//! What handlers extract from a request: the caller, the environment, the precondition, the reason, a page.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    caller::{Caller, Peer, Principal},
    catalog::{Page, Revision},
    flags::Asked,
    gateway::Forwarded,
    refusal::{Class, Precondition, Refusal},
    snapshot::DEFAULT_ENVIRONMENT,
};

use crate::{metrics::not_let_in, problem::Problem, router::Handles};

/// A caller with a valid token; without one the handler is not called and the answer is 401.
pub(crate) struct Known(pub(crate) Arc<Caller>);

impl FromRequestParts<Handles> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let caller = caller(parts, handles).await?;
        caller.require_somebody()?;
        Ok(Self(caller))
    }
}

/// A caller with a valid token, or nobody when there is none.
pub(crate) struct Anyone(pub(crate) Arc<Caller>);

impl FromRequestParts<Handles> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        Ok(Self(caller(parts, handles).await?))
    }
}

/// The caller behind the token of a request; nobody when there is none.
async fn caller(parts: &Parts, handles: &Handles) -> Result<Arc<Caller>, Refusal> {
    let Some(token) = token(&parts.headers)? else { return Ok(Caller::nobody()) };
    let identity = &handles.identity;
    if let Some(caller) = identity.cached(token) {
        Ok(caller)
    } else {
        let verified = identity.authenticate(token).await;
        verified.inspect_err(|refusal| not_let_in(&handles.recorder, refusal))
    }
}

/// The token of a request: `Authorization: Bearer <token>`, the bare token the seed took, or `X-API-Key`.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let text = |value: &'_ HeaderValue| value.to_str().is_ok();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        if !text(value) {
            return Err(Refusal::token_invalid());
        }
        let value = value.to_str().unwrap_or_default().trim();
        return Ok(match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
            Some(_) => return Err(Refusal::token_invalid()),
            None => Some(value),
        });
    }
    Ok(headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim))
}

/// The environment of a request: `?environment=`, else the API key's, else the default one.
pub(crate) fn scope(parts: &Parts, caller: &Caller) -> Arc<str> {
    if let Some(named) = query(parts, "environment") {
        return named.into();
    }
    match &caller.principal {
        Principal::Key(key) => key.environment.as_str().into(),
        _ => DEFAULT_ENVIRONMENT.into(),
    }
}

/// Who reads where.
pub(crate) struct At {
    pub(crate) caller: Arc<Caller>,
    pub(crate) environment: Arc<str>,
}

impl FromRequestParts<Handles> for At {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let Known(caller) = Known::from_request_parts(parts, handles).await?;
        let environment = scope(parts, &caller);
        Ok(Self { caller, environment })
    }
}

/// Who changes something, where, why, and what he saw of it.
pub(crate) struct Editing {
    pub(crate) caller: Arc<Caller>,
    pub(crate) environment: Arc<str>,
    pub(crate) reason: String,
    pub(crate) seen: Precondition,
}

impl Editing {
    /// The same, as use cases take it.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { caller: &self.caller, environment: &self.environment, reason: &self.reason }
    }
}

impl FromRequestParts<Handles> for Editing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let At { caller, environment } = At::from_request_parts(parts, handles).await?;
        let Why(reason) = Why::from_request_parts(parts, handles).await?;
        let Seen(seen) = Seen::from_request_parts(parts, handles).await?;
        Ok(Self { caller, environment, reason, seen })
    }
}

/// The first query parameter called `name`.
pub(crate) fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// `If-Match` and `If-None-Match`.
pub(crate) struct Seen(pub(crate) Precondition);

impl FromRequestParts<Handles> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Handles) -> Result<Self, Problem> {
        if let Some(value) = parts.headers.get(header::IF_MATCH) {
            let text = value.to_str().unwrap_or_default().trim();
            if text == "*" {
                return Ok(Self(Precondition::None));
            }
            return Ok(Self(Precondition::Match(revision(text).ok_or_else(|| {
                Refusal::new(
                    Class::Malformed,
                    "bad_precondition",
                    format!("`If-Match: {text}` is no revision; send the `ETag` as it was received"),
                )
            })?)));
        }
        let absent = parts.headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*");
        Ok(Self(if absent { Precondition::Absent } else { Precondition::None }))
    }
}

fn revision(text: &str) -> Option<Revision> {
    let text = text.strip_prefix("W/").unwrap_or(text);
    text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Why the caller makes a change: `?reason=` or the header `X-Flagbase-Reason`.
pub(crate) struct Why(pub(crate) String);

impl FromRequestParts<Handles> for Why {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Handles) -> Result<Self, Problem> {
        let header = || {
            let value = parts.headers.get("x-flagbase-reason")?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let reason = query(parts, "reason").or_else(header).unwrap_or_default();
        check_reason(&reason)?;
        Ok(Self(reason))
    }
}

/// Fails for a reason that is too long to keep.
pub(crate) fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.chars().count() <= 1000 {
        return Ok(());
    }
    Err(Refusal::new(Class::Malformed, "bad_reason", "the reason is longer than 1000 characters; shorten it"))
}

/// `?limit=`, `?after=` and `?search=` of a listing.
pub(crate) struct Paging {
    pub(crate) after: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) limit: u32,
}

impl Paging {
    const DEFAULT: u32 = 100;
    const MOST: u32 = 1000;
}

impl FromRequestParts<Handles> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Handles) -> Result<Self, Problem> {
        let limit = match query(parts, "limit") {
            None => Self::DEFAULT,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=Self::MOST) => limit,
                _ => return Err(bad_query("limit", &text, "a number from 1 to 1000").into()),
            },
        };
        Ok(Self { after: query(parts, "after"), search: query(parts, "search"), limit })
    }
}

impl Paging {
    /// What the use case takes, and what is left for the link to the next page.
    pub(crate) fn split(self) -> (Page, Next) {
        let next = Next { limit: self.limit, search: self.search.clone() };
        (Page { after: self.after, search: self.search, limit: self.limit }, next)
    }
}

/// How the page after this one is asked for.
pub(crate) struct Next {
    limit: u32,
    search: Option<String>,
}

impl Next {
    /// `Link: <…>; rel="next"` of a listing of `count` items that ended with `last`, when it was cut at its limit.
    pub(crate) fn link(self, path: &str, scope: &str, last: Option<&str>, count: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(last) = last.filter(|_| count == self.limit as usize) else { return headers };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("environment", scope).append_pair("limit", &self.limit.to_string());
        if let Some(search) = &self.search {
            query.append_pair("search", search);
        }
        let link = format!("<{path}?{}>; rel=\"next\"", query.append_pair("after", last).finish());
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.insert(header::LINK, link);
        }
        headers
    }
}

/// A query parameter that makes no sense.
pub(crate) fn bad_query(name: &str, text: &str, expected: &str) -> Refusal {
    Refusal::new(Class::Malformed, "bad_query", format!("`{name}={text}`: expected {expected}"))
}

/// Where the request came from, as the server saw it.
pub(crate) struct Client(pub(crate) Option<Forwarded>);

impl FromRequestParts<Handles> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Handles) -> Result<Self, Problem> {
        Ok(Self::of(&parts.extensions))
    }
}

impl Client {
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<Peer>().map(|Peer(from)| *from))
    }

    /// As rules see it; nothing when the address is not known.
    pub(crate) fn text(&self) -> Option<String> {
        self.0.map(|from| from.address.to_canonical().to_string())
    }
}

/// An answer with the revision of what it shows as `ETag`.
pub(crate) struct Tagged<T>(pub(crate) Revision, pub(crate) T);

impl<T: IntoResponse> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", self.0)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}
