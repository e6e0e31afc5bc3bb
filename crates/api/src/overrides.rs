//! Session overrides: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use flagbase_core::{
    accounts::Override,
    overrides::{Instead, Overrides, Target},
    refusal::Refusal,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::{At, Known},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(set, remove)).routes(routes!(list, clear))
}

/// A flag set for one session only.
#[derive(Debug, Serialize, ToSchema)]
struct OverrideView {
    /// The environment's key.
    environment: String,
    /// The flag's key.
    flag: String,
    /// The variant served to this session.
    variant: String,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    set_at: Timestamp,
    /// Who set it.
    set_by: String,
}

impl From<Override> for OverrideView {
    fn from(set: Override) -> Self {
        Self {
            environment: set.environment.to_string(),
            flag: set.flag.to_string(),
            variant: set.variant.to_string(),
            set_at: set.set_at,
            set_by: set.set_by.to_string(),
        }
    }
}

/// What to serve instead: `variant` or `value`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OverrideBody {
    /// The name of a variant.
    #[serde(default)]
    variant: Option<String>,
    /// The value of a variant.
    #[serde(default)]
    value: Option<Value>,
}

/// Another session than one's own; needs `user.manage`.
#[derive(Debug, Deserialize)]
struct Whose {
    session: Option<String>,
}

/// Sets a flag for this session only.
#[utoipa::path(
    put, path = "/api/v1/flags/{key}/override", tag = "overrides",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("session" = Option<String>, Query)),
    request_body = OverrideBody,
    responses((status = 200, body = OverrideView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn set(
    State(overrides): State<Arc<Overrides>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    Query(whose): Query<Whose>,
    Body(body): Body<OverrideBody>,
) -> Reply<Json<OverrideView>> {
    let instead = match (body.variant, body.value) {
        (Some(name), None) => Instead::Variant(name),
        (None, Some(value)) => Instead::Value(value),
        _ => return Err(Refusal::fault("", "give either `variant` or `value`").into()),
    };
    let target = Target { caller: &caller, session: whose.session.as_deref() };
    Ok(Json(overrides.set(target, &environment, &key, instead).await?.into()))
}

/// Removes what is set for this session.
#[utoipa::path(
    delete, path = "/api/v1/flags/{key}/override", tag = "overrides",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("session" = Option<String>, Query)),
    responses((status = 204), (status = 403, body = ProblemBody))
)]
async fn remove(
    State(overrides): State<Arc<Overrides>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    Query(whose): Query<Whose>,
) -> Reply<StatusCode> {
    let target = Target { caller: &caller, session: whose.session.as_deref() };
    overrides.remove(target, Some((&environment, &key))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is set for this session.
#[utoipa::path(
    get, path = "/api/v1/overrides", tag = "overrides", params(("session" = Option<String>, Query)),
    responses((status = 200, body = Vec<OverrideView>), (status = 403, body = ProblemBody))
)]
async fn list(
    State(overrides): State<Arc<Overrides>>,
    Known(caller): Known,
    Query(whose): Query<Whose>,
) -> Reply<Json<Vec<OverrideView>>> {
    let target = Target { caller: &caller, session: whose.session.as_deref() };
    let set = overrides.list(target).await?;
    Ok(Json(set.into_iter().map(OverrideView::from).collect()))
}

/// Removes everything that is set for this session.
#[utoipa::path(
    delete, path = "/api/v1/overrides", tag = "overrides", params(("session" = Option<String>, Query)),
    responses((status = 204), (status = 403, body = ProblemBody))
)]
async fn clear(
    State(overrides): State<Arc<Overrides>>,
    Known(caller): Known,
    Query(whose): Query<Whose>,
) -> Reply<StatusCode> {
    let target = Target { caller: &caller, session: whose.session.as_deref() };
    overrides.remove(target, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
