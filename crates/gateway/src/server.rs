//! The listener: accepts connections, serves them, and lets them end in peace.

mod connection;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::tasks::Tasks;
use flagbase_linger::lingering;
use flagbase_sendfile::Sending;
use http_body::Body;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    callers::Callers,
    front::{self, Client, Fallback},
    gateway::Gateway,
    inspect::{Inspected, Patience},
    workers::Workers,
};

use connection::{End, Lifetime};

/// Bytes the head of a request may have; more are answered with 431.
const LARGEST_HEAD: usize = 64 * 1024;
/// Requests one HTTP/2 connection may have open.
const MOST_STREAMS: u32 = 200;
/// How long sent bytes may stay unread by a client before its connection is given up.
const UNREAD: Duration = Duration::from_mins(1);

/// What clients are held to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest a request's head may take.
    pub header_timeout: Duration,
    /// The longest a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// Connections at the same time; more wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            connections: 16_384,
        }
    }
}

/// Serves the gateway, and a fallback for everything that is not for the gateway.
pub struct Server<C, F> {
    /// The gateway.
    pub gateway: Arc<Gateway<C>>,
    /// What answers all other requests; such as the API.
    pub fallback: F,
    /// What clients are held to.
    pub limits: Limits,
    /// Who serves the connections.
    pub workers: Workers,
}

impl<C: Callers, F> Server<C, F> {
    /// Serves `listener` until `stop`; then accepts nothing more, lets requests under way end within `drain`, and cuts
    /// off the rest. Returns whether all ended by themselves.
    pub async fn run<B>(self, listener: TcpListener, stop: CancellationToken, drain: Duration) -> bool
    where
        F: Fallback<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let end = End::default();
        let connections = TaskTracker::new();
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let server = Arc::new(self);
        loop {
            let accepted = stop.run_until_cancelled(async {
                // The semaphore is never closed.
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                (permit, listener.accept().await)
            });
            let Some((permit, accepted)) = accepted.await else {
                break;
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            prepare(&stream);
            let client = Arc::new(Client::new(peer));
            let lifetime = end.lifetime();
            let token = connections.token();
            let serving = Arc::clone(&server);
            let connection = async move {
                // The stream moves to the scheduler that serves it.
                match stream.into_std().and_then(TcpStream::from_std) {
                    Ok(stream) => serving.serve(stream, client, lifetime).await,
                    Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                }
                drop((permit, token));
            };
            match server.workers.next() {
                Some(worker) => server.gateway.tasks.spawn_on(worker, "connection", connection),
                None => server.gateway.tasks.spawn("connection", connection),
            }
        }
        drop(listener);
        connections.close();
        end.drain();
        let all_ended = tokio::time::timeout(drain, connections.wait()).await.is_ok();
        if !all_ended {
            tracing::warn!(connections = connections.len(), "cutting off requests that did not end in time");
        }
        end.cut();
        connections.wait().await;
        all_ended
    }

    async fn serve<B>(self: Arc<Self>, stream: TcpStream, client: Arc<Client>, lifetime: Lifetime)
    where
        F: Fallback<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let patience = Patience { head: self.limits.header_timeout, idle: self.limits.idle_timeout };
        let stream = Sending::new(stream, Arc::clone(&client.windows));
        let io = Inspected::new(stream, Arc::clone(&client.traffic), patience);
        let builder = builder(self.gateway.tasks.clone());
        let service = hyper::service::service_fn(move |request| {
            let request = lingering(request);
            let (gateway, client) = (Arc::clone(&self.gateway), Arc::clone(&client));
            let fallback = self.fallback.clone();
            async move {
                Ok::<_, std::convert::Infallible>(front::answer(gateway, client, fallback, request).await)
            }
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        if let Err(error) = lifetime.watch(connection).await {
            tracing::debug!(%error, "connection ended with an error");
        }
    }
}

fn builder(tasks: Tasks) -> auto::Builder<Owned> {
    let mut builder = auto::Builder::new(Owned(tasks));
    builder
        .http1()
        // Slow heads are timed by the stream itself, which costs no timer per request.
        // More than 100 headers, hyper's own limit, are answered with 431; setting it would cost an allocation.
        .header_read_timeout(None)
        .max_buf_size(LARGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Starts hyper's tasks as ours, so that they end with us.
#[derive(Debug, Clone)]
pub(crate) struct Owned(pub(crate) Tasks);

impl<T> hyper::rt::Executor<T> for Owned
where
    T: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: T) {
        self.0.spawn("http2", async move {
            future.await;
        });
    }
}

fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD));
}

/// When the process is out of files, accepting again at once would only burn time.
async fn pause_after(error: &io::Error) {
    let client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if !client {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
