//! Segments: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use flagbase_core::{flags::view, segments::Segments};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    documents::{page, shown, stored},
    problem::{ProblemBody, Reply},
    request::{At, Editing, Paging},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, put, delete))
}

/// The segments of an environment, by key.
#[utoipa::path(
    get, path = "/api/v1/segments", tag = "segments",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(segments): State<Arc<Segments>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = segments.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/segments", &environment), view))
}

/// Makes a segment.
#[utoipa::path(
    post, path = "/api/v1/segments", tag = "segments", params(("environment" = Option<String>, Query)),
    request_body = Value,
    responses((status = 201, body = Value), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn create(
    State(segments): State<Arc<Segments>>,
    edit: Editing,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let document = segments.create(edit.asked(), &body).await?;
    Ok((StatusCode::CREATED, shown(&document, view)))
}

/// One segment.
#[utoipa::path(
    get, path = "/api/v1/segments/{key}", tag = "segments",
    params(("key" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(segments): State<Arc<Segments>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&segments.get(&caller, &environment, &key).await?, view))
}

/// Replaces a whole segment, or makes it.
#[utoipa::path(
    put, path = "/api/v1/segments/{key}", tag = "segments",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    request_body = Value,
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 412, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn put(
    State(segments): State<Arc<Segments>>,
    edit: Editing,
    Path(key): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(stored(&segments.put(edit.asked(), &key, body, edit.seen).await?, view))
}

/// Deletes a segment that no flag uses.
#[utoipa::path(
    delete, path = "/api/v1/segments/{key}", tag = "segments",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(segments): State<Arc<Segments>>,
    edit: Editing,
    Path(key): Path<String>,
) -> Reply<StatusCode> {
    segments.delete(edit.asked(), &key, edit.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
