//! Requests to the outside, in two layers: what is granted by name, then every address that the name resolves to.

mod exchange;
mod outside;
mod redirects;
mod streamed;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, Request, Response, header};
use bytes::Bytes;
use flagbase_core::functions::Limits;
use tokio::time::{Instant, timeout_at};
use url::Url;
use wasmtime_wasi_http::{Error, RequestOptions, WasiHttpHooks};

use self::redirects::{Hop, Redirects};
use super::call::Call;

pub(crate) use outside::Outside;

type WasiBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Error>;
type Sent = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The headers of an answer, together.
const MOST_HEADERS: usize = 64 << 10;
/// An address that is longer is not asked for.
const LONGEST_URL: usize = 8 << 10;

/// Header fields about one connection, or about where a request goes; those are not a guest's to say. `Host` above all:
/// it would lead past what is granted.
const NOT_FOR_GUESTS: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The way to the outside of one call; counts its requests.
pub(crate) struct Outbound {
    call: Arc<Call>,
    left: Left,
}

/// How many requests a call may still send.
#[derive(Clone)]
struct Left(Arc<AtomicU32>);

/// Why a request to the outside came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The address is not granted, or must not be reached.
    Denied(String),
    /// It took too long.
    TimedOut,
    /// The answer is too large.
    TooLarge,
    /// Anything else.
    Failed(String),
}

impl Outbound {
    /// For one call.
    pub(crate) fn new(call: &Arc<Call>) -> Self {
        let left = Left(Arc::new(AtomicU32::new(call.limits().outbound_requests)));
        Self { call: Arc::clone(call), left }
    }

    /// Sends a request with all its bytes and waits for the whole answer, which is bounded by the function's limit of
    /// responses. `timeout_ms` 0: as long as the call may take. Follows redirects, unless `x-flagbase-redirect` says
    /// `manual` or `error`; each hop is checked and counted like a request. Does not borrow, so that the guest's data
    /// stays free while it waits.
    pub(crate) fn send(
        &mut self,
        request: Request<Bytes>,
        timeout_ms: u32,
    ) -> impl Future<Output = Result<Response<Bytes>, Failure>> + Send + 'static + use<> {
        let (call, left) = (Arc::clone(&self.call), self.left.clone());
        async move {
            let deadline = deadline(&call, timeout_ms);
            let work = follow(&call, request, &left);
            timeout_at(deadline, work).await.unwrap_or(Err(Failure::TimedOut))
        }
    }
}

impl Left {
    /// Counts a request.
    fn take(&self, limits: &Limits) -> Result<(), Failure> {
        let taken = self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        let most = limits.outbound_requests;
        let spent =
            |_| Failure::Denied(format!("a call may send {most} requests, and this one has sent them"));
        taken.map(drop).map_err(spent)
    }
}

fn deadline(call: &Call, timeout_ms: u32) -> Instant {
    let own = Instant::now() + Duration::from_millis(timeout_ms.into());
    if timeout_ms == 0 { call.deadline } else { own.min(call.deadline) }
}

async fn follow(call: &Arc<Call>, request: Request<Bytes>, left: &Left) -> Result<Response<Bytes>, Failure> {
    let (redirects, mut hop) = Hop::first(request)?;
    let mut followed = 0;
    loop {
        permitted(call, &hop.url)?;
        left.take(call.limits())?;
        let answer = exchange::whole(call, &hop).await?;
        match (redirects, hop.next(&answer)?) {
            (_, None) | (Redirects::Manual, _) => return Ok(marked(answer, &hop, followed)),
            (Redirects::Error, _) => return Err(Failure::Failed("it answered with a redirect".to_owned())),
            (Redirects::Follow, Some(next)) => hop = next,
        }
        followed += 1;
        if followed > redirects::MOST {
            return Err(Failure::Failed(format!("it redirects more than {} times", redirects::MOST)));
        }
    }
}

/// Tells where an answer came from in the end, when that is not where it was asked for.
fn marked(mut answer: Response<Bytes>, hop: &Hop, followed: u32) -> Response<Bytes> {
    answer.headers_mut().remove(redirects::ADDRESS);
    if let Some(url) = (followed > 0).then(|| hop.url.as_str().parse().ok()).flatten() {
        answer.headers_mut().insert(redirects::ADDRESS, url);
    }
    answer
}

/// The first layer: whether the function is granted this address; and where it is written in numbers, the second.
fn permitted(call: &Call, url: &Url) -> Result<(), Failure> {
    if url.as_str().len() > LONGEST_URL {
        return Err(Failure::Denied(format!("an address has at most {LONGEST_URL} bytes")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::Denied("an address has no user name; send a header `Authorization`".to_owned()));
    }
    if !call.visit.deployed.settings.grants.allows_url(url) {
        let origin = url.origin().ascii_serialization();
        let how = format!("add `{origin}` to the grant `outbound`");
        return Err(Failure::Denied(format!(
            "requests to `{origin}` are not granted to this function; {how}"
        )));
    }
    call.outside.permits(url)
}

fn without(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

fn headers_fit(headers: &HeaderMap) -> bool {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() <= MOST_HEADERS
}

impl WasiHttpHooks for Outbound {
    // The host is that of the address, always.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Sent,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Sent), Error>> + Send> {
        let (call, allowed) = (Arc::clone(&self.call), self.left.take(self.call.limits()));
        Box::new(async move {
            let answer = match allowed {
                Ok(()) => streamed::send(&call, request, options).await,
                Err(why) => Err(why),
            };
            let done: Sent = Box::new(std::future::ready(Ok(())));
            answer.map(|answer| (answer, done)).map_err(streamed::code)
        })
    }
}

#[cfg(test)]
mod tests;
