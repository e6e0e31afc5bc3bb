//! Calls by hand: a request, an event or a moment of a schedule, and all that came of it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flagbase_core::{
    feed::Feed,
    functions::{Event, Functions, Invocation, Invoked, Outcome},
    refusal::Refusal,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::logs;
use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::At,
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(invoke))
}

/// What to call a function with: one of `request`, `event` and `tick`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvokeBody {
    /// The version; the one that the caller gets when it is left out.
    #[serde(default)]
    version: Option<u32>,
    /// A request.
    #[serde(default)]
    request: Option<RequestBody>,
    /// Something that happened.
    #[serde(default)]
    event: Option<EventBody>,
    /// A moment of a schedule.
    #[serde(default)]
    tick: Option<TickBody>,
}

/// A request to be answered by a function.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequestBody {
    /// `GET` when it is left out.
    #[serde(default)]
    method: Option<String>,
    /// Path and query below the function, beginning with `/`; `/` when it is left out.
    #[serde(default)]
    target: Option<String>,
    /// Headers by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body, when it is text.
    #[serde(default)]
    body: Option<String>,
    /// The body, when it is not.
    #[serde(default)]
    body_base64: Option<String>,
}

/// Something that happened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventBody {
    /// Chosen when it is left out.
    #[serde(default)]
    id: Option<String>,
    /// The subject, such as `orders.created`.
    subject: String,
    /// The `CloudEvent`'s type.
    #[serde(default)]
    kind: String,
    /// Now when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    time: Option<Timestamp>,
    /// Media type of the data.
    #[serde(default)]
    content_type: String,
    /// A text is handed over as it is, anything else as JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Value,
    /// The data, when it is neither.
    #[serde(default)]
    data_base64: Option<String>,
    /// 1 when it is left out.
    #[serde(default)]
    attempt: Option<u32>,
}

/// A moment of a schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TickBody {
    /// The schedule, as in the trigger.
    #[serde(default)]
    schedule: String,
    /// Now when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    time: Option<Timestamp>,
}

/// Calls a function and waits for what comes of it.
///
/// The answer is `{"version", "status", "headers", "body" | "body_base64", "duration_ms", "logs"}`, or, when the function
/// failed, `{"version", "fault": {"code", "detail"}, "duration_ms", "logs"}`.
#[utoipa::path(
    post, path = "/api/v1/functions/{name}/invoke", tag = "functions", request_body = InvokeBody,
    params(("name" = String, Path), ("environment" = Option<String>, Query)),
    responses((status = 200, body = Value), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn invoke(
    State(functions): State<Arc<Functions>>,
    State(feed): State<Arc<Feed>>,
    At { caller, environment }: At,
    Path(name): Path<String>,
    Body(body): Body<InvokeBody>,
) -> Reply<Json<Value>> {
    let number = body.version;
    let invocation = body.invocation(&feed)?;
    let invoked = functions.invoke(&caller, &environment, (&name, number), invocation).await?;
    Ok(Json(shown(invoked)))
}

impl InvokeBody {
    fn invocation(self, feed: &Feed) -> Result<Invocation, Refusal> {
        match (self.request, self.event, self.tick) {
            (Some(request), None, None) => request.request().map(Invocation::Request),
            (None, Some(event), None) => event.event(feed).map(Invocation::Event),
            (None, None, Some(TickBody { schedule, time })) => {
                let at = time.unwrap_or_else(|| feed.clock().now());
                Ok(Invocation::Tick { schedule, at })
            }
            _ => Err(Refusal::fault("", "needs one of `request`, `event` and `tick`")),
        }
    }
}

impl RequestBody {
    fn request(self) -> Result<Request<Bytes>, Refusal> {
        let Self { method, target, headers, body, body_base64 } = self;
        let bytes =
            bytes(("/request/body", body.map(String::into_bytes)), ("/request/body_base64", body_base64))?;
        let method = method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Refusal::fault("/request/method", format!("`{method}` is no method")))?;
        let target = target.as_deref().unwrap_or("/");
        let uri: Option<Uri> = target.parse().ok().filter(|_| target.starts_with('/'));
        let uri = uri.ok_or_else(|| {
            Refusal::fault("/request/target", format!("`{target}` is no path; begin with `/`"))
        })?;
        let mut request = Request::new(bytes);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let sent = request.headers_mut();
        sent.insert(header::HOST, HeaderValue::from_static("localhost"));
        for (name, value) in &headers {
            let fault =
                || Refusal::fault("/request/headers", format!("`{name}` is no header, or its value is none"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
            let value = HeaderValue::from_str(value).map_err(|_| fault())?;
            sent.insert(name, value);
        }
        sent.remove(header::CONTENT_LENGTH);
        let length = request.body().len() as u64;
        if length > 0 {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(request)
    }
}

impl EventBody {
    fn event(self, feed: &Feed) -> Result<Event, Refusal> {
        let Self { id, subject, kind, time, content_type, data, data_base64, attempt } = self;
        let text = match data {
            Value::Null => None,
            Value::String(text) => Some(text.into_bytes()),
            other => Some(other.to_string().into_bytes()),
        };
        Ok(Event {
            id: id.unwrap_or_else(|| feed.random().uuid7(feed.clock()).to_string()),
            subject,
            kind,
            time: time.unwrap_or_else(|| feed.clock().now()),
            content_type,
            data: bytes(("/event/data", text), ("/event/data_base64", data_base64))?,
            attempt: attempt.unwrap_or(1).max(1),
        })
    }
}

/// Bytes that are given in one of two ways.
fn bytes(
    (_, plain): (&str, Option<Vec<u8>>),
    (pointer, encoded): (&str, Option<String>),
) -> Result<Bytes, Refusal> {
    match (plain, encoded) {
        (None, None) => Ok(Bytes::new()),
        (Some(plain), None) => Ok(plain.into()),
        (None, Some(encoded)) => STANDARD
            .decode(&encoded)
            .map(Bytes::from)
            .map_err(|_| Refusal::fault(pointer, "is no base64 with padding")),
        (Some(_), Some(_)) => Err(Refusal::fault(pointer, "is given beside the same as text; keep one")),
    }
}

fn shown(invoked: Invoked) -> Value {
    let Invoked { version, outcome, duration, logs } = invoked;
    let mut members = Map::new();
    members.insert("version".to_owned(), version.into());
    match outcome {
        Ok(Outcome::Done) => {}
        Ok(Outcome::Answered(response)) => answer(&mut members, &response),
        Err(fault) => {
            let told = json!({"code": fault.code(), "detail": fault.to_string()});
            members.insert("fault".to_owned(), told);
        }
    }
    members.insert("duration_ms".to_owned(), json!(duration.as_secs_f64() * 1e3));
    members.insert("logs".to_owned(), logs.iter().map(|line| logs::shown(line)).collect());
    members.into()
}

fn answer(members: &mut Map<String, Value>, response: &Response<Bytes>) {
    members.insert("status".to_owned(), response.status().as_u16().into());
    members.insert("headers".to_owned(), headers(response.headers()));
    let (name, body) = match std::str::from_utf8(response.body()) {
        Ok(text) => ("body", text.to_owned()),
        Err(_) => ("body_base64", STANDARD.encode(response.body())),
    };
    members.insert(name.to_owned(), body.into());
}

/// By name; those that are given several times as a list.
fn headers(headers: &HeaderMap) -> Value {
    let values = |name| {
        let mut values: Vec<Value> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        if values.len() == 1 { values.swap_remove(0) } else { values.into() }
    };
    headers.keys().map(|name| (name.as_str().to_owned(), values(name))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flagbase_core::functions::Fault;

    use super::*;

    fn request(body: Value) -> Result<Request<Bytes>, Refusal> {
        serde_json::from_value::<RequestBody>(body).unwrap().request()
    }

    #[test]
    fn a_request_is_made_of_what_is_given_and_sensible_rest() {
        let made = request(json!({})).unwrap();
        assert_eq!((made.method(), made.uri().path(), made.body().len()), (&Method::GET, "/", 0));
        let body =
            json!({"method": "POST", "target": "/x?y=1", "headers": {"a": "b"}, "body_base64": "/wA="});
        let made = request(body).unwrap();
        assert_eq!((made.uri().query(), &made.headers()["a"]), (Some("y=1"), &HeaderValue::from_static("b")));
        assert_eq!(
            (made.body().as_ref(), &made.headers()["content-length"]),
            (&b"\xff\0"[..], &"2".parse().unwrap())
        );
    }

    #[test]
    fn a_request_that_makes_no_sense_is_refused_with_the_place() {
        for (body, pointer) in [
            (json!({"target": "x"}), "/request/target"),
            (json!({"target": "http://a/x"}), "/request/target"),
            (json!({"method": "G E T"}), "/request/method"),
            (json!({"headers": {"a b": "c"}}), "/request/headers"),
            (json!({"headers": {"a": "b\nc"}}), "/request/headers"),
            (json!({"body_base64": "?"}), "/request/body_base64"),
            (json!({"body": "a", "body_base64": "YQ=="}), "/request/body_base64"),
        ] {
            assert_eq!(request(body.clone()).unwrap_err().faults[0].pointer, pointer, "{body}");
        }
    }

    #[test]
    fn what_came_of_a_call_is_shown() {
        let of = |outcome| {
            shown(Invoked { version: 2, outcome, duration: Duration::from_micros(1500), logs: vec![] })
        };
        let response = Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Bytes::from_static(b"hi"))
            .unwrap();
        assert_eq!(
            of(Ok(Outcome::Answered(response))),
            json!({"version": 2, "status": 200, "headers": {"set-cookie": ["a=1", "b=2"]}, "body": "hi",
                "duration_ms": 1.5, "logs": []})
        );
        assert_eq!(of(Ok(Outcome::Done)), json!({"version": 2, "duration_ms": 1.5, "logs": []}));
        let failed = of(Err(Fault::Trapped("it broke".to_owned())));
        assert_eq!(
            failed["fault"],
            json!({"code": "function_failed", "detail": "the function failed: it broke"})
        );
        let binary = Response::new(Bytes::from_static(b"\xff"));
        assert_eq!(of(Ok(Outcome::Answered(binary)))["body_base64"], json!("/w=="));
    }
}
