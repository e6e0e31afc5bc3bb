//! Trying upstream targets until one answers, as often as that is safe.

use std::sync::Arc;

use flagbase_core::gateway::{self, Target};
use http::{Response, StatusCode, response};
use hyper::body::Incoming;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use super::outgoing::Outgoing;
use crate::{
    body::{BodyFault, RequestBody, Upstream},
    callers::Callers,
    gateway::Gateway,
    headers,
    pool::{Broken, ConnectFault, Link, LinkFault, Shared, Way, left},
    problem::Problem,
};

/// A request on its way to one of the targets of an upstream.
pub(super) struct Errand<'a, C> {
    pub(super) gateway: &'a Gateway<C>,
    pub(super) outgoing: Outgoing<'a>,
    pub(super) upstream: Option<&'a gateway::Upstream>,
    /// When the head of the answer must be here.
    pub(super) deadline: Instant,
    /// Targets that did not accept a connection.
    pub(super) tried: SmallVec<[Arc<Target>; 2]>,
}

/// An upstream's answer.
pub(super) struct Answered {
    pub(super) head: response::Parts,
    pub(super) body: Upstream,
}

/// What to do after an attempt failed.
enum Next {
    /// Nothing reached the upstream: send the same again.
    Again(RequestBody),
    /// The connection broke before any answer.
    Broken(Broken),
    /// There is no point in trying again.
    GiveUp(Problem),
}

impl<C: Callers> Errand<'_, C> {
    /// Sends the request with `body`. It is sent again when nothing of it can have reached an upstream; or, when a
    /// connection that was idle broke before any answer, if sending it twice does no harm and there is no body to send.
    pub(super) async fn run(&mut self, mut body: RequestBody) -> Result<Answered, Problem> {
        let retries = self.outgoing.route.route.retries.unwrap_or(self.gateway.config.retries);
        let repeatable = retries > 0 && body.is_empty() && self.outgoing.method.is_idempotent();
        let mut left = retries + 1;
        let mut fresh = false;
        loop {
            left -= 1;
            let (way, target) = self.way(fresh, &mut left).await?;
            let used = matches!(way, Way::Own(_, true) | Way::Shared(_));
            let next = match way {
                Way::Own(link, _) => self.over_link(link, &target, body).await,
                Way::Shared(shared) => Box::pin(self.over_shared(shared, &target, body)).await,
            };
            body = match next {
                Ok(answered) => return Ok(answered),
                Err(Next::Again(body)) if left > 0 => body,
                Err(Next::Broken(error)) if repeatable && used && left > 0 => {
                    tracing::debug!(%error, upstream = %target.text, "connection broke, trying again");
                    RequestBody::default()
                }
                Err(Next::Again(_)) => {
                    self.gateway.complain(&target, "it closed the connection");
                    return Err(broken());
                }
                Err(Next::Broken(error)) => {
                    self.gateway.complain(&target, &format!("it broke off before its answer: {error}"));
                    return Err(broken());
                }
                Err(Next::GiveUp(problem)) => return Err(problem),
            };
            // Other idle connections may be just as dead.
            fresh = true;
        }
    }

    /// A connection to the next target that accepts one, and the target.
    async fn way(&mut self, fresh: bool, left_over: &mut u32) -> Result<(Way, Arc<Target>), Problem> {
        loop {
            let target = self.pick()?;
            let patience = self.connect_patience();
            let open = if fresh { None } else { self.gateway.pool.waiting(&target) };
            let way = match open {
                Some(way) => Ok(way),
                // Rare, so it should not make every request's future larger.
                None => Box::pin(self.gateway.pool.fresh(&target, patience)).await,
            };
            let fault = match way {
                Ok(way) => return Ok((way, target)),
                Err(fault) => fault,
            };
            let cause = cause(&fault).map(|cause| format!(": {cause}")).unwrap_or_default();
            self.gateway.complain(&target, &format!("{fault}{cause}"));
            self.tried.push(Arc::clone(&target));
            if *left_over == 0 || left(self.deadline).is_zero() || !self.has_more() {
                return Err(unreachable_problem(&fault));
            }
            *left_over -= 1;
        }
    }

    pub(super) fn pick(&self) -> Result<Arc<Target>, Problem> {
        let upstream = self.upstream.and_then(|upstream| upstream.pick(&self.tried));
        upstream.cloned().ok_or_else(|| {
            let detail = "the route has no upstream for this request";
            Problem::new(StatusCode::BAD_GATEWAY, "upstream_unavailable", detail)
        })
    }

    fn has_more(&self) -> bool {
        self.upstream.is_some_and(|upstream| upstream.targets.len() > self.tried.len())
    }

    pub(super) fn connect_patience(&self) -> std::time::Duration {
        let route = &self.outgoing.route.route;
        let configured = self.gateway.config.connect_timeout;
        route.timeouts.connect.unwrap_or(configured).min(left(self.deadline))
    }

    async fn over_link(
        &self,
        mut link: Box<Link>,
        target: &Target,
        body: RequestBody,
    ) -> Result<Answered, Next> {
        self.outgoing.write(target, link.head());
        match link.send(self.outgoing.method, body, self.deadline).await {
            Ok(head) => Ok(Answered { head, body: Upstream::over(link) }),
            Err(fault) => Err(self.judge(fault)),
        }
    }

    async fn over_shared(
        &self,
        mut shared: Shared,
        target: &Target,
        body: RequestBody,
    ) -> Result<Answered, Next> {
        let request = self.outgoing.request(target, body).map_err(Next::GiveUp)?;
        let answer = timeout_at(self.deadline, async {
            if shared.ready().await.is_err() {
                return Err(LinkFault::Unsent(request.into_body()));
            }
            shared.try_send_request(request).await.map_err(|mut fault| match fault.take_message() {
                Some(request) => LinkFault::Unsent(request.into_body()),
                None => LinkFault::of(fault.into_error()),
            })
        });
        match answer.await.unwrap_or(Err(LinkFault::Slow)) {
            Ok(response) => Ok(Answered::cleaned(response)),
            Err(fault) => Err(self.judge(fault)),
        }
    }

    pub(super) fn judge_upgrade(&self, fault: LinkFault) -> Problem {
        match self.judge(fault) {
            Next::GiveUp(problem) => problem,
            Next::Again(_) | Next::Broken(_) => broken(),
        }
    }

    fn judge(&self, fault: LinkFault) -> Next {
        match fault {
            LinkFault::Unsent(body) => Next::Again(body),
            LinkFault::Broken(error) => Next::Broken(error),
            LinkFault::Slow => {
                let limit = self.outgoing.route.request_timeout(self.gateway.config.request_timeout);
                let detail = format!("the backend did not answer within {} ms", limit.as_millis());
                Next::GiveUp(Problem::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", detail))
            }
            LinkFault::Body(fault) => Next::GiveUp(bad_body(&fault)),
        }
    }
}

impl Answered {
    /// An answer whose connection is driven elsewhere.
    pub(super) fn cleaned(response: Response<Incoming>) -> Self {
        let (mut head, body) = response.into_parts();
        headers::clean_answer(&mut head.headers);
        Self { head, body: Upstream::Driven(body) }
    }
}

/// The client's own fault.
fn bad_body(fault: &BodyFault) -> Problem {
    match fault {
        BodyFault::Malformed(_) => Problem::bad_request("bad_body", fault.to_string()).close(),
        BodyFault::TooSlow => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", fault.to_string()).close()
        }
    }
}

/// Callers learn that the backend is at fault, not where it is: that is for the log.
pub(super) fn unreachable_problem(fault: &ConnectFault) -> Problem {
    if fault.is_slow() {
        let detail = "the backend of this route does not accept connections in time; try again later";
        return Problem::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", detail);
    }
    broken()
}

fn broken() -> Problem {
    let detail = "the backend of this route is unavailable; try again later";
    Problem::new(StatusCode::BAD_GATEWAY, "upstream_unavailable", detail)
}

fn cause(fault: &ConnectFault) -> Option<String> {
    std::error::Error::source(fault).map(ToString::to_string)
}
