//! Dead letters: what functions did not take.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use flagbase_core::{
    functions::triggers::{Triggers, Which, view},
    refusal::Refusal,
};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    problem::{Problem, ProblemBody, Reply},
    request::{At, Editing, Paging, bad_query, query},
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(list, forget_all))
        .routes(routes!(forget))
        .routes(routes!(replay))
        .routes(routes!(replay_all))
}

/// Before which letter to go on.
struct Before(Option<u64>);

impl<S: Sync> FromRequestParts<S> for Before {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let before = query(parts, "before");
        let before =
            before.map(|text| text.parse().map_err(|_| bad_query("before", &text, "the id of a letter")));
        Ok(Self(before.transpose()?))
    }
}

/// What a function did not take, newest first: events and moments of schedules after their last attempt.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/dead-letters", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("before" = Option<u64>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn list(
    State(triggers): State<Arc<Triggers>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
    Before(before): Before,
    Paging { limit, .. }: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let limit = limit.min(100);
    let letters = triggers.dead_letters(&caller, &environment, &name, (before, limit)).await?;
    let mut headers = HeaderMap::new();
    if let Some(last) = letters.last().filter(|_| letters.len() == limit as usize) {
        let link = next(&environment, &name, limit, last.id);
        headers.extend(HeaderValue::try_from(link).ok().map(|link| (header::LINK, link)));
    }
    Ok((headers, Json(letters.iter().map(view).collect())))
}

fn next(environment: &str, name: &str, limit: u32, before: u64) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("environment", environment)
        .append_pair("limit", &limit.to_string())
        .append_pair("before", &before.to_string())
        .finish();
    format!("</api/v1/functions/{name}/dead-letters?{query}>; rel=\"next\"")
}

/// The number of a dead letter in an address.
struct Numbered {
    name: String,
    id: u64,
}

impl FromRequestParts<Handles> for Numbered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, handles).await;
        let (name, text) = path.map(|Path(both)| both).unwrap_or_default();
        let id = text.parse().map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            let message =
                format!("`{shown}` is not the id of a dead letter, which is a number; list them first");
            Refusal::not_found("dead_letter_not_found", message)
        })?;
        Ok(Self { name, id })
    }
}

/// Offers one dead letter again, from the first attempt on.
#[utoipa::path(
    post, path = "/api/v1/functions/{name}/dead-letters/{id}/replay", tag = "functions",
    params(("name" = String, Path), ("id" = u64, Path), ("environment" = Option<String>, Query)),
    responses((status = 202, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn replay(
    State(triggers): State<Arc<Triggers>>,
    editing: Editing,
    Numbered { name, id }: Numbered,
) -> Reply<(StatusCode, Json<Value>)> {
    let replayed = triggers.replay(editing.asked(), &name, Which::One(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "replayed": replayed }))))
}

/// Offers all dead letters of a function again.
#[utoipa::path(
    post, path = "/api/v1/functions/{name}/dead-letters/replay", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 202, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn replay_all(
    State(triggers): State<Arc<Triggers>>,
    editing: Editing,
    Path(name): Path<String>,
) -> Reply<(StatusCode, Json<Value>)> {
    let replayed = triggers.replay(editing.asked(), &name, Which::All).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "replayed": replayed }))))
}

/// Forgets one dead letter.
#[utoipa::path(
    delete, path = "/api/v1/functions/{name}/dead-letters/{id}", tag = "functions",
    params(("name" = String, Path), ("id" = u64, Path), ("environment" = Option<String>, Query)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn forget(
    State(triggers): State<Arc<Triggers>>,
    editing: Editing,
    Numbered { name, id }: Numbered,
) -> Reply<StatusCode> {
    triggers.forget(editing.asked(), &name, Which::One(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets all dead letters of a function.
#[utoipa::path(
    delete, path = "/api/v1/functions/{name}/dead-letters", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn forget_all(
    State(triggers): State<Arc<Triggers>>,
    editing: Editing,
    Path(name): Path<String>,
) -> Reply<StatusCode> {
    triggers.forget(editing.asked(), &name, Which::All).await?;
    Ok(StatusCode::NO_CONTENT)
}
