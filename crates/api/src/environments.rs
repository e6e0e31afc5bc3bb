//! Environments: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use flagbase_core::{
    catalog::Document,
    environments::{DeclaredAttribute, Environment, EnvironmentKind, Environments},
    flags::view,
    refusal::{Class, Precondition, Refusal},
};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::{Editing, Known, Tagged},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, put, delete))
}

/// An environment to be stored; what a view shows beside it is taken and ignored, so that what was read can be sent back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentBody {
    /// May be left out where the address says it.
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: EnvironmentKind,
    #[serde(default)]
    attributes: Vec<DeclaredAttribute>,
    #[serde(default, rename = "revision")]
    _revision: Option<u64>,
    #[serde(default, rename = "created_at")]
    _created_at: Option<String>,
    #[serde(default, rename = "updated_at")]
    _updated_at: Option<String>,
}

impl EnvironmentBody {
    /// The environment that is to be called `key`.
    fn called(self, key: String) -> Environment {
        let Self { name, kind, attributes, .. } = self;
        Environment { key, name, kind, attributes }
    }
}

fn shown(document: &Document) -> Tagged<Json<Value>> {
    let mut body = view(document);
    if let Some(object) = body.as_object_mut() {
        object.remove("environment");
    }
    Tagged(document.revision, Json(body))
}

/// The environments the caller may read.
#[utoipa::path(
    get, path = "/api/v1/environments", tag = "environments",
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody))
)]
async fn list(
    State(environments): State<Arc<Environments>>,
    Known(caller): Known,
) -> Reply<Json<Vec<Value>>> {
    let documents = environments.list(&caller).await?;
    Ok(Json(documents.iter().map(|document| shown(document).1.0).collect()))
}

/// Makes an environment, with the guard every environment has.
#[utoipa::path(
    post, path = "/api/v1/environments", tag = "environments", request_body = Value,
    responses((status = 201, body = Value), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn create(
    State(environments): State<Arc<Environments>>,
    edit: Editing,
    Body(mut body): Body<EnvironmentBody>,
) -> Reply<impl IntoResponse> {
    let key = body.key.take().ok_or_else(|| Refusal::fault("/key", "`key` is missing"))?;
    let environment = body.called(key.clone());
    let made = environments.put(edit.asked(), environment, Precondition::Absent).await;
    let (document, _) = made.map_err(|refusal| match refusal.class {
        Class::Stale => Refusal::new(
            Class::Conflict,
            "environment_exists",
            format!("environment `{key}` exists already; change it, or choose another key"),
        ),
        _ => refusal,
    })?;
    Ok((StatusCode::CREATED, shown(&document)))
}

/// One environment.
#[utoipa::path(
    get, path = "/api/v1/environments/{key}", tag = "environments", params(("key" = String, Path)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(environments): State<Arc<Environments>>,
    Known(caller): Known,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&environments.get(&caller, &key).await?))
}

/// Replaces an environment's definition, or makes it.
#[utoipa::path(
    put, path = "/api/v1/environments/{key}", tag = "environments",
    params(("key" = String, Path), ("If-Match" = Option<String>, Header)), request_body = Value,
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(environments): State<Arc<Environments>>,
    edit: Editing,
    Path(key): Path<String>,
    Body(body): Body<EnvironmentBody>,
) -> Reply<impl IntoResponse> {
    if let Some(said) = body.key.as_ref().filter(|said| **said != key) {
        let message = format!("the body says `{said}`, the address `{key}`; a key cannot be changed");
        return Err(Refusal::fault("/key", message).into());
    }
    let (document, new) = environments.put(edit.asked(), body.called(key), edit.seen).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, shown(&document)))
}

/// Deletes an environment that holds nothing.
#[utoipa::path(
    delete, path = "/api/v1/environments/{key}", tag = "environments",
    params(("key" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody))
)]
async fn delete(
    State(environments): State<Arc<Environments>>,
    edit: Editing,
    Path(key): Path<String>,
) -> Reply<StatusCode> {
    environments.delete(edit.asked(), &key, edit.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_can_be_sent_back_and_nothing_else_is_taken() {
        let read = serde_json::json!({"key": "staging", "name": "", "kind": "production", "attributes": [{"name": "plan"}],
            "revision": 3, "created_at": "2026-07-01T12:00:00Z", "updated_at": "2026-07-01T12:00:00Z"});
        let body = EnvironmentBody::deserialize(&read).unwrap();
        assert_eq!(body.key.as_deref(), Some("staging"));
        assert_eq!(body.called("staging".into()).attributes.len(), 1);
        assert!(EnvironmentBody::deserialize(serde_json::json!({"key": "a", "colour": 1})).is_err());
    }
}
