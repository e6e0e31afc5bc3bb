//! The one place where a refusal meets HTTP: RFC 9457 problems that also carry the seed's `error` member.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    engine::Fault,
    refusal::{Class, Refusal},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What a handler returns when it cannot do what it was asked.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Refusal);

/// A handler's answer.
pub(crate) type Reply<T> = Result<T, Problem>;

impl<R: Into<Refusal>> From<R> for Problem {
    fn from(refusal: R) -> Self {
        Self(refusal.into())
    }
}

/// The body of an error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong and what to do.
    detail: String,
    /// A stable word for programs.
    code: &'static str,
    /// The same as `detail`: the first API's member.
    error: String,
    /// Where in the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FaultBody>,
}

/// One place in a body that makes no sense.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
struct FaultBody {
    /// JSON pointer (RFC 6901).
    pointer: String,
    /// What is wrong there and what to do.
    message: String,
}

impl From<Fault> for FaultBody {
    fn from(fault: Fault) -> Self {
        Self { pointer: fault.pointer, message: fault.message }
    }
}

/// The HTTP status of a refusal.
pub(crate) fn status(refusal: &Refusal) -> StatusCode {
    match refusal.class {
        Class::Malformed => match refusal.code {
            "body_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "unsupported_media_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
            "request_timeout" => StatusCode::REQUEST_TIMEOUT,
            "range_not_satisfiable" => StatusCode::RANGE_NOT_SATISFIABLE,
            _ => StatusCode::BAD_REQUEST,
        },
        Class::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Class::Unauthenticated => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Conflict if refusal.code == "upload_busy" => StatusCode::LOCKED,
        Class::Conflict => StatusCode::CONFLICT,
        Class::Stale => StatusCode::PRECONDITION_FAILED,
        Class::Limited => StatusCode::TOO_MANY_REQUESTS,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ProblemBody {
    fn of(refusal: Refusal) -> (StatusCode, Self) {
        let status = status(&refusal);
        let body = Self {
            kind: format!("https://flagbase.dev/problems/{}", refusal.code),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: refusal.message.clone(),
            code: refusal.code,
            error: refusal.message,
            errors: refusal.faults.into_iter().map(FaultBody::from).collect(),
        };
        (status, body)
    }
}

impl Problem {
    /// The problem as an answer with one more member.
    pub(crate) fn with_member(self, name: &str, value: Value) -> Response {
        self.answer(Some((name, value)))
    }

    /// The problem as JSON, for where the status has been sent already.
    pub(crate) fn into_json(self) -> Value {
        let Self(refusal) = self;
        log(&refusal);
        let (_, body) = ProblemBody::of(refusal);
        serde_json::to_value(body).unwrap_or_default()
    }

    fn answer(self, member: Option<(&str, Value)>) -> Response {
        let Self(refusal) = self;
        let wait = refusal.retry_after;
        log(&refusal);
        let (status, body) = ProblemBody::of(refusal);
        let mut response = match member {
            None => (status, Json(body)).into_response(),
            Some((name, value)) => {
                let mut body = serde_json::to_value(body).unwrap_or_default();
                if let Some(object) = body.as_object_mut() {
                    object.insert(name.to_owned(), value);
                }
                (status, Json(body)).into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// What is our own fault is for the log.
fn log(refusal: &Refusal) {
    if matches!(refusal.class, Class::Internal | Class::Unavailable) {
        let cause = std::error::Error::source(refusal).map(ToString::to_string);
        tracing::error!(code = refusal.code, cause, "request failed: {refusal}");
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.answer(None)
    }
}
