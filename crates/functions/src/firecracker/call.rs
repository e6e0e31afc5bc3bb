//! One call of a function: what goes into a guest, and what comes out.

use std::fmt::Write as _;

use bytes::Bytes;
use flagbase_core::functions::{Body, Event, Fault, Limits, Occasion, Visit};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{CONNECTION, CONTENT_TYPE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use http_body_util::Full;

use super::{
    agent::FAULT,
    machine::GRIEF,
    pool::Lease,
    wire::{Answer, WireError},
};

/// The agent hands on what is below this path.
const CALL: &str = "/call";
/// What only we may say to a guest.
const OURS: &str = "flagbase-";
/// Why there is a call, when it is no request.
const OCCASION: &str = "flagbase-occasion";

/// The request that the agent understands, for one of a caller.
pub(super) fn of_request(
    visit: &Visit,
    request: Request<()>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Fault> {
    let (mut head, ()) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    head.uri = below(target)?;
    remove_hops(&mut head.headers);
    let reserved: Vec<HeaderName> =
        head.headers.keys().filter(|name| name.as_str().starts_with(OURS)).cloned().collect();
    for name in reserved {
        head.headers.remove(name);
    }
    head.version = http::Version::HTTP_11;
    let mut request = Request::from_parts(head, Full::new(body));
    sign(visit, request.headers_mut());
    Ok(request)
}

/// The request that the agent understands, for an event or a tick.
pub(super) fn of_occasion(visit: &Visit, occasion: Occasion) -> Result<Request<Full<Bytes>>, Fault> {
    let mut headers = HeaderMap::new();
    let body = match occasion {
        Occasion::Event(event) => of_event(event, visit, &mut headers),
        Occasion::Tick { schedule, at } => {
            set(&mut headers, OCCASION, "tick");
            set(&mut headers, "flagbase-schedule", &schedule);
            set(&mut headers, "flagbase-at", &at.to_string());
            Bytes::new()
        }
    };
    sign(visit, &mut headers);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = below("/")?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// An event in the binary form of CloudEvents over HTTP.
fn of_event(event: Event, visit: &Visit, headers: &mut HeaderMap) -> Bytes {
    set(headers, OCCASION, "event");
    set(headers, "flagbase-attempt", &event.attempt.to_string());
    set(headers, "ce-specversion", "1.0");
    set(headers, "ce-id", &event.id);
    set(headers, "ce-type", if event.kind.is_empty() { "message" } else { &event.kind });
    set(headers, "ce-source", &format!("/environments/{}", visit.deployed.environment));
    set(headers, "ce-subject", &event.subject);
    set(headers, "ce-time", &event.time.to_string());
    if let Ok(kind) = HeaderValue::from_str(&event.content_type)
        && !kind.is_empty()
    {
        headers.insert(CONTENT_TYPE, kind);
    }
    event.data
}

/// Hands `request` to the guest and reads its answer.
pub(super) async fn exchange(
    lease: Lease,
    request: Request<Full<Bytes>>,
    visit: &Visit,
) -> Result<Answer, Fault> {
    let limits = &visit.deployed.settings.limits;
    let what = match request.headers().get(OCCASION).map(HeaderValue::as_bytes) {
        Some(b"event") => "events",
        Some(_) => "schedules",
        None => "requests",
    };
    let most = usize::try_from(limits.response_body).unwrap_or(usize::MAX);
    let exited = lease.machine().exited().clone();
    let answered = tokio::select! {
        answered = lease.machine().agent.call(request, most) => Some(answered),
        () = exited.cancelled() => None,
    };
    match answered {
        Some(Ok(answer)) => match said(&answer, limits, (visit.deployed.version, what)) {
            None => {
                lease.done();
                Ok(answer)
            }
            Some((fault, whole)) => {
                if whole {
                    lease.done();
                }
                Err(fault)
            }
        },
        Some(Err(WireError::TooLarge(most))) => {
            Err(Fault::LimitReached(format!("its answer is larger than {most} bytes")))
        }
        Some(Err(_)) if tokio::time::timeout(GRIEF, exited.cancelled()).await.is_err() => {
            Err(Fault::Trapped("the connection to its microVM broke off".to_owned()))
        }
        Some(Err(_)) | None => {
            lease.died();
            Err(Fault::Trapped("its microVM ended while it answered".to_owned()))
        }
    }
}

/// The answer as the caller gets it.
pub(super) fn to_response(answer: Answer) -> Response<Body> {
    let body = if answer.body.is_empty() { Body::Empty } else { Body::Whole(answer.body) };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    remove_hops(response.headers_mut());
    response
}

/// Whether an occasion was taken.
pub(super) fn to_outcome(answer: &Answer) -> Result<(), Fault> {
    if answer.status.is_success() {
        return Ok(());
    }
    let mut text = format!("status {}", answer.status.as_u16());
    let said: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    if !said.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {said}");
    }
    Err(Fault::Reported(text))
}

/// What the agent itself says instead of the function, and whether the guest can go on.
fn said(answer: &Answer, limits: &Limits, (version, what): (u32, &'static str)) -> Option<(Fault, bool)> {
    let word = answer.headers.get(FAULT)?.to_str().unwrap_or_default();
    let sentence: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
    Some(match word {
        "exited" => (Fault::Trapped(sentence), false),
        "not_served" => (Fault::NotServed { version, what }, true),
        "bad_answer" => (Fault::BadAnswer(sentence), true),
        "too_large" | "limit" => (Fault::LimitReached(sentence), true),
        "timeout" => (Fault::TimedOut(limits.timeout), false),
        "unstartable" | "not_ready" | "draining" | "busy" => (Fault::Unstartable(sentence), false),
        _ => (Fault::BadAnswer(format!("{}: {sentence}", answer.status.as_u16())), false),
    })
}

/// Who calls, and where it belongs to.
fn sign(visit: &Visit, headers: &mut HeaderMap) {
    set(headers, "flagbase-call", &visit.id);
    if let Some(trace) = &visit.trace {
        set(headers, "traceparent", trace.as_str());
    }
    headers.entry(HOST).or_insert(HeaderValue::from_static("function"));
}

fn below(target: &str) -> Result<Uri, Fault> {
    format!("{CALL}{target}")
        .parse()
        .map_err(|_| Fault::BadAnswer("the target of the request cannot be written".to_owned()))
}

/// A header whose value may have come from anywhere: what no header can say is left out.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let clean: String = value.chars().filter(|sign| !sign.is_control()).collect();
    if let Ok(value) = HeaderValue::from_bytes(clean.as_bytes()) {
        headers.insert(name, value);
    }
}

/// Removes what is between two neighbours only (RFC 9110, section 7.6.1).
fn remove_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let always = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in
        always.iter().map(HeaderName::as_str).chain(["keep-alive", "proxy-connection", "content-length"])
    {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
