//! Buckets, which functions keep objects in: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use flagbase_core::{buckets::Buckets, flags::view};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    documents::{page, shown, stored},
    problem::{ProblemBody, Reply},
    request::{At, Editing, Paging},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete))
}

/// A bucket.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the use case reads")]
pub(crate) struct BucketBody {
    /// For people.
    description: Option<String>,
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

/// One bucket.
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
    let (document, _) = buckets.get(&caller, &environment, &name).await?;
    Ok(shown(&document, view))
}

/// Makes a bucket, or describes it anew; what is in it stays.
#[utoipa::path(
    put, path = "/api/v1/buckets/{name}", tag = "buckets", request_body = BucketBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 403, body = ProblemBody),
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
