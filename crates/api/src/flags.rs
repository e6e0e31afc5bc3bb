//! Flags: translate in, call, translate out.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    engine::{self, Slot},
    feed::Feed,
    flags::{Flags, HistoryPage, Preview, Revert, Seen, not_found, view},
    metrics::Recorder,
    permissions::Permission,
    refusal::{Class, Refusal},
    snapshot::EnvironmentSnapshot,
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    documents::{page, shown, stored},
    events::ChangeView,
    problem::{Problem, ProblemBody, Reply},
    request::{At, Client, Editing, Paging, bad_query, check_reason, query},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, patch, delete))
        .routes(routes!(bulk))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(evaluate, preview))
        .routes(routes!(evaluate_all))
        .routes(routes!(history))
        .routes(routes!(revert))
}

/// The flags of an environment, by key.
#[utoipa::path(
    get, path = "/api/v1/flags", tag = "flags",
    params(("environment" = Option<String>, Query), ("limit" = Option<u32>, Query), ("after" = Option<String>, Query),
        ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(flags): State<Arc<Flags>>,
    At { caller, environment }: At,
    paging: Paging,
) -> Reply<(HeaderMap, Json<Vec<Value>>)> {
    let (cut, next) = paging.split();
    let documents = flags.list(&caller, &environment, cut).await?;
    Ok(page(&documents, next, ("/api/v1/flags", &environment), view))
}

/// Makes a flag.
#[utoipa::path(
    post, path = "/api/v1/flags", tag = "flags", params(("environment" = Option<String>, Query)),
    request_body = Value,
    responses((status = 201, body = Value), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn create(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    let document = flags.create(edit.asked(), &body).await?;
    Ok((StatusCode::CREATED, shown(&document, view)))
}

/// One flag.
#[utoipa::path(
    get, path = "/api/v1/flags/{key}", tag = "flags", params(("key" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(flags): State<Arc<Flags>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&flags.get(&caller, &environment, &key).await?, view))
}

/// Replaces a whole flag, rules included, or makes it.
#[utoipa::path(
    put, path = "/api/v1/flags/{key}", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    request_body = Value,
    responses((status = 200, body = Value), (status = 201, body = Value), (status = 412, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn put(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Path(key): Path<String>,
    Body(body): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(stored(&flags.put(edit.asked(), &key, body, edit.seen).await?, view))
}

/// Changes parts of a flag (JSON merge patch, RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/flags/{key}", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    request_body = Value,
    responses((status = 200, body = Value), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn patch(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Path(key): Path<String>,
    Body(patch): Body<Value>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&flags.patch(edit.asked(), &key, &patch, edit.seen).await?, view))
}

/// Deletes a flag.
#[utoipa::path(
    delete, path = "/api/v1/flags/{key}", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Path(key): Path<String>,
) -> Reply<StatusCode> {
    flags.delete(edit.asked(), &key, edit.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes or replaces up to 1000 flags, all or none.
#[utoipa::path(
    post, path = "/api/v1/flags/bulk", tag = "flags", params(("environment" = Option<String>, Query)),
    request_body = Vec<Value>, responses((status = 200, body = Value), (status = 422, body = ProblemBody))
)]
async fn bulk(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Body(bodies): Body<Vec<Value>>,
) -> Reply<Json<Value>> {
    let (created, updated) = flags.put_many(edit.asked(), &bodies).await?;
    Ok(Json(serde_json::json!({"created": created, "updated": updated})))
}

/// Turns a flag on.
#[utoipa::path(
    post, path = "/api/v1/flags/{key}/enable", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("reason" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn enable(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&flags.set_enabled(edit.asked(), &key, true).await?, view))
}

/// Turns a flag off for everyone.
#[utoipa::path(
    post, path = "/api/v1/flags/{key}/disable", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("reason" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn disable(
    State(flags): State<Arc<Flags>>,
    edit: Editing,
    Path(key): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&flags.set_enabled(edit.asked(), &key, false).await?, view))
}

/// What the caller sees of a flag; with `?explain=1` also why.
#[utoipa::path(
    get, path = "/api/v1/flags/{key}/evaluate", tag = "evaluation",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("explain" = Option<u8>, Query)),
    responses((status = 200, body = Value), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn evaluate(
    State(feed): State<Arc<Feed>>,
    State(recorder): State<Arc<Recorder>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    request: Request,
) -> Reply<Response> {
    let snapshot = feed.snapshots().load();
    let environment = snapshot.require_environment(&environment)?;
    caller.require(&snapshot, environment, Permission::FlagEvaluate)?;
    let headers = request.headers();
    let address = Client::of(request.extensions()).text();
    let mut context = caller.context(environment, |name| headers.get(name)?.to_str().ok());
    if let Some(address) = &address {
        context.set(Slot::IP, engine::Value::Str(address));
    }
    let seen = if wants_explanation(request.uri().query())? {
        Flags::explain(environment, &caller, &key, &context)
    } else {
        recorder
            .timed(|| environment.see(&caller, &key, &context))
            .ok_or_else(|| not_found(environment, &key))
    };
    match seen {
        Ok(seen) => {
            recorder.exposure(&seen);
            Ok(answer(&seen))
        }
        Err(refusal) => Ok(unknown(environment, refusal)),
    }
}

/// What somebody else would see of a flag: evaluates it for the attributes in `context`.
#[utoipa::path(
    post, path = "/api/v1/flags/{key}/evaluate", tag = "evaluation",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("explain" = Option<u8>, Query)),
    request_body = PreviewBody,
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn preview(
    State(feed): State<Arc<Feed>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    uri: axum::http::Uri,
    Body(body): Body<PreviewBody>,
) -> Reply<Response> {
    let snapshot = feed.snapshots().load();
    let environment = snapshot.require_environment(&environment)?;
    caller.require(&snapshot, environment, Permission::FlagPreview)?;
    let explain = wants_explanation(uri.query())?;
    let preview = Preview { context: body.context };
    Ok(answer(&Flags::preview(environment, &key, &preview, explain)?))
}

/// What the caller sees of every flag.
#[utoipa::path(
    get, path = "/api/v1/evaluate", tag = "evaluation", params(("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 401, body = ProblemBody))
)]
async fn evaluate_all(
    State(feed): State<Arc<Feed>>,
    At { caller, environment }: At,
    client: Client,
    headers: HeaderMap,
) -> Reply<Response> {
    let snapshot = feed.snapshots().load();
    let environment = snapshot.require_environment(&environment)?;
    caller.require(&snapshot, environment, Permission::FlagEvaluate)?;
    let address = client.text();
    let mut context = caller.context(environment, |name| headers.get(name)?.to_str().ok());
    if let Some(address) = &address {
        context.set(Slot::IP, engine::Value::Str(address));
    }
    let mut json = format!("{{\"revision\":{},\"flags\":{{", snapshot.revision);
    for (at, flag) in environment.rules.flags().enumerate() {
        let evaluation = caller
            .overridden(environment, flag)
            .unwrap_or_else(|| environment.rules.evaluate(flag, &context));
        let comma = if at == 0 { "" } else { "," };
        let variant = evaluation.variant;
        let _ = write!(
            json,
            "{comma}{}:{{\"value\":{},\"variant\":{},\"reason\":\"{}\"}}",
            quoted(flag.key()),
            variant.json,
            quoted(&variant.name),
            evaluation.reason.as_str()
        );
    }
    json.push_str("}}");
    Ok(json_response(json))
}

/// The attributes of somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewBody {
    /// Attributes by name: strings, numbers, booleans, lists of strings.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: serde_json::Map<String, Value>,
}

/// A flag's changes, newest first; also those of a deleted flag.
#[utoipa::path(
    get, path = "/api/v1/flags/{key}/history", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("before" = Option<u64>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Vec<ChangeView>), (status = 404, body = ProblemBody))
)]
async fn history(
    State(flags): State<Arc<Flags>>,
    At { caller, environment }: At,
    Path(key): Path<String>,
    Paging { limit, .. }: Paging,
    request: Request,
) -> Reply<Json<Vec<ChangeView>>> {
    let (parts, _) = request.into_parts();
    let before = match query(&parts, "before") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| bad_query("before", &text, "a revision"))?),
    };
    let changes = flags.history(&caller, &environment, &key, HistoryPage { before, limit }).await?;
    Ok(Json(changes.iter().map(ChangeView::from).collect()))
}

/// Which revision to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RevertBody {
    /// The flag becomes what it was after this change.
    revision: u64,
    /// Why.
    #[serde(default)]
    reason: Option<String>,
}

/// Makes a flag what it was after an earlier change.
#[utoipa::path(
    post, path = "/api/v1/flags/{key}/revert", tag = "flags",
    params(("key" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    request_body = RevertBody,
    responses((status = 200, body = Value), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn revert(
    State(flags): State<Arc<Flags>>,
    mut edit: Editing,
    Path(key): Path<String>,
    Body(body): Body<RevertBody>,
) -> Reply<impl IntoResponse> {
    if let Some(reason) = body.reason {
        check_reason(&reason)?;
        edit.reason = reason;
    }
    let revert = Revert { revision: body.revision, seen: edit.seen };
    let document = flags.revert(edit.asked(), &key, revert).await?;
    Ok(shown(&document, view))
}

fn wants_explanation(query: Option<&str>) -> Result<bool, Refusal> {
    let Some(query) = query else { return Ok(false) };
    let asked = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "explain");
    match asked.as_ref().map(|(_, value)| value.as_ref()) {
        None | Some("0" | "false") => Ok(false),
        Some("" | "1" | "true") => Ok(true),
        Some(other) => Err(bad_query("explain", other, "`1` or `0`")),
    }
}

/// Written by hand: this is the hottest answer of the API, and the value is JSON already.
fn answer(seen: &Seen<'_>) -> Response {
    let variant = seen.evaluation.variant;
    let mut json = String::with_capacity(160);
    let _ = write!(
        json,
        "{{\"key\":{},\"value\":{},\"variant\":{},\"reason\":\"{}\",\"revision\":{}",
        quoted(seen.flag.key()),
        variant.json,
        quoted(&variant.name),
        seen.evaluation.reason.as_str(),
        seen.flag.revision()
    );
    if let Some(explanation) = &seen.explanation {
        let text = serde_json::to_string(explanation).unwrap_or_else(|_| "null".to_owned());
        let _ = write!(json, ",\"explanation\":{text}");
    }
    json.push('}');
    json_response(json)
}

/// The first API answered `{"value": false}` for a flag that is not there: the member stays, the status says the truth.
fn unknown(environment: &EnvironmentSnapshot, refusal: Refusal) -> Response {
    debug_assert_eq!(refusal.class, Class::NotFound, "in {}", environment.definition.key);
    Problem(refusal).with_member("value", false.into())
}

/// A JSON string: keys and variant names rarely hold anything to escape.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        return format!("\"{text}\"").into();
    }
    Value::from(text).to_string().into()
}

fn json_response(json: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}
