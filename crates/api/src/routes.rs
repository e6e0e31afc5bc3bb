//! Gateway routes: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use flagbase_core::{
    buckets::Buckets,
    gateway::{Preview, Question, Routes, view},
};
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
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get, put, delete))
        .routes(routes!(test))
}

/// The gateway routes of an environment, by id.
#[utoipa::path(
    get, path = "/api/v1/gateway/routes", tag = "gateway",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(routes): State<Arc<Routes>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = routes.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/gateway/routes", &environment), view))
}

/// Registers a route. In the first form, `{id?, pattern, backend_url, flag_key?}`, a route of the same pattern is
/// replaced; in the full form, with `path`, a route that takes the same requests is a conflict.
///
/// Requests go to `backend_url`, to `function` (`hello`, `hello@2`) or to `bucket` (`"site"`, or
/// `{"name": "site", "prefix": "releases/1/"}`), and where `variants` of the flag say otherwise there: an address,
/// `function:hello` or `bucket:site/releases/2/`. Who leads to a bucket must be permitted to read it.
/// Where a release holds nothing yet, the answer says so in `warnings`.
#[utoipa::path(
    post, path = "/api/v1/gateway/routes", tag = "gateway", params(("environment" = Option<String>, Query)),
    request_body = Value,
    responses((status = 201, body = Value), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn register(
    State(routes): State<Arc<Routes>>,
    State(buckets): State<Arc<Buckets>>,
    edit: Editing,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let registered = routes.register(edit.asked(), &body).await?;
    let mut answer = shown(&registered.document, view);
    warn(&mut answer.1.0, &buckets, &edit.environment).await;
    Ok((StatusCode::CREATED, answer))
}

/// Adds `warnings` to a route that was written, when something of it leads to nothing yet.
async fn warn(route: &mut Value, buckets: &Buckets, environment: &str) {
    let Some(members) = route.as_object_mut() else { return };
    let id = members.get("id").and_then(Value::as_str).unwrap_or_default();
    // The route is written: not being able to look is no reason to say anything else.
    let warnings = buckets.empty_releases(environment, id).await.unwrap_or_default();
    if !warnings.is_empty() {
        members.insert("warnings".to_owned(), warnings.into());
    }
}

/// One route.
#[utoipa::path(
    get, path = "/api/v1/gateway/routes/{id}", tag = "gateway",
    params(("id" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(routes): State<Arc<Routes>>,
    At { caller, environment }: At,
    Path(id): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&routes.get(&caller, &environment, &id).await?, view))
}

/// Replaces a whole route, or makes it. `warnings` are as when it is registered.
#[utoipa::path(
    put, path = "/api/v1/gateway/routes/{id}", tag = "gateway",
    params(("id" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    request_body = Value,
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(routes): State<Arc<Routes>>,
    State(buckets): State<Arc<Buckets>>,
    edit: Editing,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let registered = routes.put(edit.asked(), &id, body, edit.seen).await?;
    let (status, mut answer) = stored(&(registered.document, registered.new), view);
    warn(&mut answer.1.0, &buckets, &edit.environment).await;
    Ok((status, answer))
}

/// Deletes a route.
#[utoipa::path(
    delete, path = "/api/v1/gateway/routes/{id}", tag = "gateway",
    params(("id" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody))
)]
async fn delete(
    State(routes): State<Arc<Routes>>,
    edit: Editing,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    routes.delete(edit.asked(), &id, edit.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what would become of a request, `{method?, path, host?, headers?, ip?, caller?}`, and why; sends nothing.
#[utoipa::path(
    post, path = "/api/v1/gateway/routes/test", tag = "gateway", params(("environment" = Option<String>, Query)),
    request_body = Value,
    responses((status = 200, body = Value), (status = 422, body = ProblemBody))
)]
async fn test(
    State(routes): State<Arc<Routes>>,
    edit: Editing,
    Body(question): Body<Question>,
) -> Reply<Json<Preview>> {
    Ok(Json(routes.test(edit.asked(), &question)?))
}
