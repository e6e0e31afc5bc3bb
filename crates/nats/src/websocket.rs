//! NATS over WebSocket, for browsers: the bytes of the protocol in binary frames.

pub(crate) mod frames;
mod handshake;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Response, StatusCode, request};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use self::frames::Frames;
use crate::{
    Server, Tls,
    client::{Origin, Transport},
    listener,
    shared::Shared,
    tls,
};

/// A listener for clients that speak WebSocket.
#[derive(Clone)]
pub struct WebSocket {
    /// Where it listens; port 0 takes any that is free.
    pub address: SocketAddr,
    /// How it is encrypted, if it is.
    pub tls: Option<Tls>,
    /// The path clients have to ask for; any when not given.
    pub path: Option<String>,
    /// Pages whose scripts may connect, such as `https://app.example.com`. Empty permits all of them. What is no
    /// browser names no page and is always permitted.
    pub allowed_origins: Vec<String>,
    /// Whether only pages from the same host and port may connect.
    pub same_origin: bool,
    /// How long a client may take until it speaks WebSocket.
    pub handshake_timeout: Duration,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: None,
            path: None,
            allowed_origins: Vec::new(),
            same_origin: false,
            handshake_timeout: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("address", &self.address)
            .field("tls", &self.tls)
            .field("path", &self.path)
            .field("allowed_origins", &self.allowed_origins)
            .field("same_origin", &self.same_origin)
            .finish_non_exhaustive()
    }
}

impl WebSocket {
    /// The answer to a request to speak WebSocket: 101, or why not.
    ///
    /// For a server that takes HTTP requests itself; what it gets by the upgrade it gives to
    /// [`Server::serve_websocket`].
    pub fn answer(&self, request: &request::Parts) -> Result<Response<String>, StatusCode> {
        handshake::answer(self, request)
    }
}

impl Server {
    /// Serves a client over a stream on which WebSocket was agreed, until it has gone.
    pub async fn serve_websocket<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        serve(Arc::clone(self.shared()), stream, peer, None).await;
    }
}

/// One connection to the port of WebSocket.
pub(crate) async fn connected(
    shared: Arc<Shared>,
    websocket: &WebSocket,
    stream: TcpStream,
    peer: SocketAddr,
) {
    match &websocket.tls {
        None => agree(shared, websocket, stream, peer, None).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => {
                let agreed = tls::agreed(stream.get_ref().1);
                agree(shared, websocket, stream, peer, agreed).await;
            }
            Err(error) => tracing::warn!(%peer, error = &error as &dyn std::error::Error, "refused"),
        },
    }
}

/// Agrees on WebSocket and goes on with the protocol.
async fn agree<S>(
    shared: Arc<Shared>,
    websocket: &WebSocket,
    stream: S,
    peer: SocketAddr,
    encrypted: Option<(String, String)>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let agreed: Mutex<Option<OnUpgrade>> = Mutex::new(None);
    let service = service_fn(async |mut request: Request<Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        let answer = websocket.answer(&request.into_parts().0);
        if answer.is_ok() {
            *agreed.lock() = Some(upgrade);
        }
        Ok::<_, hyper::Error>(answer.unwrap_or_else(handshake::refusal))
    });
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if !matches!(timeout(websocket.handshake_timeout, exchange).await, Ok(Ok(()))) {
        return;
    }
    let Some(upgrade) = agreed.lock().take() else { return };
    if let Ok(upgraded) = upgrade.await {
        serve(shared, TokioIo::new(upgraded), peer, encrypted).await;
    }
}

async fn serve<S>(shared: Arc<Shared>, stream: S, peer: SocketAddr, tls: Option<(String, String)>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let origin = Origin { peer, transport: Transport::WebSocket, direct: None, tls_subject: None, tls };
    let greeting = shared.greet(&origin);
    listener::serve(shared, Frames::new(stream), origin, greeting).await;
}
