//! Listing what is in a bucket, and deleting much of it.

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use flagbase_core::{
    buckets::{Act, Action, Listed, Listing, MOST_LISTED, Position},
    refusal::Refusal,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{address::BUCKETS, heads::view, visit::Visit};
use crate::{
    body::Body,
    problem::{Problem, ProblemBody, Reply},
    request::{bad_query, query},
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(delete_many))
}

/// `?prefix&delimiter&after&after_version&versions&limit`.
struct Asked(Listing);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let limit = limit(parts)?;
        let versions = match query(parts, "versions").as_deref() {
            None | Some("false") => false,
            Some("true" | "") => true,
            Some(other) => return Err(bad_query("versions", other, "`true` or `false`").into()),
        };
        let version = query(parts, "after_version").unwrap_or_default();
        Ok(Self(Listing {
            prefix: query(parts, "prefix").unwrap_or_default(),
            delimiter: query(parts, "delimiter").filter(|delimiter| !delimiter.is_empty()),
            after: query(parts, "after").map(|key| Position { key, version }),
            versions,
            limit,
        }))
    }
}

/// How many items a page is to have.
pub(super) fn limit(parts: &Parts) -> Result<u32, Refusal> {
    let Some(text) = query(parts, "limit") else { return Ok(100) };
    match text.parse() {
        Ok(limit @ 1..=MOST_LISTED) => Ok(limit),
        _ => Err(bad_query("limit", &text, "a number from 1 to 1000")),
    }
}

/// Objects by the bytes of their keys, a page at a time; with `delimiter` what has it after the prefix is told as one of
/// `prefixes`. `next` says what to send along for the page after this one, as the `Link` header does.
#[utoipa::path(
    get, path = "/api/v1/buckets/{name}/objects", tag = "buckets",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("prefix" = Option<String>, Query),
        ("delimiter" = Option<String>, Query), ("after" = Option<String>, Query),
        ("after_version" = Option<String>, Query), ("versions" = Option<bool>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn list(
    State(handles): State<Handles>,
    visit: Visit,
    Path(name): Path<String>,
    Asked(listing): Asked,
) -> Reply<(HeaderMap, Json<Value>)> {
    let action = if listing.versions { Action::ListVersions } else { Action::ListBucket };
    let bucket = handles.buckets.admit(&visit.visitor(), &name, Act::new(action, &listing.prefix))?;
    let listed = handles.buckets.objects().list(&bucket, &listing).await?;
    let headers = link((&name, &visit.environment), &listing, listed.next.as_ref());
    let Listed { objects, prefixes, next } = listed;
    let objects: Vec<_> = objects.iter().map(view).collect();
    let next = next.map(|Position { key, version }| match version.as_str() {
        "" => json!({"after": key}),
        _ => json!({"after": key, "after_version": version}),
    });
    Ok((headers, Json(json!({"objects": objects, "prefixes": prefixes, "next": next}))))
}

/// `Link: <…>; rel="next"`.
fn link((name, environment): (&str, &str), listing: &Listing, next: Option<&Position>) -> HeaderMap {
    let Some(Position { key, version }) = next else { return HeaderMap::new() };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("environment", environment).append_pair("limit", &listing.limit.to_string());
    let (prefix, delimiter) = (listing.prefix.as_str(), listing.delimiter.as_deref().unwrap_or_default());
    let versions = if listing.versions { "true" } else { "" };
    let members = [
        ("prefix", prefix),
        ("delimiter", delimiter),
        ("versions", versions),
        ("after", key),
        ("after_version", version),
    ];
    query.extend_pairs(members.into_iter().filter(|(_, value)| !value.is_empty()));
    let link = format!("<{BUCKETS}/{name}/objects?{}>; rel=\"next\"", query.finish());
    HeaderValue::try_from(link).map(|link| (header::LINK, link)).into_iter().collect()
}

/// What is to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// Keys, or `{"key", "version"}`; at most 1 000.
    #[schema(value_type = Vec<Value>)]
    keys: Vec<Which>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a key, or an object with `key` and perhaps `version`")]
enum Which {
    Key(String),
    Version(Versioned),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned {
    key: String,
    #[serde(default)]
    version: Option<String>,
}

impl Which {
    fn split(self) -> (String, Option<String>) {
        match self {
            Self::Key(key) => (key, None),
            Self::Version(Versioned { key, version }) => (key, version),
        }
    }
}

/// Deletes many objects. Each has an answer of its own: it is among `deleted`, or among `errors` with what was wrong.
#[utoipa::path(
    post, path = "/api/v1/buckets/{name}/delete", tag = "buckets", request_body = Keys,
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn delete_many(
    State(handles): State<Handles>,
    visit: Visit,
    Path(name): Path<String>,
    Body(Keys { keys }): Body<Keys>,
) -> Reply<Json<Value>> {
    if keys.is_empty() || keys.len() > MOST_LISTED as usize {
        return Err(Refusal::fault("/keys", "expected 1 to 1000 keys").into());
    }
    let visitor = visit.visitor();
    let (mut permitted, mut errors, mut place) = (Vec::new(), Vec::new(), None);
    for (key, version) in keys.into_iter().map(Which::split) {
        let action = if version.is_some() { Action::DeleteVersion } else { Action::DeleteObject };
        match handles.buckets.admit(&visitor, &name, Act::new(action, &key)) {
            Ok(bucket) => {
                place = Some(bucket);
                permitted.push((key, version));
            }
            Err(refusal) => errors.push((key, version, refusal)),
        }
    }
    let mut deleted = Vec::new();
    match place {
        Some(bucket) => {
            let answers = handles.buckets.objects().delete_many(&visit.actor(), &bucket, &permitted).await;
            for ((key, version), answer) in permitted.into_iter().zip(answers) {
                match answer {
                    Ok(removed) => {
                        let marker = removed.filter(|object| object.marker && version.is_none());
                        deleted.push(json!({"key": key, "version": version,
                            "marker": marker.map(|marker| marker.version)}));
                    }
                    Err(refusal) => errors.push((key, version, refusal)),
                }
            }
        }
        // Nothing at all is permitted: that is said once, with its status.
        None => {
            if let Some((.., refusal)) = errors.pop() {
                return Err(refusal.into());
            }
        }
    }
    let errors = errors.into_iter().map(|(key, version, refusal)| {
        json!({"key": key, "version": version, "code": refusal.code, "detail": refusal.message})
    });
    Ok(Json(json!({"deleted": deleted, "errors": errors.collect::<Vec<_>>()})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_for_with_everything_that_was_asked() {
        let listing = Listing {
            prefix: "a b/".into(),
            delimiter: Some("/".into()),
            versions: true,
            limit: 7,
            ..Listing::default()
        };
        let next = Position { key: "a b/ü&=".into(), version: "v1".into() };
        let headers = link(("up", "default"), &listing, Some(&next));
        let link = headers[header::LINK].to_str().unwrap();
        assert_eq!(
            link,
            "</api/v1/buckets/up/objects?environment=default&limit=7&prefix=a+b%2F&delimiter=%2F&versions=true\
             &after=a+b%2F%C3%BC%26%3D&after_version=v1>; rel=\"next\""
        );
        assert!(super::link(("up", "default"), &listing, None).is_empty());
    }

    #[test]
    fn what_is_to_be_deleted_is_named_by_key_or_by_version() {
        let Keys { keys } =
            serde_json::from_value(json!({"keys": ["a", {"key": "b", "version": "null"}]})).unwrap();
        let split: Vec<_> = keys.into_iter().map(Which::split).collect();
        assert_eq!(split, [("a".to_owned(), None), ("b".to_owned(), Some("null".to_owned()))]);
    }
}
