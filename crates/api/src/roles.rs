//! Roles, for administrators: translate in, call, translate out.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use flagbase_core::{
    identity::{Identity, StoredRole},
    permissions::Permission,
    refusal::Refusal,
    roles::Role,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::{Editing, Known, Tagged},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete))
}

/// A named set of permissions.
#[derive(Serialize, ToSchema)]
struct RoleView {
    /// Unique; `admin`, `developer` and `user` are built in.
    key: String,
    /// What people call it.
    name: String,
    /// What it permits: by environment kind (`development`, `production`), everywhere (`*`), or in one environment
    /// (`environment:<key>`).
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    permissions: BTreeMap<String, Vec<Permission>>,
    /// Whether it is there without having been made.
    built_in: bool,
    /// The change that wrote it; 0 for a built-in role as it came.
    revision: u64,
}

impl From<StoredRole> for RoleView {
    fn from(StoredRole { role, revision }: StoredRole) -> Self {
        let built_in = Role::built_in().iter().any(|known| known.key == role.key);
        Self { key: role.key, name: role.name, permissions: role.permissions, built_in, revision }
    }
}

/// A role to be stored; what a view shows beside it is taken and ignored.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    /// The same as in the path, when given.
    #[serde(default)]
    key: Option<String>,
    /// What people call it.
    #[serde(default)]
    name: String,
    /// What it permits, by scope.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    permissions: BTreeMap<String, Vec<Permission>>,
    #[serde(default, rename = "built_in")]
    _built_in: Option<bool>,
    #[serde(default, rename = "revision")]
    _revision: Option<u64>,
}

fn shown(role: StoredRole) -> Tagged<Json<RoleView>> {
    Tagged(role.revision, Json(role.into()))
}

/// All roles, by key.
#[utoipa::path(
    get, path = "/api/v1/roles", tag = "roles",
    responses((status = 200, body = Vec<RoleView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(State(identity): State<Arc<Identity>>, Known(caller): Known) -> Reply<Json<Vec<RoleView>>> {
    let roles = identity.roles(&caller).await?;
    Ok(Json(roles.into_iter().map(RoleView::from).collect()))
}

/// One role.
#[utoipa::path(
    get, path = "/api/v1/roles/{key}", tag = "roles", params(("key" = String, Path)),
    responses((status = 200, body = RoleView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn get(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(identity.role(&caller, &key).await?))
}

/// Makes or replaces a role; it acts on the next request of whoever holds it. `admin` stays as it is.
#[utoipa::path(
    put, path = "/api/v1/roles/{key}", tag = "roles",
    params(("key" = String, Path), ("If-Match" = Option<String>, Header)), request_body = RoleBody,
    responses((status = 200, body = RoleView), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(identity): State<Arc<Identity>>,
    Editing { caller, seen, reason, .. }: Editing,
    Path(key): Path<String>,
    Body(body): Body<RoleBody>,
) -> Reply<impl IntoResponse> {
    if body.key.is_some_and(|given| given != key) {
        return Err(
            Refusal::fault("/key", format!("is not `{key}` as in the path; a role keeps its key")).into()
        );
    }
    let role = Role { key, name: body.name, permissions: body.permissions };
    Ok(shown(identity.put_role(&caller, role, seen, &reason).await?))
}

/// Removes a role; whoever holds it may do nothing by it any more. A changed built-in role becomes what it was.
#[utoipa::path(
    delete, path = "/api/v1/roles/{key}", tag = "roles",
    params(("key" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 412, body = ProblemBody))
)]
async fn delete(
    State(identity): State<Arc<Identity>>,
    Editing { caller, seen, reason, .. }: Editing,
    Path(key): Path<String>,
) -> Reply<StatusCode> {
    identity.delete_role(&caller, &key, seen, &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
