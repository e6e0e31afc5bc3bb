//! Sites: requests that a route answers from a bucket. Which release, a prefix in the bucket, was decided before.

mod bodies;
mod caching;
mod coding;
mod known;
mod lookup;
mod sending;

use std::sync::Arc;

use flagbase_core::{
    blobs::Direct,
    buckets::{Conditions, Objects},
    caller::Caller,
    feed::Feed,
    gateway::{BucketTarget, ToBucket},
    permissions::Permission,
    refusal::{Class, Refusal},
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, Version, header};
use tokio::time::Instant;

use crate::{
    body::Answer,
    callers::Callers,
    front::Client,
    functions::FunctionBody,
    gateway::Gateway,
    headers::{self, names},
    problem::Problem,
    proxy::{Counted, Inbound, request_id},
};

use bodies::Told;
use caching::Caching;
use known::{Absent, Compressed};
use lookup::{Found, Release};
use sending::Request;

/// What answers from buckets, and what it remembers.
pub(crate) struct Sites {
    objects: Arc<Objects>,
    feed: Arc<Feed>,
    absent: Absent,
    compressed: Compressed,
}

/// The head of an answer, and its body.
type Reply = Response<FunctionBody>;

impl Sites {
    pub(crate) fn new(objects: Arc<Objects>, feed: Arc<Feed>) -> Self {
        Self { objects, feed, absent: Absent::default(), compressed: Compressed::default() }
    }

    /// Answers a request for `path` below a release.
    async fn answer(&self, release: &Release<'_>, asked: Asked<'_>) -> Result<Answered, Refusal> {
        let Asked { path, whole, uri, request, told } = asked;
        Ok(match self.find(release, path, whole, &request).await? {
            Found::Page(page) => self.send(release, &page, (&request, told)).await?,
            Found::Below => Answered::Reply(redirect(whole, uri.query(), request.caching)),
            Found::Nothing => Answered::Nothing,
        })
    }
}

/// What is asked of a release.
struct Asked<'a> {
    /// Below the release.
    path: &'a str,
    /// As the client knows it; clean.
    whole: &'a str,
    uri: &'a Uri,
    request: Request<'a>,
    /// Who learns that a body broke off.
    told: Option<Told>,
}

/// What becomes of what was asked.
enum Answered {
    Reply(Reply),
    /// There is no such object.
    Nothing,
    /// The client expects another state of the object.
    Unexpected,
    /// No such range; the size.
    Unsatisfiable(u64),
}

/// Answers a request that a route leads to a bucket.
pub(crate) async fn answer_for_route<C: Callers, B>(
    gateway: &Arc<Gateway<C>>,
    client: &Arc<Client>,
    caller: &Arc<Caller>,
    to: ToBucket,
    (inbound, started): (Inbound, Instant),
) -> Result<Response<Answer<B>>, Problem> {
    let mut counted = Counted::begin(gateway, (&to.choice).into(), started);
    let busy = client.traffic.busy();
    let id = request_id(gateway, inbound.request.headers());
    let limit = to.choice.route.request_timeout(gateway.config.request_timeout);
    let shows = gateway.shows(caller, Permission::BucketRead);
    let answered =
        tokio::time::timeout_at(started + limit, answer(gateway, client, &to, (&inbound, shows))).await;
    let answered = answered.unwrap_or_else(|_| {
        let detail = "the site did not answer in time";
        Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "site_timeout", detail))
    });
    counted.status = answered.as_ref().map_or_else(|problem| problem.status, Response::status);
    if counted.status.is_server_error()
        && let Some(under) = &to.under
    {
        gateway.functions.failed_under(&gateway.environment, under);
    }
    let release = shows.then(|| headers::value(&to.target.to_string()));
    match answered {
        Ok(mut response) => {
            let headers = response.headers_mut();
            headers.insert(names::REQUEST_ID, id);
            headers.extend(release.map(|release| (names::BUCKET, release)));
            Ok(response.map(|body| Answer::function(body, busy)))
        }
        Err(problem) => Err(problem.of_bucket(release)),
    }
}

async fn answer<C: Callers>(
    gateway: &Gateway<C>,
    client: &Client,
    to: &ToBucket,
    (inbound, shows): (&Inbound, bool),
) -> Result<Reply, Problem> {
    let ToBucket { choice, under, target, bucket } = to;
    let method = inbound.request.method();
    if !matches!(*method, Method::GET | Method::HEAD) {
        let detail = format!("a site takes GET and HEAD, not `{method}`");
        return Err(Problem::wrong_method("GET, HEAD".to_owned(), detail));
    }
    let Some(bucket) = bucket else {
        let detail = format!("bucket `{}` does not exist; create it, or change the route", target.name);
        return Err(Problem::new(StatusCode::BAD_GATEWAY, "bucket_not_found", detail));
    };
    let sent = inbound.request.headers();
    let head = *method == Method::HEAD;
    let conditions = Conditions::of(sent);
    let asked = Asked {
        path: choice.route.stripped(inbound.path.of(&inbound.uri)),
        whole: inbound.path.whole(&inbound.uri),
        uri: &inbound.uri,
        request: Request {
            sent,
            head,
            conditions: if head { conditions.without_range() } else { conditions },
            caching: Caching::of(choice),
            direct: (inbound.request.version() <= Version::HTTP_11).then(|| Direct(client.windows.clone())),
        },
        told: under.as_ref().map(|under| {
            let (runner, place) = (Arc::clone(&gateway.functions), Arc::clone(&gateway.environment));
            let under = under.clone();
            Told::new(move || runner.failed_under(&place, &under))
        }),
    };
    match gateway.sites.answer(&Release { bucket, target }, asked).await {
        Ok(Answered::Reply(reply)) => Ok(reply),
        Ok(Answered::Nothing) => {
            let detail = "there is nothing at this address";
            Err(Problem::new(StatusCode::NOT_FOUND, "object_not_found", detail))
        }
        Ok(Answered::Unexpected) => {
            let detail = "the object is not what was expected; read it without conditions";
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail))
        }
        Ok(Answered::Unsatisfiable(size)) => Ok(unsatisfiable(size)),
        Err(refusal) => Err(unreadable(gateway, target, (&refusal, shows))),
    }
}

/// A release that cannot be read is the bucket's fault, not the client's. What is missing is named to who may read it.
fn unreadable<C: Callers>(
    gateway: &Gateway<C>,
    target: &BucketTarget,
    (refusal, shows): (&Refusal, bool),
) -> Problem {
    gateway.complain_of(&target.to_string(), &refusal.message);
    if refusal.class == Class::Unavailable {
        let detail = "what the site is made of cannot be read now; try again later";
        let later = refusal.retry_after.map_or(1, |wait| wait.as_secs());
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "site_unavailable", detail).retry_after(later);
    }
    let code = if refusal.code == lookup::NO_RELEASE { refusal.code } else { "object_unreadable" };
    let detail = match code {
        lookup::NO_RELEASE if shows => &refusal.message,
        lookup::NO_RELEASE => "the release of the site holds nothing; upload it, or choose another one",
        _ => "a part of the site is damaged or lost; upload it again",
    };
    Problem::new(StatusCode::BAD_GATEWAY, code, detail)
}

fn unsatisfiable(size: u64) -> Reply {
    let detail = format!("the object has {size} bytes; ask for a range within them");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
    let mut response = problem.into_response();
    let range = HeaderValue::try_from(format!("bytes */{size}"));
    response.headers_mut().extend(range.map(|range| (header::CONTENT_RANGE, range)));
    response.map(FunctionBody::Whole)
}

/// Sends the client to the directory, where relative links lead on. Never for good: another release may have a page there.
fn redirect(whole: &str, query: Option<&str>, caching: Caching) -> Reply {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(FunctionBody::default());
    *response.status_mut() = StatusCode::FOUND;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.extend(HeaderValue::try_from(format!("{whole}/{query}")).map(|to| (header::LOCATION, to)));
    headers.insert(header::CACHE_CONTROL, caching.of_what_may_change());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_keeps_the_query_and_is_not_remembered() {
        let response = redirect("/gateway/shop", Some("a=%2F"), Caching { chosen: true, open: true });
        let header = |name| response.headers()[name].to_str().unwrap();
        assert_eq!((response.status(), header("location")), (StatusCode::FOUND, "/gateway/shop/?a=%2F"));
        assert_eq!(header("cache-control"), "private, no-cache");
    }
}
