//! Guards: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use flagbase_core::{flags::view, guards::Guards};
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
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete))
}

/// The guards of an environment, by key.
#[utoipa::path(
    get, path = "/api/v1/guards", tag = "guards",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(guards): State<Arc<Guards>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = guards.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/guards", &environment), view))
}

/// One guard.
#[utoipa::path(
    get, path = "/api/v1/guards/{key}", tag = "guards",
    params(("key" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(guards): State<Arc<Guards>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&guards.get(&caller, &environment, &key).await?, view))
}

/// Replaces a whole guard, or makes it.
#[utoipa::path(
    put, path = "/api/v1/guards/{key}", tag = "guards",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    request_body = Value,
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 403, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(guards): State<Arc<Guards>>,
    editing: Editing,
    Path(key): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(stored(&guards.put(editing.asked(), &key, &body, editing.seen).await?, view))
}

/// Deletes a guard.
#[utoipa::path(
    delete, path = "/api/v1/guards/{key}", tag = "guards",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(guards): State<Arc<Guards>>,
    editing: Editing,
    Path(key): Path<String>,
) -> Reply<StatusCode> {
    guards.delete(editing.asked(), &key, editing.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
