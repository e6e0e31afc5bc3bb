//! Takes connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::{
    client::{Client, Origin, Transport},
    connection::Connection,
    info::Greeting,
    monitor,
    reason::Reason,
    shared::Shared,
    tls, websocket,
};

/// How long to wait when the system has no room for another connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// A socket that others may write to as well.
pub(crate) struct Plain {
    read: OwnedReadHalf,
    write: Arc<OwnedWriteHalf>,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The protocol, plain or encrypted.
    Clients,
    /// The protocol in WebSocket.
    WebSocket,
    /// HTTP, for people who look after the server.
    Monitor,
}

/// Takes connections until the server ends or drains.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener, door: Door) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Wrapped by the scheduler of the thread that serves it.
                let (Ok(stream), shared_too) = (stream.into_std(), Arc::clone(&shared)) else { continue };
                shared.workers.spawn(async move {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        connected(shared_too, stream, peer, door).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// One TCP connection.
async fn connected(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, door: Door) {
    let _ = stream.set_nodelay(true);
    let options = Arc::clone(&shared);
    let options = &options.options;
    match (door, &options.tls, &options.websocket) {
        (Door::Clients, None, _) => plain(shared, stream, peer).await,
        // Kept apart, because a task has room for the largest thing it may become.
        (Door::Clients, Some(tls), _) => Box::pin(tls::connected(shared, tls, stream, peer)).await,
        (Door::WebSocket, _, Some(websocket)) => {
            Box::pin(websocket::connected(shared, websocket, stream, peer)).await;
        }
        (Door::WebSocket, _, None) => {}
        (Door::Monitor, ..) => Box::pin(monitor::connected(shared, stream)).await,
    }
}

/// One connection without encryption. TLS goes between the greeting and [`serve`]: see there.
async fn plain(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let stream = Plain::new(stream);
    let direct = Some(Arc::clone(&stream.write));
    let origin = Origin { peer, transport: Transport::Tcp, direct, tls_subject: None, tls: None };
    let greeting = shared.greet(&origin);
    serve(shared, stream, origin, greeting).await;
}

/// Runs the protocol over any stream, to the end.
///
/// Over TCP and TLS with upgrade, INFO is sent before the upgrade: write `greeting.line` to the socket, empty it, wrap the
/// socket, and call this with `origin.direct` set to `None`, so that nobody writes past the encryption. When the handshake
/// comes first, and over WebSocket, leave the line in the greeting.
pub(crate) async fn serve<S>(shared: Arc<Shared>, stream: S, origin: Origin, greeting: Greeting)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = Arc::new(Client::new(greeting.id, origin, &shared.options.limits));
    let mut line = greeting.line;
    if !line.is_empty() {
        client.out.send(&mut line);
    }
    if !shared.join(&client) {
        client.out.close(Reason::MaxConnections);
    }
    tracing::debug!(client = client.id, peer = %client.origin.peer, "connected");
    let reason = Connection::new(Arc::clone(&shared), Arc::clone(&client), stream, greeting.nonce).await;
    shared.leave(&client, reason);
    tracing::debug!(client = client.id, reason = reason.name(), "disconnected");
}

impl Plain {
    fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self { read, write: Arc::new(write) }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream: &TcpStream = self.write.as_ref().as_ref();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream: &TcpStream = self.write.as_ref().as_ref();
        Poll::Ready(socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write))
    }
}
