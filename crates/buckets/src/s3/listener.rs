//! The listener: accepts connections, holds them to limits, and lets them end in peace.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use flagbase_core::{blobs::Direct, tasks::Tasks};
use flagbase_linger::lingering;
use flagbase_sendfile::{Sending, Windows};
use http::{Request, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{S3Limits, S3Parts, front::Front};
use crate::s3_parts::NotBuiltIn;

/// Bytes the head of a request may have: S3 lets metadata have 2 KiB, keys 1 KiB, each three times as long when encoded.
const LARGEST_HEAD: usize = 64 * 1024;
/// Requests one HTTP/2 connection may have open.
const MOST_STREAMS: u32 = 100;
/// How long sent bytes may stay unread by a client before its connection is given up.
const UNREAD: Duration = Duration::from_mins(1);
/// A window in which a megabyte is under way on one HTTP/2 stream.
const WINDOW: u32 = 1024 * 1024;

/// Serves S3.
pub struct S3Server {
    front: Arc<Front>,
    limits: S3Limits,
    tasks: Tasks,
}

impl S3Server {
    /// A server of these parts, whose connections are tasks of `tasks`.
    ///
    /// # Errors
    /// Never, where it is built in.
    pub fn new(parts: S3Parts, tasks: Tasks) -> Result<Self, NotBuiltIn> {
        let limits = parts.options.limits;
        Ok(Self { front: Arc::new(Front::new(parts)), limits, tasks })
    }

    /// Serves `listener` until `stop`; then accepts nothing more, lets requests under way end within `drain`, and cuts
    /// off the rest. Returns whether all ended by themselves.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken, drain: Duration) -> bool {
        let graceful = GracefulShutdown::new();
        let cut = CancellationToken::new();
        let room = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let accepted = stop.run_until_cancelled(async {
                // The semaphore is never closed.
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                (permit, listener.accept().await)
            });
            let Some((permit, accepted)) = accepted.await else { break };
            match accepted {
                Ok((stream, peer)) => {
                    prepare(&stream);
                    self.serve((stream, peer), permit, &graceful, cut.clone());
                }
                Err(error) => pause_after(&error).await,
            }
        }
        drop(listener);
        let ended = tokio::time::timeout(drain, graceful.shutdown()).await.is_ok();
        if !ended {
            tracing::warn!("cutting off S3 requests that did not end in time");
        }
        cut.cancel();
        ended
    }

    fn serve<P: Send + 'static>(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        permit: P,
        graceful: &GracefulShutdown,
        cut: CancellationToken,
    ) {
        let front = Arc::clone(&self.front);
        let windows = Arc::<Windows>::default();
        let sending = Sending::new(stream, Arc::clone(&windows));
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = lingering(request);
            let front = Arc::clone(&front);
            if request.version() <= Version::HTTP_11 {
                request.extensions_mut().insert(Direct(windows.clone()));
            }
            async move { Ok::<_, Infallible>(front.answer(peer, request).await) }
        });
        let builder = builder(&self.limits, self.tasks.clone());
        let connection = builder.serve_connection(TokioIo::new(sending), service).into_owned();
        let connection = graceful.watch(connection);
        self.tasks.spawn("s3.connection", async move {
            if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                tracing::debug!(error, "an S3 connection ended with an error");
            }
            drop(permit);
        });
    }
}

fn builder(limits: &S3Limits, tasks: Tasks) -> auto::Builder<Owned> {
    let mut builder = auto::Builder::new(Owned(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(LARGEST_HEAD.max(WINDOW as usize / 4));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(WINDOW)
        .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Starts hyper's tasks as ours, so that they end with us.
#[derive(Debug, Clone)]
struct Owned(Tasks);

impl<T> hyper::rt::Executor<T> for Owned
where
    T: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: T) {
        self.0.spawn("s3.http2", async move {
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
        tracing::error!(%error, "cannot accept S3 connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
