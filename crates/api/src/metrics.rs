//! Measurements: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    events::Events,
    ledger::RecordedEvent,
    metrics::{CONTENT_TYPE, Metrics, RangeAsked, Recorder},
    refusal::{Class, Refusal},
};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{Problem, ProblemBody, Reply},
    request::{At, Paging, query},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(record))
        .routes(routes!(flags))
        .routes(routes!(of_routes))
        .routes(routes!(events))
        .routes(routes!(flag))
        .routes(routes!(prometheus))
}

/// `?from=`, `?until=` and `?resolution=`.
struct Stretch(RangeAsked);

impl<S: Sync> FromRequestParts<S> for Stretch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let [from, until, resolution] = ["from", "until", "resolution"].map(|name| query(parts, name));
        Ok(Self(RangeAsked { from, until, resolution }))
    }
}

/// Records one event about a flag, or up to 1000 of them, all or none; they are durable when this answers.
///
/// One event is `{flag_key, variant, event_type, value?, unit?, time?, event_id?}`; several come as a list or as
/// `{"events": […]}`. An event with an `event_id` that was recorded before is a duplicate and counted once.
#[utoipa::path(
    post, path = "/api/v1/metrics", tag = "measurements", params(("environment" = Option<String>, Query)),
    request_body = Value,
    responses((status = 204, description = "one event was recorded"), (status = 200, body = Value),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 429, body = ProblemBody), (status = 503, body = ProblemBody))
)]
async fn record(
    State(metrics): State<Arc<Metrics>>,
    At { caller, environment }: At,
    Body(body): Body<Value>,
) -> Reply<Response> {
    let recorded = metrics.record(&caller, &environment, &body).await?;
    if recorded.single {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Json(recorded).into_response())
}

/// How a flag does: exposures, requests, events and rates per variant, and over time.
#[utoipa::path(
    get, path = "/api/v1/flags/{key}/metrics", tag = "measurements",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("from" = Option<String>, Query),
        ("until" = Option<String>, Query), ("resolution" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody))
)]
async fn flag(
    State(metrics): State<Arc<Metrics>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    Stretch(asked): Stretch,
) -> Reply<impl IntoResponse> {
    Ok(Json(metrics.flag(&caller, &environment, &key, &asked).await?))
}

/// How every flag that was used does, by key.
#[utoipa::path(
    get, path = "/api/v1/metrics/flags", tag = "measurements",
    params(("environment" = Option<String>, Query), ("from" = Option<String>, Query),
        ("until" = Option<String>, Query), ("resolution" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn flags(
    State(metrics): State<Arc<Metrics>>,
    At { caller, environment }: At,
    Stretch(asked): Stretch,
) -> Reply<impl IntoResponse> {
    Ok(Json(metrics.flags(&caller, &environment, &asked).await?))
}

/// How every gateway route that was used does, by id.
#[utoipa::path(
    get, path = "/api/v1/metrics/routes", tag = "measurements",
    params(("environment" = Option<String>, Query), ("from" = Option<String>, Query),
        ("until" = Option<String>, Query), ("resolution" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn of_routes(
    State(metrics): State<Arc<Metrics>>,
    At { caller, environment }: At,
    Stretch(asked): Stretch,
) -> Reply<impl IntoResponse> {
    Ok(Json(metrics.routes(&caller, &environment, &asked).await?))
}

/// Recorded events of a flag as they came, newest first.
#[utoipa::path(
    get, path = "/api/v1/metrics/events", tag = "measurements",
    params(("flag" = String, Query), ("environment" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody))
)]
async fn events(
    State(metrics): State<Arc<Metrics>>,
    At { caller, environment }: At,
    Paging { limit, .. }: Paging,
    OfFlag(flag): OfFlag,
) -> Reply<Json<Vec<Value>>> {
    let events = metrics.events(&caller, &environment, &flag, limit).await?;
    Ok(Json(events.iter().map(view).collect()))
}

/// `?flag=`.
struct OfFlag(String);

impl<S: Sync> FromRequestParts<S> for OfFlag {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || {
            Refusal::new(Class::Malformed, "bad_query", "`flag` is required: say whose events with `?flag=`")
        };
        Ok(Self(query(parts, "flag").ok_or_else(missing)?))
    }
}

fn view(event: &RecordedEvent) -> Value {
    json!({
        "event_id": event.event_id,
        "environment": event.environment,
        "flag_key": event.flag,
        "variant": event.variant,
        "event_type": event.event_type,
        "value": event.value,
        "unit": event.unit,
        "time": event.at,
        "received_at": event.received_at,
        "recorded_by": event.recorded_by,
    })
}

/// Counts somebody who was not let in.
pub(crate) fn not_let_in(recorder: &Recorder, refusal: &Refusal) {
    if matches!(refusal.class, Class::Unauthenticated | Class::Limited) {
        recorder.meters().auth_failure(refusal.code);
    }
}

/// Everything measured, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"))
)]
async fn prometheus(
    State(metrics): State<Arc<Metrics>>,
    State(events): State<Arc<Events>>,
) -> impl IntoResponse {
    events.measure();
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.prometheus())
}
