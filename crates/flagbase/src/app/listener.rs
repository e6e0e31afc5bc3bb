//! The listening socket and the connections it accepts, with a limit on everything a client can hold.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flagbase_core::tasks::Tasks;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::front::Front;
use crate::config;
use crate::exit::{Failure, Outcome};

/// Connections open at the same time; more wait until one ends.
const MOST_CONNECTIONS: usize = 10_000;

/// Requests one HTTP/2 connection may have under way.
const MOST_STREAMS: u32 = 250;

/// How long to wait when the machine has no more sockets to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes the address, or says what to do when somebody else has it.
pub(crate) async fn bind(server: &config::Server) -> Outcome<TcpListener> {
    let (host, port) = (server.host.as_str(), server.port);
    TcpListener::bind((host, port)).await.map_err(|error| {
        let failure = Failure::plain(format!("cannot listen on {host}:{port}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => failure.hint(format!(
                "another program uses port {port}; stop it, or choose another port with --port or FLAGBASE_SERVER__PORT"
            )),
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 need a privilege; choose a higher one with --port")
            }
            _ => failure.hint("check `server.host`: it must be an address of this machine"),
        }
    })
}

/// Accepts connections until `tasks` stop, and answers their requests with `front`. Requests under way are finished.
pub(crate) async fn accept(listener: TcpListener, front: Arc<Front>, head_within: Duration, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let builder = Arc::new(builder(head_within));
    let stop = tasks.stopping();
    let next = || async {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        Some((place, listener.accept().await))
    };
    while let Some(Some((place, accepted))) = stop.run_until_cancelled(next()).await {
        match accepted {
            Ok((stream, peer)) => {
                let client = Client { stream, peer, place, head_within };
                tasks.spawn("connection", client.serve(Arc::clone(&builder), Arc::clone(&front), tasks.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for a moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn builder(head_within: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_within);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(64 << 10);
    builder
}

/// One connection.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    head_within: Duration,
}

impl Client {
    async fn serve(self, builder: Arc<auto::Builder<TokioExecutor>>, front: Arc<Front>, tasks: Tasks) {
        let Self { stream, peer, place: _place, head_within } = self;
        // Without it small answers wait for acknowledgements; where it cannot be set they merely do.
        drop(stream.set_nodelay(true));
        let begun = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&begun);
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            let front = Arc::clone(&front);
            async move { Ok::<_, Infallible>(front.answer(request, peer).await) }
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let stop = tasks.stopping();
        // Covers the time before it is known which version of HTTP is spoken, which no other limit does.
        let silence = tokio::time::sleep(head_within);
        tokio::pin!(silence);
        let (mut stopping, mut watching) = (false, true);
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = silence.as_mut(), if watching => {
                    watching = false;
                    if !begun.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            // Clients that go away, or talk nonsense, are everyday life.
            tracing::debug!(%peer, error, "a connection ended early");
        }
    }
}
