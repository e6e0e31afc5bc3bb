//! One call of a function: the request as it sees it, and its answer as the client sees that.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::{
    caller::Caller,
    functions::{Body, Deployed, Fault, Under, Visit},
    permissions::Permission,
    trace::TraceParent,
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, response,
    uri::PathAndQuery,
};
use tokio::time::Instant;

use super::bodies::{self, FunctionBody};
use crate::{
    body::{Answer, RequestBody},
    callers::Callers,
    front::Client,
    gateway::Gateway,
    headers::{self, Decided, Forwarding, Outbound, names},
    problem::Problem,
    proxy::{from_target, request_id, websocket},
};

/// Attributes beside the caller: name and value.
pub(crate) type Attributes = Arc<[(Box<str>, Box<str>)]>;

/// What is to be run, and on what terms.
pub(crate) struct Errand<'a> {
    /// The version.
    pub(crate) deployed: Arc<Deployed>,
    /// The flags that chose it.
    pub(crate) under: Vec<Under>,
    /// What the function is told of the decision.
    pub(crate) decided: Decided<'a>,
    /// What rules in the function see beside the caller.
    pub(crate) attributes: Attributes,
    /// Whether it sees the caller's token.
    pub(crate) forward_token: bool,
    /// Below the function; empty stands for `/`.
    pub(crate) path: &'a str,
    /// When the head of the answer must be here, and how long that is; on top of the function's own limit.
    pub(crate) deadline: Option<(Instant, Duration)>,
    /// How long the client's body may pause, when a route says so.
    pub(crate) idle: Option<Duration>,
}

/// Runs a function and turns what comes back into the client's answer.
pub(crate) async fn run<C: Callers, B>(
    gateway: &Gateway<C>,
    client: &Arc<Client>,
    caller: &Arc<Caller>,
    errand: Errand<'_>,
    (uri, mut request): (&Uri, Box<Request<RequestBody>>),
) -> Result<Response<Answer<B>>, Problem> {
    if websocket::requested(&request) {
        let detail =
            "functions take no WebSocket connections; send a plain request, or give this path a backend";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "function_no_websocket", detail));
    }
    let busy = client.traffic.busy();
    let id = request_id(gateway, request.headers());
    let shown = gateway.shows(caller, Permission::FunctionRead).then(|| running(&errand.deployed));
    let failed = |fault: &Fault| {
        let problem = Problem::of_fault(fault, shown.is_some());
        problem.with(names::REQUEST_ID, Some(id.clone())).with(names::FUNCTION, shown.clone())
    };
    let mut headers = told(gateway, client, caller, (&errand, &id), (uri, request.headers()));
    let method = request.method().clone();
    let mut body = std::mem::take(request.body_mut());
    if let Some(patience) = errand.idle {
        body.be_patient(patience);
    }
    let most = errand.deployed.settings.limits.request_body;
    let body = bodies::inbound(body, most).await.map_err(|fault| failed(&fault.into()))?;
    declare(&body, &mut headers);
    let visit = Visit {
        deployed: errand.deployed,
        caller: Arc::clone(caller),
        id: String::from_utf8_lossy(id.as_bytes()).into(),
        trace: trace(&headers),
        attributes: errand.attributes,
    };
    let mut asked = Request::new(body);
    *asked.method_mut() = method.clone();
    *asked.uri_mut() = target(errand.path, uri.query())?;
    *asked.headers_mut() = headers;
    let call = gateway.functions.serve(visit, errand.under, asked);
    let answered = match errand.deadline {
        None => call.await,
        Some((deadline, limit)) => {
            tokio::time::timeout_at(deadline, call).await.unwrap_or(Err(Fault::TimedOut(limit)))
        }
    };
    let (mut head, body) = answered.map_err(|fault| failed(&fault))?.into_parts();
    let body = settle(&method, &mut head, body.into()).map_err(|fault| failed(&fault))?;
    head.headers.entry(names::REQUEST_ID).or_insert(id);
    if let Some(shown) = shown {
        head.headers.insert(names::FUNCTION, shown);
    }
    Ok(Response::from_parts(head, Answer::function(body, busy)))
}

/// `hello@2`.
fn running(deployed: &Deployed) -> HeaderValue {
    headers::value(&format!("{}@{}", deployed.function, deployed.version))
}

/// The headers that the function sees: what an upstream would get, and the `Host` that was asked for.
fn told<C: Callers>(
    gateway: &Gateway<C>,
    client: &Client,
    caller: &Arc<Caller>,
    (errand, id): (&Errand<'_>, &HeaderValue),
    (uri, sent): (&Uri, &HeaderMap),
) -> HeaderMap {
    let host = from_target(uri).or_else(|| sent.get(header::HOST).cloned());
    let with = Forwarding {
        trusted: gateway.config.trusts(client.peer.ip()),
        peer: &client.address_header,
        host,
        forward_token: errand.forward_token,
        request_id: id.clone(),
    };
    let identified = client.identified(caller);
    let environment = &gateway.environment_header;
    let outbound = Outbound { sent, with, environment, caller: &identified, decided: errand.decided };
    let mut headers = HeaderMap::with_capacity(sent.len() + 14);
    if let Some(host) = outbound.host() {
        headers.insert(header::HOST, host.clone());
    }
    outbound.each(|name, value| {
        headers.append(name, value.clone());
    });
    headers
}

/// Says how long the body is, when that is known.
fn declare(body: &Body, headers: &mut HeaderMap) {
    let length = match body {
        Body::Empty => None,
        Body::Whole(bytes) => Some(bytes.len() as u64),
        Body::Stream(_, length) => *length,
    };
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

/// What the function is asked for: everything below it.
fn target(path: &str, query: Option<&str>) -> Result<Uri, Problem> {
    let path = if path.is_empty() { "/" } else { path };
    let target = match query {
        None => PathAndQuery::try_from(path),
        Some(query) => {
            let mut whole = Vec::with_capacity(path.len() + 1 + query.len());
            whole.extend_from_slice(path.as_bytes());
            whole.push(b'?');
            whole.extend_from_slice(query.as_bytes());
            PathAndQuery::from_maybe_shared(Bytes::from(whole))
        }
    };
    let odd = |error: &dyn std::error::Error| {
        Problem::bad_request("bad_target", format!("the request's target cannot be handed on: {error}"))
    };
    Ok(Uri::from(target.map_err(|error| odd(&error))?))
}

/// Makes one answer of a head and a body that need not fit together: only the connection decides about its framing.
fn settle(method: &Method, head: &mut response::Parts, body: FunctionBody) -> Result<FunctionBody, Fault> {
    let status = head.status;
    if status.is_informational() {
        return Err(Fault::BadAnswer(format!("status {status} is no answer to a request")));
    }
    headers::clean_answer(&mut head.headers);
    head.version = Version::HTTP_11;
    let declared = head.headers.remove(header::CONTENT_LENGTH);
    if *method == Method::HEAD {
        let length = match &body {
            FunctionBody::Whole(bytes) if !bytes.is_empty() => Some((bytes.len() as u64).into()),
            _ => declared.filter(|value| value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())),
        };
        head.headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
        return Ok(FunctionBody::default());
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless { Ok(FunctionBody::default()) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(
        method: &Method,
        status: u16,
        length: Option<&str>,
        body: &'static str,
    ) -> (HeaderMap, FunctionBody) {
        let mut response =
            Response::builder().status(status).header("connection", "x-hop").header("x-hop", "1");
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        let response = response.header("set-cookie", "a=1").header("set-cookie", "b=2").body(()).unwrap();
        let (mut head, ()) = response.into_parts();
        let body = FunctionBody::from(Body::Whole(Bytes::from_static(body.as_bytes())));
        let body = settle(method, &mut head, body).unwrap();
        (head.headers, body)
    }

    #[test]
    fn a_wrong_length_and_headers_of_the_connection_do_not_pass_and_cookies_do() {
        let (headers, body) = settled(&Method::GET, 200, Some("999"), "hello");
        assert_eq!(headers.len(), 2, "{headers:?}");
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert!(matches!(body, FunctionBody::Whole(bytes) if bytes == "hello"));
    }

    #[test]
    fn heads_are_answered_without_a_body_but_with_its_length() {
        for (declared, body, length) in
            [(None, "hello", Some("5")), (Some("7"), "", Some("7")), (Some("x"), "", None), (None, "", None)]
        {
            let (headers, body) = settled(&Method::HEAD, 200, declared, body);
            assert_eq!(headers.get("content-length").map(|value| value.to_str().unwrap()), length);
            assert!(matches!(body, FunctionBody::Whole(bytes) if bytes.is_empty()));
        }
    }

    #[test]
    fn statuses_without_a_body_have_none_and_interim_ones_are_no_answers() {
        for status in [204, 304] {
            let (_, body) = settled(&Method::GET, status, Some("5"), "hello");
            assert!(matches!(body, FunctionBody::Whole(bytes) if bytes.is_empty()), "{status}");
        }
        let (mut head, ()) = Response::builder().status(103).body(()).unwrap().into_parts();
        assert!(matches!(settle(&Method::GET, &mut head, FunctionBody::default()), Err(Fault::BadAnswer(_))));
    }

    #[test]
    fn the_target_is_what_is_below_the_function() {
        for (path, query, expected) in [
            ("", None, "/"),
            ("", Some("a=%2F"), "/?a=%2F"),
            ("/x/y", None, "/x/y"),
            ("/x/", Some(""), "/x/?"),
        ] {
            assert_eq!(target(path, query).unwrap().to_string(), expected);
        }
    }
}
