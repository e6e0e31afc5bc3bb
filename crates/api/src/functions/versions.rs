//! Versions of functions: deployed, looked at, promoted, removed.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flagbase_core::{
    functions::{Body as Code, Deployment, Download, Functions, Step, Upload, view},
    permissions::Permission,
    refusal::Refusal,
    trace::TraceParent,
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::upload::{self, Bounds};
use crate::{
    body::Body,
    documents::shown,
    problem::{Problem, ProblemBody, Reply},
    request::{At, Editing, Tagged, bad_query, query},
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(list, deploy))
        .routes(routes!(get, delete))
        .routes(routes!(code))
        .routes(routes!(promote))
        .routes(routes!(roll_back))
}

/// Lines of JSON.
const LINES: &str = "application/x-ndjson";

/// Steps that wait to be sent; more are left out.
const MOST_STEPS: usize = 64;

/// How code is to be deployed.
struct Terms {
    file: String,
    promote: bool,
    note: String,
    /// Whether to tell each step.
    told: bool,
}

impl<S: Sync> FromRequestParts<S> for Terms {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let promote = match query(parts, "promote").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(bad_query("promote", other, "`true` or `false`").into()),
        };
        let accepts = parts.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        Ok(Self {
            file: query(parts, "file").unwrap_or_default(),
            promote,
            note: query(parts, "note").unwrap_or_default(),
            told: accepts.into_iter().any(|kinds| kinds.contains(LINES)),
        })
    }
}

/// Deploys code as the next version of a function, which is made when it is not there.
///
/// The body is the code: a WebAssembly component or module, or JavaScript or TypeScript, of which `file` tells the name.
/// The version becomes the current one, unless `promote=false`. With `Accept: application/x-ndjson` every step is told
/// as a line, `{"step", "percent"}`, and the last line is `{"version", "function"}` or `{"problem"}`.
#[utoipa::path(
    post, path = "/api/v1/functions/{name}/versions", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("file" = Option<String>, Query),
        ("promote" = Option<bool>, Query), ("note" = Option<String>, Query)),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), (status = 201, body = Value),
        (status = 403, body = ProblemBody), (status = 413, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn deploy(
    State(handles): State<Handles>,
    editing: Editing,
    Path(name): Path<String>,
    terms: Terms,
    request: Request,
) -> Reply<Response> {
    // Before the code is read, so that nobody sends much for nothing.
    handles.feed.permitted(&editing.caller, &editing.environment, Permission::FunctionWrite)?;
    let settings = &handles.settings;
    let bounds = Bounds { most: settings.max_code, patience: settings.body_timeout };
    let code = Code::Whole(upload::read(request, bounds).await?);
    let Terms { file, promote, note, told } = terms;
    let functions = Arc::clone(&handles.functions);
    if !told {
        let upload = Upload { file: &file, code, promote, note: &note };
        let deployed = functions.deploy(editing.asked(), &name, upload, &|_| {}).await?;
        let body = Json(json!(deployed.version));
        return Ok((StatusCode::CREATED, Tagged(deployed.document.revision, body)).into_response());
    }
    let (lines, sent) = mpsc::channel(MOST_STEPS);
    let deploying = async move {
        let steps = lines.clone();
        let tell = move |step: Step| {
            // A step that finds no room is not worth waiting for.
            drop(steps.try_send(json!({"step": step.doing, "percent": step.percent})));
        };
        let upload = Upload { file: &file, code, promote, note: &note };
        let last = match functions.deploy(editing.asked(), &name, upload, &tell).await {
            Ok(Deployment { document, version, .. }) => {
                json!({"version": version, "function": view(&document)})
            }
            Err(refusal) => json!({"problem": Problem(refusal).into_json()}),
        };
        drop(lines.send(last).await);
    };
    // It goes on when whoever asked for it hangs up, as every other change does.
    handles.tasks.spawn("functions.deploy", TraceParent::scope(TraceParent::current(), deploying));
    Ok(([(header::CONTENT_TYPE, LINES)], axum::body::Body::from_stream(lines_of(sent))).into_response())
}

fn lines_of(sent: mpsc::Receiver<Value>) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(sent, |mut sent| async move {
        let line = sent.recv().await?;
        Some((Ok(Bytes::from(format!("{line}\n"))), sent))
    })
}

/// The versions of a function, by number.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/versions", tag = "functions",
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Vec<Value>), (status = 404, body = ProblemBody))
)]
async fn list(
    State(functions): State<Arc<Functions>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
) -> Reply<impl IntoResponse> {
    let mut document = functions.get(&caller, &environment, &name).await?;
    let versions = document.body.get_mut("versions").map(Value::take).unwrap_or_default();
    Ok(Tagged(document.revision, Json(versions)))
}

/// The number of a version in an address.
struct Numbered {
    name: String,
    number: u32,
}

impl FromRequestParts<Handles> for Numbered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, handles).await;
        let (name, text) = path.map(|Path(both)| both).unwrap_or_default();
        let number = text.parse().map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            let message = format!("`{shown}` is not the number of a version; list them first");
            Refusal::not_found("version_not_found", message)
        })?;
        Ok(Self { name, number })
    }
}

/// One version.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/versions/{number}", tag = "functions",
    params(("name" = String, Path), ("number" = u32, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 404, body = ProblemBody))
)]
async fn get(
    State(functions): State<Arc<Functions>>,
    At { caller, environment }: At,
    Numbered { name, number }: Numbered,
) -> Reply<impl IntoResponse> {
    let document = functions.get(&caller, &environment, &name).await?;
    let mut versions = document.body.get("versions").and_then(Value::as_array).into_iter().flatten();
    let version =
        versions.find(|version| version.get("number").and_then(Value::as_u64) == Some(number.into()));
    let version = version.cloned().ok_or_else(|| {
        let message = format!("function `{name}` has no version {number}; list them first");
        Refusal::not_found("version_not_found", message)
    })?;
    Ok(Tagged(document.revision, Json(version)))
}

/// Removes a version that is neither current nor named by a flag or a route.
#[utoipa::path(
    delete, path = "/api/v1/functions/{name}/versions/{number}", tag = "functions",
    params(("name" = String, Path), ("number" = u32, Path), ("environment" = Option<String>, Query),
        ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn delete(
    State(functions): State<Arc<Functions>>,
    editing: Editing,
    Numbered { name, number }: Numbered,
) -> Reply<StatusCode> {
    functions.delete_version(editing.asked(), (&name, number), editing.seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The code of a version, as it was uploaded.
#[utoipa::path(
    get, path = "/api/v1/functions/{name}/versions/{number}/code", tag = "functions",
    params(("name" = String, Path), ("number" = u32, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = String, content_type = "application/octet-stream"),
        (status = 404, body = ProblemBody))
)]
async fn code(
    State(functions): State<Arc<Functions>>,
    At { caller, environment }: At,
    Numbered { name, number }: Numbered,
) -> Reply<Response> {
    let Download { file, digest, reading } = functions.code(&caller, &environment, (&name, number)).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, reading.size.into());
    let more = [(header::ETAG, format!("\"{digest}\"")), (header::CONTENT_DISPOSITION, disposition(&file))];
    headers
        .extend(more.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))));
    Ok((headers, axum::body::Body::from_stream(reading.bytes)).into_response())
}

/// What browsers save it as; percent-encoded, so that no name can say anything else.
fn disposition(file: &str) -> String {
    if file.is_empty() {
        return "attachment".to_owned();
    }
    let encoded = percent_encoding::utf8_percent_encode(file, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename*=UTF-8''{encoded}")
}

/// Which version is to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PromoteBody {
    /// Its number.
    version: u32,
}

/// Makes a version the current one: everybody gets it for whom no flag says otherwise.
#[utoipa::path(
    post, path = "/api/v1/functions/{name}/promote", tag = "functions", request_body = PromoteBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 412, body = ProblemBody))
)]
async fn promote(
    State(functions): State<Arc<Functions>>,
    editing: Editing,
    Path(name): Path<String>,
    Body(PromoteBody { version }): Body<PromoteBody>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&functions.promote(editing.asked(), (&name, version), editing.seen).await?, view))
}

/// Which version is to run again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    /// Its number; the one that was current before when it is left out.
    #[serde(default)]
    version: Option<u32>,
}

/// Goes back to the version that was current before, or to the one that is named.
#[utoipa::path(
    post, path = "/api/v1/functions/{name}/rollback", tag = "functions", request_body = RollbackBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 412, body = ProblemBody))
)]
async fn roll_back(
    State(functions): State<Arc<Functions>>,
    editing: Editing,
    Path(name): Path<String>,
    Body(RollbackBody { version }): Body<RollbackBody>,
) -> Reply<impl IntoResponse> {
    Ok(shown(&functions.roll_back(editing.asked(), (&name, version), editing.seen).await?, view))
}

#[cfg(test)]
mod tests {
    use flagbase_core::refusal::Class;

    use super::*;

    #[test]
    fn a_file_name_cannot_say_anything_but_itself() {
        assert_eq!(disposition(""), "attachment");
        assert_eq!(disposition("a\"; x=\"é.js"), "attachment; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A9%2Ejs");
    }

    #[tokio::test]
    async fn how_to_deploy_is_read_strictly() {
        let terms = async |uri: &str, accept: &str| {
            let request = axum::http::Request::get(uri).header("accept", accept).body(()).unwrap();
            Terms::from_request_parts(&mut request.into_parts().0, &()).await
        };
        let usual = terms("/x", "*/*").await.unwrap();
        assert!(usual.promote && !usual.told && usual.file.is_empty());
        let told = terms("/x?promote=false&file=a.js&note=n", "application/x-ndjson, */*").await.unwrap();
        assert!(!told.promote && told.told);
        assert_eq!((told.file.as_str(), told.note.as_str()), ("a.js", "n"));
        let Err(Problem(refusal)) = terms("/x?promote=no", "*/*").await else { panic!("it was taken") };
        assert_eq!(refusal.class, Class::Malformed);
    }
}
