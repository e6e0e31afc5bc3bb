//! Webhooks: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::IntoResponse,
};
use flagbase_core::{
    catalog::Document,
    refusal::{Class, Refusal},
    webhooks::{DeliveryState, EndpointState, Range, Selection, SigningSecret, Webhooks, view},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    documents::{page, shown},
    problem::{Problem, ProblemBody, Reply},
    request::{At, Editing, Paging, Tagged, bad_query, query},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, patch, delete))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(replay))
        .routes(routes!(replay_range))
}

/// An endpoint to be made, or to replace one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the use case reads")]
struct WebhookBody {
    /// 1 to 64 lower-case letters, digits, `-` or `_`; chosen when it is left out.
    key: Option<String>,
    /// Where messages are sent: `https://…` or `http://…`.
    url: String,
    /// Patterns of event types or scoped subjects; everything when left out.
    events: Option<Vec<String>>,
    /// What it is for.
    description: Option<String>,
    /// Whether messages are sent; `true` when left out.
    enabled: Option<bool>,
}

/// With its secret, which nobody sees again: caches must not keep it.
fn told(document: &Document, secret: &SigningSecret) -> impl IntoResponse + use<> {
    let body = with(view(document), [("secret", json!(secret.reveal()))]);
    ([(header::CACHE_CONTROL, "no-store")], Tagged(document.revision, Json(body)))
}

fn with<const N: usize>(mut body: Value, more: [(&str, Value); N]) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}

fn faring(state: &EndpointState) -> [(&'static str, Value); 3] {
    [
        ("failing_since", json!(state.health.failing_since)),
        ("failures", json!(state.health.failures)),
        ("pending", json!(state.pending)),
    ]
}

/// The webhooks of an environment, by key; those that belong to none with `environment=*`.
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "webhooks",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(webhooks): State<Arc<Webhooks>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = webhooks.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/webhooks", &environment), view))
}

/// Makes a webhook. Its `secret` is told only here.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "webhooks", request_body = WebhookBody,
    params(("environment" = Option<String>, Query)),
    responses((status = 201, body = Value), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn create(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let made = webhooks.create(editing.asked(), &body).await?;
    Ok((StatusCode::CREATED, told(&made.document, &made.secret)))
}

/// One webhook, and how it fares.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{key}", tag = "webhooks",
    params(("key" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(webhooks): State<Arc<Webhooks>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    let (document, state) = webhooks.get(&caller, &environment, &key).await?;
    Ok(Tagged(document.revision, Json(with(view(&document), faring(&state)))))
}

/// Replaces a whole webhook, which keeps its secret, or makes it: then its `secret` is told, too.
#[utoipa::path(
    put, path = "/api/v1/webhooks/{key}", tag = "webhooks", request_body = WebhookBody,
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 403, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn put(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Path(key): Path<String>,
    Body(body): Body<Value>,
) -> Reply<axum::response::Response> {
    let (document, secret) = webhooks.put(editing.asked(), &key, &body, editing.seen).await?;
    Ok(match secret {
        Some(secret) => (StatusCode::CREATED, told(&document, &secret)).into_response(),
        None => shown(&document, view).into_response(),
    })
}

/// Changes the members that are given (a JSON merge patch); `null` brings a default back.
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{key}", tag = "webhooks", request_body = Value,
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn patch(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Path(key): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let document = webhooks.patch(editing.asked(), &key, &body, editing.seen).await?;
    Ok(shown(&document, view))
}

/// Deletes a webhook, its secrets, and what was sent to it.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{key}", tag = "webhooks",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Path(key): Path<String>,
) -> Reply<StatusCode> {
    webhooks.delete(editing.asked(), &key, editing.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How long the secret that is replaced goes on signing.
struct Overlap(Option<String>);

impl FromRequestParts<Handles> for Overlap {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Handles) -> Result<Self, Problem> {
        Ok(Self(query(parts, "overlap")))
    }
}

/// Gives a webhook a new `secret`, told only here. The one before goes on signing beside it for `overlap`: 24 hours when
/// it is left out, `0s` ends it at once.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{key}/secret/rotate", tag = "webhooks",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("overlap" = Option<String>, Query),
        ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn rotate(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Overlap(overlap): Overlap,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    let made = webhooks.rotate(editing.asked(), &key, overlap.as_deref(), editing.seen).await?;
    Ok(told(&made.document, &made.secret))
}

/// Sends an event of type `flagbase.webhook.test`, once. What became of it is told by its delivery.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{key}/test", tag = "webhooks",
    params(("key" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 202, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody))
)]
async fn test(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    let delivery = webhooks.test(editing.asked(), &key).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.view(true))))
}

/// Which deliveries to list.
struct Which(Selection);

impl FromRequestParts<Handles> for Which {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let paging = Paging::from_request_parts(parts, handles).await?;
        let moment = |name| match query(parts, name) {
            None => Ok(None),
            Some(text) => {
                let expected = "a time such as `2026-01-01T00:00:00Z`";
                text.parse::<Timestamp>().map(Some).map_err(|_| bad_query(name, &text, expected))
            }
        };
        let before = match query(parts, "before") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| bad_query("before", &text, "the id of a delivery"))?),
        };
        let states = match query(parts, "state") {
            None => Vec::new(),
            Some(text) => vec![state("state", &text)?],
        };
        Ok(Self(Selection {
            states,
            before,
            since: moment("since")?,
            until: moment("until")?,
            event: query(parts, "event"),
            limit: paging.limit,
            ..Selection::default()
        }))
    }
}

fn state(name: &str, text: &str) -> Result<DeliveryState, Refusal> {
    let known = DeliveryState::ALL.map(|state| format!("`{}`", state.as_str())).join(", ");
    DeliveryState::named(text).ok_or_else(|| bad_query(name, text, &format!("one of {known}")))
}

/// What was and is to be sent to a webhook, newest first, with every attempt.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{key}/deliveries", tag = "webhooks",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("state" = Option<String>, Query),
        ("event" = Option<String>, Query), ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("before" = Option<u64>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn deliveries(
    State(webhooks): State<Arc<Webhooks>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    Which(which): Which,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let found = webhooks.deliveries(&caller, (&environment, &key), which.clone()).await?;
    let last = found.last().filter(|_| found.len() == which.limit as usize).map(|last| last.id);
    let link = last.map(|before| next(&environment, &key, &which, before));
    let mut headers = HeaderMap::new();
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        headers.insert(header::LINK, link);
    }
    Ok((headers, Json(found.iter().map(|delivery| delivery.view(false)).collect())))
}

fn next(environment: &str, key: &str, which: &Selection, before: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("environment", environment).append_pair("limit", &which.limit.to_string());
    for state in &which.states {
        query.append_pair("state", state.as_str());
    }
    for (name, at) in [("since", which.since), ("until", which.until)] {
        if let Some(at) = at {
            query.append_pair(name, &at.to_string());
        }
    }
    if let Some(event) = &which.event {
        query.append_pair("event", event);
    }
    let query = query.append_pair("before", &before.to_string()).finish();
    format!("</api/v1/webhooks/{key}/deliveries?{query}>; rel=\"next\"")
}

/// The number of a delivery in an address.
struct Numbered {
    key: String,
    id: u64,
}

impl FromRequestParts<Handles> for Numbered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, handles).await;
        let (key, text) = path.map(|Path(both)| both).unwrap_or_default();
        let id = text.parse().map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            let message =
                format!("`{shown}` is not the id of a delivery, which is a number; list them first");
            Refusal::new(Class::NotFound, "delivery_not_found", message)
        })?;
        Ok(Self { key, id })
    }
}

/// One delivery, with every attempt and what is sent.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{key}/deliveries/{id}", tag = "webhooks",
    params(("key" = String, Path), ("id" = u64, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn delivery(
    State(webhooks): State<Arc<Webhooks>>,
    At { caller, environment }: At,
    Numbered { key, id }: Numbered,
) -> Reply<Json<Value>> {
    Ok(Json(webhooks.delivery(&caller, (&environment, &key), id).await?.view(true)))
}

/// Sends one delivery again, now, under the id it had.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{key}/deliveries/{id}/replay", tag = "webhooks",
    params(("key" = String, Path), ("id" = u64, Path), ("environment" = Option<String>, Query)),
    responses((status = 202, body = Value), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody))
)]
async fn replay(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Numbered { key, id }: Numbered,
) -> Reply<impl IntoResponse> {
    let delivery = webhooks.replay(editing.asked(), &key, id).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.view(false))))
}

/// Which deliveries to send again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RangeBody {
    /// Made at this time or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Made before this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// `pending`, `delivered`, `failed`, `cancelled`; those that failed or were cancelled when left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    states: Vec<DeliveryState>,
    /// Beside them what happened after this revision of the change log and was never to be sent, such as while the
    /// webhook was disabled.
    #[serde(default)]
    missed_after: Option<u64>,
}

/// Sends a range of deliveries again, now; at most 10 000 at once, the newest.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{key}/deliveries/replay", tag = "webhooks", request_body = RangeBody,
    params(("key" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 202, body = Value), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn replay_range(
    State(webhooks): State<Arc<Webhooks>>,
    editing: Editing,
    Path(key): Path<String>,
    Body(body): Body<RangeBody>,
) -> Reply<impl IntoResponse> {
    let RangeBody { since, until, states, missed_after } = body;
    let range = Range { since, until, states, missed_after };
    let replayed = webhooks.replay_range(editing.asked(), &key, range).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "replayed": replayed }))))
}
