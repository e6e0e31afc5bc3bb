//! Buckets and what is in them: translate in, call, translate out.

mod address;
mod arriving;
mod heads;
mod listing;
mod objects;
mod sign;
mod uploads;
mod visit;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::IntoResponse,
};
use flagbase_core::{
    buckets::{Act, Action, Buckets, Usage},
    catalog::Document,
    flags::view,
};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    documents::{page, shown, stored},
    problem::{ProblemBody, Reply},
    request::{At, Editing, Paging, Tagged},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, patch, delete))
        .routes(routes!(usage))
        .merge(objects::router())
        .merge(listing::router())
        .merge(sign::router())
        .merge(uploads::router())
}

/// Whether a request brings the bytes of an object: how long that takes is up to their number, so that only pauses are
/// limited.
pub fn is_transfer(method: &Method, path: &str) -> bool {
    let below = path.strip_prefix("/api/v1/buckets/").and_then(|rest| rest.split_once('/'));
    match below {
        Some((_, rest)) if rest.starts_with("objects/") => *method == Method::PUT,
        Some((_, "uploads")) => *method == Method::POST,
        Some((_, rest)) if rest.starts_with("uploads/") => *method == Method::PATCH,
        _ => false,
    }
}

/// A bucket.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the use case reads")]
pub(crate) struct BucketBody {
    /// For people.
    description: Option<String>,
    /// `off`, `enabled` or `suspended`.
    versioning: Option<String>,
    /// `none`, or `read`: everybody reads what he knows the key of.
    public: Option<String>,
    /// `{"bytes", "objects"}`: how much it may hold, older versions and uploads included.
    quota: Option<Value>,
    /// Whose pages may use it over S3: `[{"origins", "methods", "headers", "expose", "max_age"}]`. Over this API,
    /// `server.cors_origins` says so for everything.
    cors: Option<Vec<Value>>,
    /// What goes by itself: `[{"prefix", "tags", "expire_after_days", "noncurrent_after_days",
    /// "abort_uploads_after_days"}]`.
    lifecycle: Option<Vec<Value>>,
    /// A bucket policy as S3 has it.
    policy: Option<Value>,
    /// How it is served as a site: `{"index", "error", "spa"}`.
    site: Option<Value>,
    /// For rules and costs.
    tags: Option<Value>,
}

/// The buckets of an environment, by name.
#[utoipa::path(
    get, path = "/api/v1/buckets", tag = "buckets",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(buckets): State<Arc<Buckets>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = buckets.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/buckets", &environment), view))
}

/// One bucket, and how much is in it.
#[utoipa::path(
    get, path = "/api/v1/buckets/{name}", tag = "buckets",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(buckets): State<Arc<Buckets>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
) -> Reply<impl IntoResponse> {
    let (document, usage) = buckets.get(&caller, &environment, &name).await?;
    Ok(Tagged(document.revision, Json(with_usage(&document, usage))))
}

fn with_usage(document: &Document, usage: Usage) -> Value {
    let mut shown = view(document);
    if let Some(members) = shown.as_object_mut() {
        members.insert("usage".to_owned(), used(usage));
    }
    shown
}

fn used(usage: Usage) -> Value {
    json!({
        "objects": usage.objects, "bytes": usage.bytes, "older_versions": usage.older,
        "older_bytes": usage.older_bytes, "uploads": usage.uploads, "uploaded_bytes": usage.uploaded_bytes,
    })
}

/// How much is in a bucket.
#[utoipa::path(
    get, path = "/api/v1/buckets/{name}/usage", tag = "buckets",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn usage(
    State(buckets): State<Arc<Buckets>>,
    visit: visit::Visit,
    Path(name): Path<String>,
) -> Reply<Json<Value>> {
    let bucket = buckets.admit(&visit.visitor(), &name, Act::new(Action::ListBucket, ""))?;
    Ok(Json(used(buckets.objects().usage(&bucket.id).await?)))
}

/// Makes a bucket (201), or replaces all that is said of one that is there (200): members that are left out are as in a new
/// one, also `policy`, `public` and `lifecycle`; `PATCH` changes some and keeps the others. What is in it stays. With
/// `If-None-Match: *` a bucket that is there is refused.
#[utoipa::path(
    put, path = "/api/v1/buckets/{name}", tag = "buckets", request_body = BucketBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only a new one")),
    responses((status = 200, body = Value, description = "it was there, and all that was said of it was replaced"),
        (status = 201, body = Value, description = "it is new"), (status = 403, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(buckets): State<Arc<Buckets>>,
    edit: Editing,
    Path(name): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(stored(&buckets.put(edit.asked(), &name, &body, edit.seen).await?, view))
}

/// Changes members of a bucket: each takes the place of the one there is; null takes it away.
#[utoipa::path(
    patch, path = "/api/v1/buckets/{name}", tag = "buckets", request_body = BucketBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn patch(
    State(buckets): State<Arc<Buckets>>,
    edit: Editing,
    Path(name): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&buckets.patch(edit.asked(), &name, &body, edit.seen).await?, view))
}

/// Deletes a bucket that holds nothing.
#[utoipa::path(
    delete, path = "/api/v1/buckets/{name}", tag = "buckets",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(buckets): State<Arc<Buckets>>,
    edit: Editing,
    Path(name): Path<String>,
) -> Reply<StatusCode> {
    buckets.delete(edit.asked(), &name, edit.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_brings_bytes_may_take_as_long_as_they_do() {
        for (method, path, transfers) in [
            (Method::PUT, "/api/v1/buckets/a/objects/b/c", true),
            (Method::POST, "/api/v1/buckets/a/uploads", true),
            (Method::PATCH, "/api/v1/buckets/a/uploads/1", true),
            (Method::PATCH, "/api/v1/buckets/a/objects/b", false),
            (Method::GET, "/api/v1/buckets/a/objects/b", false),
            (Method::POST, "/api/v1/buckets/a/sign", false),
            (Method::PUT, "/api/v1/buckets/a", false),
            (Method::PUT, "/api/v1/flags/a/objects/b", false),
        ] {
            assert_eq!(is_transfer(&method, path), transfers, "{method} {path}");
        }
    }
}
