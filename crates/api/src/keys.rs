//! API keys: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use flagbase_core::{
    identity::{Identity, KeyRequest},
    keys::{ApiKey, KeyBucket},
    permissions::Permission,
    snapshot::DEFAULT_ENVIRONMENT,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::{Known, Tagged, Why},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
struct KeyView {
    /// 16 hex digits.
    id: String,
    /// What people call it.
    name: String,
    /// The only environment it admits to.
    environment: String,
    /// What it permits there.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// Where what it permits about buckets holds; absent: in all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    buckets: Vec<KeyBucket>,
    /// The id of the S3 access key that it is, too; absent when it permits nothing about buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    /// When it was made; absent for a key from before this was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When it ends; absent when only revoking ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The id of the user who made it.
    created_by: String,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            environment: key.environment.clone(),
            permissions: key.permissions.clone(),
            buckets: key.buckets.clone(),
            access_key_id: key.is_access_key().then(|| key.access_key_id()),
            created_at: key.created_at,
            expires_at: key.expires_at,
            created_by: key.created_by.clone(),
        }
    }
}

/// A new API key, with its token.
#[derive(Serialize, ToSchema)]
struct NewKeyView {
    /// The key.
    #[serde(flatten)]
    key: KeyView,
    /// To be sent as `Authorization: Bearer <token>` or `X-API-Key: <token>`. Told only here.
    token: String,
    /// What clients of S3 sign with, beside `access_key_id`; absent when it permits nothing about buckets. Told only here.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_access_key: Option<String>,
    /// The server's port for clients of S3; absent where S3 is not served, and when it permits nothing about buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_port: Option<u16>,
}

/// An API key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    /// What people call it, 1 to 100 characters.
    name: String,
    /// The only environment it admits to; `default` when not given.
    #[serde(default = "default_environment")]
    environment: String,
    /// What it permits there: no more than its maker may do.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// Where what it permits about buckets holds: `[{"bucket": "photos", "prefix": "2026/", "permissions": ["bucket.read"]}]`;
    /// in all of them when not given.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    buckets: Vec<KeyBucket>,
    /// How long it is good for, such as `720h` or `90d`; until it is revoked when not given.
    #[serde(default)]
    expires_in: Option<String>,
}

fn default_environment() -> String {
    DEFAULT_ENVIRONMENT.to_owned()
}

/// The API keys that the caller made, by name; all of them for whoever has `user.manage`.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys",
    responses((status = 200, body = Vec<KeyView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(State(identity): State<Arc<Identity>>, Known(caller): Known) -> Reply<Json<Vec<KeyView>>> {
    let keys = identity.keys(&caller)?;
    Ok(Json(keys.iter().map(|key| KeyView::from(key.as_ref())).collect()))
}

/// Makes an API key. Its token is shown once.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "keys", request_body = KeyBody,
    responses((status = 201, body = NewKeyView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn create(
    State(handles): State<Handles>,
    Known(caller): Known,
    Why(reason): Why,
    Body(body): Body<KeyBody>,
) -> Reply<impl IntoResponse> {
    let ask = KeyRequest {
        name: body.name,
        environment: body.environment,
        permissions: body.permissions,
        buckets: body.buckets,
        expires_in: body.expires_in,
    };
    let made = handles.identity.create_key(&caller, ask, &reason).await?;
    let view = NewKeyView {
        key: KeyView::from(made.key.as_ref()),
        token: made.token,
        s3_port: made.access.as_ref().and(handles.settings.s3).map(|address| address.port()),
        secret_access_key: made.access.map(|(_, secret)| secret),
    };
    Ok((StatusCode::CREATED, Tagged(made.revision, Json(view))))
}

/// Withdraws an API key; it admits nobody from the next request on.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn revoke(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Why(reason): Why,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    identity.revoke_key(&caller, &id, &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
