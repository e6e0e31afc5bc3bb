//! Secrets of functions: set, named, removed; never shown.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use flagbase_core::functions::vault::{SecretInfo, Secrets};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::{At, Editing},
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set, delete))
}

fn shown(SecretInfo { name, set_at }: SecretInfo) -> Value {
    json!({"name": name, "updated_at": set_at})
}

/// The names of a function's secrets. Their values are shown to nobody but the function.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/secrets", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn list(
    State(secrets): State<Arc<Secrets>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
) -> Reply<Json<Vec<Value>>> {
    let listed = secrets.list(&caller, &environment, &name).await?;
    Ok(Json(listed.into_iter().map(shown).collect()))
}

/// The value of a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecretBody {
    /// What the function gets; shown to nobody else.
    value: String,
}

/// Sets a secret of a function. It is encrypted before it is stored.
#[utoipa::path(
    put, path = "/api/v1/functions/{name}/secrets/{secret}", tag = "functions", request_body = SecretBody,
    params(("name" = String, Path), ("secret" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn set(
    State(secrets): State<Arc<Secrets>>,
    editing: Editing,
    Path((name, secret)): Path<(String, String)>,
    Body(SecretBody { value }): Body<SecretBody>,
) -> Reply<StatusCode> {
    secrets.set(editing.asked(), &name, (&secret, &value)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a secret of a function.
#[utoipa::path(
    delete, path = "/api/v1/functions/{name}/secrets/{secret}", tag = "functions",
    params(("name" = String, Path), ("secret" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn delete(
    State(secrets): State<Arc<Secrets>>,
    editing: Editing,
    Path((name, secret)): Path<(String, String)>,
) -> Reply<StatusCode> {
    secrets.delete(editing.asked(), &name, &secret).await?;
    Ok(StatusCode::NO_CONTENT)
}
