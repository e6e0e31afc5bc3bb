//! One request through the gateway: who asks, what is decided, and the upstream's answer.

mod attempt;
mod outgoing;
pub(crate) mod websocket;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flagbase_core::{
    caller::Caller,
    engine::Reason,
    gateway::{Admission, Choice, CompiledRoute, Decision, Head, decide, visit_attributes},
    metrics::RequestObservation,
    refusal::Class,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    body::{Answer, RequestBody, UpstreamBody},
    callers::Callers,
    front::Client,
    functions::{self, Attributes},
    gateway::{BODY_PATIENCE, Gateway},
    headers::{self, Forwarding, Outbound, names},
    problem::Problem,
    sites,
};

use attempt::{Answered, Errand};
use outgoing::Outgoing;

/// A request for the gateway.
pub(crate) struct Inbound {
    pub(crate) path: Place,
    /// Lower case, without port.
    pub(crate) host: String,
    /// The target as it came.
    pub(crate) uri: Uri,
    /// The rest; its target is not set. Boxed, so that it is moved cheaply from hand to hand.
    pub(crate) request: Box<Request<RequestBody>>,
}

/// Where in the gateway a request leads: the clean path below the mount, copied only when cleaning changed it.
pub(crate) struct Place {
    pub(crate) changed: Option<String>,
    /// Bytes of the mount.
    pub(crate) skip: usize,
}

impl Place {
    /// The clean path, as the client knows it.
    pub(crate) fn whole<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.changed.as_deref().unwrap_or_else(|| uri.path())
    }

    pub(crate) fn of<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.whole(uri).get(self.skip..).filter(|path| !path.is_empty()).unwrap_or("/")
    }
}

static NONE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// Forwards a request, or says why not.
pub(crate) async fn forward<C: Callers, B>(
    gateway: &Arc<Gateway<C>>,
    client: &Arc<Client>,
    inbound: Inbound,
) -> Result<Response<Answer<B>>, Problem> {
    let started = Instant::now();
    unlooped(inbound.request.headers())?;
    let caller = caller(gateway, inbound.request.headers()).await?;
    let (decision, attributes) = decision(gateway, client, &inbound, &caller)?;
    let (choice, upstream) = match decision {
        Decision::Forward(choice, upstream) => (choice, upstream),
        Decision::Function(route) => {
            // Larger than what most requests need, so it should not make every request's future larger.
            let route = (*route, attributes);
            return Box::pin(functions::answer_for_route(
                gateway,
                client,
                &caller,
                route,
                (inbound, started),
            ))
            .await;
        }
        Decision::Bucket(route) => {
            let request = (inbound, started);
            return Box::pin(sites::answer_for_route(gateway, client, &caller, *route, request)).await;
        }
        Decision::Off(choice) => {
            let response = off(&choice.route);
            record(gateway, Observed::from(&choice), response.status(), started);
            return Ok(response.map(Answer::own));
        }
        Decision::Refused(route, why) => {
            let problem = refused(&route, &caller, why);
            record(gateway, Observed::of(&route.id), problem.status, started);
            return Err(problem);
        }
        Decision::WrongMethod(allowed) => {
            let detail = format!("no route of this path takes `{}`", inbound.request.method());
            return Err(Problem::wrong_method(allowed.join(", "), detail));
        }
        Decision::NoRoute => {
            let detail = "no route registered for this path";
            return Err(Problem::new(StatusCode::NOT_FOUND, "route_not_found", detail));
        }
    };
    let mut counted = Counted::begin(gateway, Observed::from(&choice), started);
    let sent = send(gateway, client, (&choice, upstream, &caller), inbound, started).await;
    counted.status = sent.as_ref().map_or_else(|problem| problem.status, Response::status);
    sent
}

/// Fails for a request that has come through here too often.
pub(crate) fn unlooped(sent: &HeaderMap) -> Result<(), Problem> {
    if sent.contains_key(header::VIA) && headers::loops(sent) {
        let detail = "the request has come through this gateway again and again; check where its route leads";
        return Err(Problem::new(StatusCode::LOOP_DETECTED, "loop_detected", detail));
    }
    Ok(())
}

/// What a request is counted as whose client hung up before the answer: 499, as nginx has it.
static CLIENT_GONE: LazyLock<StatusCode> =
    LazyLock::new(|| StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT));

/// What a request is counted under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed<'a> {
    route: &'a Arc<str>,
    flag: Option<&'a Arc<str>>,
    variant: Option<&'a Arc<str>>,
    reason: Option<Reason>,
}

impl<'a> Observed<'a> {
    /// A request that no flag had a say in.
    pub(crate) fn of(route: &'a Arc<str>) -> Self {
        Self { route, flag: None, variant: None, reason: None }
    }

    /// The same, with what a flag said.
    pub(crate) fn under(self, flag: &'a Arc<str>, variant: &'a Arc<str>, reason: Reason) -> Self {
        Self { flag: Some(flag), variant: Some(variant), reason: Some(reason), ..self }
    }
}

impl<'a> From<&'a Choice> for Observed<'a> {
    fn from(choice: &'a Choice) -> Self {
        let Choice { route, variant, reason } = choice;
        Self { route: &route.id, flag: route.flag.as_ref(), variant: variant.as_ref(), reason: *reason }
    }
}

/// Counts a request when it ends, however it ends: an upstream that hangs must not look idle.
pub(crate) struct Counted<'a, C: Callers> {
    gateway: &'a Gateway<C>,
    observed: Observed<'a>,
    started: Instant,
    pub(crate) status: StatusCode,
}

impl<'a, C: Callers> Counted<'a, C> {
    pub(crate) fn begin(gateway: &'a Gateway<C>, observed: Observed<'a>, started: Instant) -> Self {
        Self { gateway, observed, started, status: *CLIENT_GONE }
    }
}

impl<C: Callers> Drop for Counted<'_, C> {
    fn drop(&mut self) {
        record(self.gateway, self.observed, self.status, self.started);
    }
}

pub(crate) async fn caller<C: Callers>(
    gateway: &Gateway<C>,
    sent: &HeaderMap,
) -> Result<Arc<Caller>, Problem> {
    let unreadable = || {
        let detail = "the token is not readable; send `Authorization: Bearer <token>`";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    };
    let Some(token) = headers::token(sent).map_err(|()| unreadable())? else {
        return Ok(Caller::nobody());
    };
    match gateway.callers.cached(token) {
        Some(caller) => Ok(caller),
        // Rare, so it should not make every request's future larger.
        None => Box::pin(gateway.callers.authenticate(token)).await.map_err(|refusal| {
            if refusal.class == Class::Unauthenticated {
                gateway.recorder.meters().auth_failure(refusal.code);
            }
            refusal.into()
        }),
    }
}

fn decision<C: Callers>(
    gateway: &Gateway<C>,
    client: &Client,
    inbound: &Inbound,
    caller: &Caller,
) -> Result<(Decision, Attributes), Problem> {
    let snapshot = gateway.snapshots().load();
    let environment = snapshot.require_environment(&gateway.environment)?;
    let told = client_ip(gateway, client, inbound);
    let head = Head {
        method: inbound.request.method(),
        host: &inbound.host,
        path: inbound.path.of(&inbound.uri),
        headers: inbound.request.headers(),
        client_ip: told.as_deref().unwrap_or(&client.address),
    };
    let decision = decide(environment, &head, caller);
    let attributes = match &decision {
        Decision::Function(_) => visit_attributes(environment, &head),
        _ => Attributes::default(),
    };
    Ok((decision, attributes))
}

/// The client's address as trusted proxies tell it; `None` when the peer is the client.
pub(crate) fn client_ip<C: Callers>(
    gateway: &Gateway<C>,
    client: &Client,
    inbound: &Inbound,
) -> Option<String> {
    let peer = client.peer.ip();
    if !gateway.config.trusts(peer) {
        return None;
    }
    Some(gateway.config.forwarded(peer, inbound.request.headers()).address.to_string())
}

/// The route's own answer while its flag is off.
fn off(route: &CompiledRoute) -> Response<Bytes> {
    let Some((body, kind)) = &route.answer.body else {
        let detail = "route disabled by feature flag";
        return Problem::new(route.answer.status, "route_off", detail).into_response();
    };
    let mut response = Response::new(body.clone());
    *response.status_mut() = route.answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    response
}

fn refused(route: &CompiledRoute, caller: &Caller, why: Admission) -> Problem {
    match why {
        Admission::Unauthenticated => {
            let detail = "this route needs a valid token; send `Authorization: Bearer <token>`";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        }
        Admission::Forbidden => {
            let detail = format!("route `{}` does not admit role `{}`", route.id, caller.role);
            Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
        }
    }
}

pub(crate) fn record<C: Callers>(
    gateway: &Gateway<C>,
    observed: Observed<'_>,
    status: StatusCode,
    started: Instant,
) {
    let Observed { route, flag, variant, reason } = observed;
    let flag = flag.unwrap_or(&NONE);
    if let (Some(reason), Some(variant)) = (reason, variant) {
        gateway.recorder.exposed(&gateway.environment, flag, variant, reason);
    }
    gateway.recorder.request(&RequestObservation {
        environment: &gateway.environment,
        route,
        flag,
        variant: variant.unwrap_or(&NONE),
        status: status.as_u16(),
        latency: started.elapsed(),
    });
}

/// Sends the request to its upstream and turns what comes back into the client's answer.
async fn send<C: Callers, B>(
    gateway: &Arc<Gateway<C>>,
    client: &Arc<Client>,
    (choice, upstream, caller): (&Choice, usize, &Arc<Caller>),
    inbound: Inbound,
    started: Instant,
) -> Result<Response<Answer<B>>, Problem> {
    let Inbound { path, uri, mut request, .. } = inbound;
    let busy = client.traffic.busy();
    let route = &choice.route;
    let upgrade = websocket::requested(&request).then(|| request.extensions_mut().remove());
    let mut body = std::mem::take(request.body_mut());
    let sent = request.headers();
    let request_id = request_id(gateway, sent);
    let forwarding = Forwarding {
        trusted: gateway.config.trusts(client.peer.ip()),
        peer: &client.address_header,
        host: from_target(&uri).or_else(|| sent.get(header::HOST).cloned()),
        forward_token: route.route.forward_token,
        request_id: request_id.clone(),
    };
    let identified = client.identified(caller);
    let environment = &gateway.environment_header;
    let headers =
        Outbound { sent, with: forwarding, environment, caller: &identified, decided: choice.into() };
    let method = request.method();
    let outgoing = Outgoing { route, method, path: path.of(&uri), query: uri.query(), headers };
    let deadline = started + route.request_timeout(gateway.config.request_timeout);
    let upstream = route.upstreams().get(upstream);
    let mut errand = Errand { gateway, outgoing, upstream, deadline, tried: SmallVec::default() };
    let patience = route.route.timeouts.idle.unwrap_or(BODY_PATIENCE);
    let Answered { mut head, body } = if let Some(on_client) = upgrade {
        Box::pin(websocket::open(&mut errand, client, on_client)).await?
    } else {
        if let Some(patience) = route.route.timeouts.idle {
            body.be_patient(patience);
        }
        errand.run(body).await?
    };
    head.headers.entry(names::REQUEST_ID).or_insert(request_id);
    head.version = Version::HTTP_11;
    Ok(Response::from_parts(head, Answer::upstream(UpstreamBody::new(body, patience), busy)))
}

/// A host in the target (HTTP/2, absolute form) stands above the header.
pub(crate) fn from_target(uri: &Uri) -> Option<HeaderValue> {
    uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
}

pub(crate) fn request_id<C: Callers>(gateway: &Gateway<C>, sent: &HeaderMap) -> HeaderValue {
    let kept = sent.get(names::REQUEST_ID).filter(|id| headers::is_request_id(id));
    kept.cloned().unwrap_or_else(|| gateway.request_id())
}
