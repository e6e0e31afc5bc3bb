//! What happens to each request of a client's connection: check it, then proxy it or hand it to the fallback.

use std::{borrow::Cow, convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use flagbase_core::{
    blobs::Direct,
    caller::{Caller, Peer},
    gateway::clean,
};
use flagbase_linger::Lingering;
use flagbase_sendfile::Windows;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tower::Service;

use crate::{
    body::{Answer, RequestBody},
    callers::Callers,
    functions,
    gateway::{Gateway, Mount, UPLOAD_PATIENCE},
    headers::Identified,
    hygiene,
    inspect::Traffic,
    problem::Problem,
    proxy::{self, Inbound, Place},
};

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) address: String,
    pub(crate) address_header: HeaderValue,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) windows: Arc<Windows>,
    /// What was last said of a caller on this connection.
    identified: Mutex<Option<Arc<Identified>>>,
}

impl Client {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        let address = peer.ip().to_canonical().to_string();
        let address_header = crate::headers::value(&address);
        Self {
            peer,
            address,
            address_header,
            traffic: Arc::default(),
            windows: Arc::default(),
            identified: Mutex::default(),
        }
    }
}

impl Client {
    /// What is said of `caller`.
    pub(crate) fn identified(&self, caller: &Arc<Caller>) -> Arc<Identified> {
        let mut last = self.identified.lock();
        match &*last {
            Some(identified) if identified.is_of(caller) => Arc::clone(identified),
            _ => Arc::clone(last.insert(Arc::new(Identified::new(caller)))),
        }
    }
}

/// What answers requests that are not for the gateway.
pub trait Fallback<B>:
    Service<Request<Lingering<Incoming>>, Response = Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<B, S> Fallback<B> for S where
    S: Service<Request<Lingering<Incoming>>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Answers one request.
pub(crate) async fn answer<C, F, B>(
    gateway: Arc<Gateway<C>>,
    client: Arc<Client>,
    mut fallback: F,
    request: Request<Lingering<Incoming>>,
) -> Response<Answer<B>>
where
    C: Callers,
    F: Fallback<B>,
    B: Body<Data = Bytes>,
{
    let (mut parts, body) = request.into_parts();
    let (inbound, mount) = match sort(&gateway, &parts) {
        Ok(Some((path, host, mount))) => {
            let uri = std::mem::take(&mut parts.uri);
            let body = RequestBody::new(body, UPLOAD_PATIENCE);
            let request = Box::new(Request::from_parts(parts, body));
            (Inbound { path, host, uri, request }, mount)
        }
        Ok(None) => {
            let mut request = Request::from_parts(parts, body);
            // As trusted proxies tell it; else everybody behind one proxy would share one limit.
            let from = gateway.config.forwarded(client.peer.ip(), request.headers());
            request.extensions_mut().insert(Peer(from));
            if request.version() <= http::Version::HTTP_11 {
                request.extensions_mut().insert(Direct(client.windows.clone()));
            }
            let busy = client.traffic.busy();
            // A service with several callers, such as a router, is ready at all times.
            let Ok(response) = fallback.call(request).await;
            return response.map(|body| Answer::fallback(body, busy));
        }
        Err(problem) => return problem.into_response().map(Answer::own),
    };
    let answered = match mount {
        Mount::Routes => proxy::forward(&gateway, &client, inbound).await,
        // Larger than what proxied requests need, so it should not make their futures larger.
        Mount::Functions => Box::pin(functions::answer(&gateway, &client, inbound)).await,
    };
    match answered {
        Ok(response) => response,
        Err(problem) => problem.into_response().map(Answer::own),
    }
}

/// The path below the gateway, the host, and who takes a request that is for the gateway.
fn sort<C: Callers>(
    gateway: &Gateway<C>,
    parts: &http::request::Parts,
) -> Result<Option<(Place, String, Mount)>, Problem> {
    let host = hygiene::host(parts)?;
    let path = parts.uri.path();
    let cleaned = match clean(path) {
        Ok(cleaned) => cleaned,
        // The API has paths of its own making, such as flag keys with encoded slashes.
        Err(_) if gateway.below(&host, path).is_none() => return Ok(None),
        Err(fault) => return Err(Problem::bad_request("bad_path", fault.to_string())),
    };
    let Some((below, mount)) = gateway.below(&host, &cleaned) else {
        return Ok(None);
    };
    let skip = if cleaned.ends_with(below) { cleaned.len() - below.len() } else { cleaned.len() };
    let changed = match cleaned {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    Ok(Some((Place { changed, skip }, host.into_owned(), mount)))
}
