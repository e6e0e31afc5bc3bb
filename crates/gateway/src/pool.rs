//! Connections to upstreams: opened where the address policy allows, kept while they are useful.

mod connect;
mod link;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use flagbase_core::{
    gateway::{AddressPolicy, Scheme, Target, UpstreamUrl},
    tasks::Tasks,
};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{body::RequestBody, server::Owned, workers};

pub(crate) use connect::{ConnectFault, Stream};
pub(crate) use link::{Broken, Link, LinkFault, Piece, left, write_field};

use connect::Connector;

/// Idle connections are looked over this often.
const SWEEP: Duration = Duration::from_secs(5);

/// A connection over which HTTP/2 requests go in parallel.
pub(crate) type Shared = http2::SendRequest<RequestBody>;

/// Connections to all upstreams.
pub(crate) struct Pool {
    connector: Connector,
    endpoints: papaya::HashMap<Origin, Arc<Endpoint>>,
    settings: Settings,
    tasks: Tasks,
}

/// How connections are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Where upstreams may be.
    pub(crate) addresses: AddressPolicy,
    /// How long an unused connection is kept.
    pub(crate) idle_timeout: Duration,
    /// How many unused connections are kept per upstream.
    pub(crate) most_idle: usize,
}

/// What connections are shared by: those of one worker are never used on another, which would wake it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    worker: usize,
    scheme: Scheme,
    authority: Arc<str>,
}

/// The connections to one origin.
#[derive(Debug)]
pub(crate) struct Endpoint {
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Common>,
    /// Held while a shared connection is being opened, so that everybody who needs it waits for the same one.
    opening: tokio::sync::Mutex<()>,
    most_idle: usize,
}

/// The connection over which HTTP/2 requests go.
#[derive(Debug, Default)]
struct Common {
    /// How many were opened so far.
    opened: u64,
    sender: Option<Shared>,
}

impl Common {
    /// The one that somebody opened after the first `opened`.
    fn opened_since(&self, opened: u64) -> Option<Shared> {
        self.open().filter(|_| self.opened > opened)
    }

    fn open(&self) -> Option<Shared> {
        self.sender.as_ref().filter(|sender| !sender.is_closed()).cloned()
    }
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

/// A way to an upstream.
pub(crate) enum Way {
    /// A connection of one's own; whether it was used before.
    Own(Box<Link>, bool),
    /// One shared with others.
    Shared(Shared),
}

impl Pool {
    pub(crate) fn new(settings: Settings, tasks: Tasks) -> Arc<Self> {
        let connector = Connector::new(settings.addresses);
        Arc::new(Self { connector, endpoints: papaya::HashMap::new(), settings, tasks })
    }

    /// A way to `target` that is open already.
    pub(crate) fn waiting(&self, target: &Target) -> Option<Way> {
        let endpoint = self.endpoint(target);
        if target.url.scheme.is_http2() {
            return endpoint.shared.lock().open().map(Way::Shared);
        }
        endpoint.take(self.settings.idle_timeout).map(|link| Way::Own(link, true))
    }

    /// A new way to `target`, whatever is open. HTTP/2 requests go over it from here on.
    pub(crate) async fn fresh(&self, target: &Target, patience: Duration) -> Result<Way, ConnectFault> {
        let endpoint = self.endpoint(target);
        if target.url.scheme.is_http2() {
            return self.shared(&endpoint, &target.url, patience).await.map(Way::Shared);
        }
        self.open(&endpoint, &target.url, patience).await.map(|link| Way::Own(link, false))
    }

    /// A connection that can be upgraded, driven by a task of its own.
    pub(crate) async fn upgradable(
        &self,
        target: &Target,
        patience: Duration,
    ) -> Result<http1::SendRequest<RequestBody>, ConnectFault> {
        let stream = self.connector.open(&target.url, patience).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(ConnectFault::Handshake)?;
        self.tasks.spawn("gateway-upgrade", async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    /// Forgets connections that were closed or not used for long; runs until shutdown.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let stopping = self.tasks.stopping();
        while stopping.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
            let endpoints = self.endpoints.pin();
            for (origin, endpoint) in &endpoints {
                // One reference here, one in the map: nobody else is about to use it.
                if endpoint.sweep(self.settings.idle_timeout) && Arc::strong_count(endpoint) == 1 {
                    endpoints.remove(origin);
                }
            }
        }
        for endpoint in self.endpoints.pin().values() {
            endpoint.idle.lock().clear();
            endpoint.shared.lock().sender.take();
        }
    }

    fn endpoint(&self, target: &Target) -> Arc<Endpoint> {
        let worker = workers::current();
        let origin = Origin { worker, scheme: target.url.scheme, authority: Arc::clone(&target.origin) };
        let endpoints = self.endpoints.pin();
        if let Some(endpoint) = endpoints.get(&origin) {
            return Arc::clone(endpoint);
        }
        let most_idle = self.settings.most_idle;
        let (idle, shared) = (Mutex::default(), Mutex::default());
        let fresh = Endpoint { idle, shared, opening: tokio::sync::Mutex::default(), most_idle };
        Arc::clone(endpoints.get_or_insert(origin, Arc::new(fresh)))
    }

    async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
        url: &UpstreamUrl,
        patience: Duration,
    ) -> Result<Box<Link>, ConnectFault> {
        let stream = self.connector.open(url, patience).await?;
        Ok(Box::new(Link::new(stream, Arc::downgrade(endpoint))))
    }

    async fn shared(
        &self,
        endpoint: &Arc<Endpoint>,
        url: &UpstreamUrl,
        patience: Duration,
    ) -> Result<Shared, ConnectFault> {
        let opened = endpoint.shared.lock().opened;
        let _turn = timeout(patience, endpoint.opening.lock()).await.map_err(|_| ConnectFault::TimedOut)?;
        if let Some(sender) = endpoint.shared.lock().opened_since(opened) {
            return Ok(sender);
        }
        let stream = self.connector.open(url, patience).await?;
        let (sender, connection) = http2::Builder::new(Owned(self.tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .adaptive_window(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ConnectFault::Handshake)?;
        self.tasks.spawn("gateway-http2", async move {
            let _ = connection.await;
        });
        let mut common = endpoint.shared.lock();
        common.opened += 1;
        common.sender = Some(sender.clone());
        Ok(sender)
    }
}

impl Endpoint {
    /// The connection used last that is still open.
    fn take(&self, idle_timeout: Duration) -> Option<Box<Link>> {
        loop {
            let Idle { mut link, since } = self.idle.lock().pop()?;
            if link.is_open() && since.elapsed() < idle_timeout {
                return Some(link);
            }
        }
    }

    /// Keeps a connection for the next request.
    fn put(&self, link: Box<Link>) {
        let since = Instant::now();
        let mut idle = self.idle.lock();
        if idle.len() < self.most_idle {
            idle.push(Idle { link, since });
        }
    }

    /// Forgets what is closed or old; returns whether nothing is left.
    fn sweep(&self, idle_timeout: Duration) -> bool {
        let mut shared = self.shared.lock();
        shared.sender = shared.open();
        let mut idle = self.idle.lock();
        idle.retain_mut(|idle| idle.since.elapsed() < idle_timeout && idle.link.is_open());
        idle.is_empty() && shared.sender.is_none()
    }
}

/// Polls `future` once, waking nobody. The budget that tokio gives each task is left aside: with nobody to wake, a
/// future that waits for a new one would wait for ever.
fn poll_quietly<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut future = tokio::task::unconstrained(future);
    std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
}
