//! Functions: translate in, call, translate out.

mod dead_letters;
mod invoke;
mod logs;
mod secrets;
mod upload;
mod versions;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::IntoResponse,
};
use flagbase_core::functions::{Functions, VersionCalls, view};
use serde_json::{Value, json};
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
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, patch, delete))
        .routes(routes!(metrics))
        .merge(versions::router())
        .merge(invoke::router())
        .merge(logs::router())
        .merge(secrets::router())
        .merge(dead_letters::router())
}

/// Whether a request builds code or runs it: what it does has limits of its own, which may be longer than those of
/// other requests.
pub fn is_laborious(method: &Method, path: &str) -> bool {
    let below = || path.strip_prefix("/api/v1/functions/").and_then(|rest| rest.split_once('/'));
    let changes = matches!(*method, Method::PUT | Method::PATCH) && path.starts_with("/api/v1/functions/");
    changes || *method == Method::POST && matches!(below(), Some((_, "versions" | "invoke")))
}

/// The settings of a function; its versions are made by deploying.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the use case reads")]
pub(crate) struct FunctionBody {
    /// For people.
    description: Option<String>,
    /// The flag whose variants name versions: a variant's value is `2`, `"2"` or `"v2"`.
    flag_key: Option<String>,
    /// Who may call it: `anyone`, `authenticated`, or `{"roles": […]}`.
    require: Option<Value>,
    /// Whether it sees the caller's token.
    forward_token: Option<bool>,
    /// `timeout`, `memory`, `request_body`, `response_body`, `log`, `outbound_requests`, `concurrency`, `queue`.
    #[schema(value_type = Object)]
    limits: Option<Value>,
    /// `flags`, `keyvalue`, `buckets`, `publish`, `outbound`, `secrets`.
    #[schema(value_type = Object)]
    grants: Option<Value>,
    /// Its variables.
    #[schema(value_type = Object)]
    environment: Option<Value>,
    /// Whether an instance may answer one request after the other.
    warm: Option<bool>,
    /// What starts it besides requests: schedules, subjects, buckets.
    #[schema(value_type = Vec<Object>)]
    triggers: Option<Value>,
}

/// The functions of an environment, by name.
#[utoipa::path(
    get, path = "/api/v1/functions", tag = "functions",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(functions): State<Arc<Functions>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = functions.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/functions", &environment), view))
}

/// One function, with all its versions.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(functions): State<Arc<Functions>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&functions.get(&caller, &environment, &name).await?, view))
}

/// Replaces all settings of a function, which keeps its versions, or makes one without any.
#[utoipa::path(
    put, path = "/api/v1/functions/{name}", tag = "functions", request_body = FunctionBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 403, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(functions): State<Arc<Functions>>,
    editing: Editing,
    Path(name): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let put = functions.put(editing.asked(), &name, &body, editing.seen).await?;
    Ok(stored(&put, view))
}

/// Changes the settings that are given (a JSON merge patch); `null` brings a default back.
#[utoipa::path(
    patch, path = "/api/v1/functions/{name}", tag = "functions", request_body = FunctionBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn patch(
    State(functions): State<Arc<Functions>>,
    editing: Editing,
    Path(name): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&functions.patch(editing.asked(), &name, &body, editing.seen).await?, view))
}

/// Deletes a function with its versions, secrets and dead letters. Refused while a route leads to it.
#[utoipa::path(
    delete, path = "/api/v1/functions/{name}", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(functions): State<Arc<Functions>>,
    editing: Editing,
    Path(name): Path<String>,
) -> Reply<StatusCode> {
    functions.delete(editing.asked(), &name, editing.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls of a function on this node since it started, by version: how many, what they came to, how long they took.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/metrics", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn metrics(
    State(functions): State<Arc<Functions>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
) -> Reply<Json<Value>> {
    let calls = functions.metrics(&caller, &environment, &name)?;
    let (running, waiting) = functions.runner().load(&environment, &name);
    let versions: Vec<Value> = calls.iter().map(measured).collect();
    Ok(Json(json!({"running": running, "waiting": waiting, "versions": versions})))
}

/// Outcomes for which the code is to blame.
const FAILED: [&str; 7] = ["error", "timeout", "limit", "trapped", "reported", "bad_answer", "not_served"];

fn measured(calls: &VersionCalls) -> Value {
    let VersionCalls { version, calls: count, outcomes, p50_ms, p95_ms, p99_ms } = calls;
    let failed: u64 = FAILED.iter().filter_map(|outcome| outcomes.get(outcome)).sum();
    json!({"version": version, "calls": count, "failed": failed, "outcomes": outcomes,
        "latency_ms": {"p50": p50_ms, "p95": p95_ms, "p99": p99_ms}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_building_and_running_code_may_take_long() {
        for (method, path, laborious) in [
            (Method::POST, "/api/v1/functions/hello/versions", true),
            (Method::POST, "/api/v1/functions/hello/invoke", true),
            (Method::PATCH, "/api/v1/functions/hello", true),
            (Method::GET, "/api/v1/functions/hello/versions", false),
            (Method::POST, "/api/v1/functions/hello/promote", false),
            (Method::POST, "/api/v1/flags", false),
        ] {
            assert_eq!(is_laborious(&method, path), laborious, "{method} {path}");
        }
    }

    #[test]
    fn calls_that_failed_are_those_the_code_is_to_blame_for() {
        let calls = VersionCalls {
            version: 2,
            calls: 10,
            outcomes: [("ok", 4), ("trapped", 2), ("timeout", 1), ("busy", 3)].into(),
            p50_ms: Some(1.5),
            p95_ms: None,
            p99_ms: None,
        };
        let shown = measured(&calls);
        assert_eq!((&shown["failed"], &shown["latency_ms"]["p50"]), (&json!(3), &json!(1.5)));
    }
}
