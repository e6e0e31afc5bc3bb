//! HTTP/1.1 over a Unix socket: how Firecracker's API and the agent in a guest are spoken to.

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use flagbase_core::tasks::Tasks;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// The longest answer to `CONNECT`: `OK`, a port, a line feed.
const LONGEST_GREETING: usize = 32;

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// There is nobody at the socket.
    #[error("cannot connect to `{0}`: {1}")]
    Connect(String, #[source] io::Error),
    /// Nobody listens on the port inside the guest.
    #[error("nothing in the guest listens on vsock port {0}")]
    NoListener(u32),
    /// The connection broke, or what came is no HTTP.
    #[error("the connection broke off: {0}")]
    Broken(#[source] hyper::Error),
    /// It takes too long.
    #[error("no answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// The body of the answer is larger than so many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// An answer with all of its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// One connection, for one exchange after the other.
#[derive(Debug)]
pub(super) struct Wire(SendRequest<Full<Bytes>>);

/// An exchange that failed.
pub(super) struct Failed {
    pub(super) error: WireError,
    /// The request, when nothing of it was sent: it may be sent again.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

impl Wire {
    /// Connects to the socket at `path`.
    pub(super) async fn connect(path: &Path, tasks: &Tasks) -> Result<Self, WireError> {
        Self::over(open(path).await?, tasks).await
    }

    /// Connects to `port` of the guest whose vsock device is the socket at `path`.
    pub(super) async fn connect_guest(path: &Path, port: u32, tasks: &Tasks) -> Result<Self, WireError> {
        let mut stream = open(path).await?;
        let lost = |error| WireError::Connect(path.display().to_string(), error);
        stream.write_all(format!("CONNECT {port}\n").as_bytes()).await.map_err(lost)?;
        if !greeted(&mut stream).await {
            return Err(WireError::NoListener(port));
        }
        Self::over(stream, tasks).await
    }

    async fn over(stream: UnixStream, tasks: &Tasks) -> Result<Self, WireError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(WireError::Broken)?;
        tasks.spawn("connection to a microVM", async move {
            // An error is also the error of the exchange under way, and told there.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Whether it can take another request.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_ready() && !self.0.is_closed()
    }

    /// Sends `request` and reads all of the answer, when its body is at most `most` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Answer, WireError> {
        self.try_exchange(request, most).await.map_err(|failed| failed.error)
    }

    /// The same, and gives the request back when nothing of it was sent.
    pub(super) async fn try_exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Answer, Box<Failed>> {
        let answer = self.0.try_send_request(request).await.map_err(|mut failed| {
            let unsent = failed.take_message();
            Box::new(Failed { error: WireError::Broken(failed.into_error()), unsent })
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            let error = match error.downcast::<hyper::Error>() {
                Ok(error) => WireError::Broken(*error),
                Err(error) => {
                    debug_assert!(error.is::<LengthLimitError>(), "the two kinds there are");
                    WireError::TooLarge(most)
                }
            };
            Box::new(Failed { error, unsent: None })
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

async fn open(path: &Path) -> Result<UnixStream, WireError> {
    UnixStream::connect(path).await.map_err(|error| WireError::Connect(path.display().to_string(), error))
}

/// Whether the vsock device says that somebody listens: `OK <port>\n`. It closes the connection when nobody does.
async fn greeted(stream: &mut UnixStream) -> bool {
    let mut line = Vec::new();
    // Byte by byte, because whatever follows the line belongs to the guest.
    while let Ok(byte) = stream.read_u8().await {
        if byte == b'\n' {
            return line.starts_with(b"OK ");
        }
        line.push(byte);
        if line.len() > LONGEST_GREETING {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::net::UnixListener;

    use super::*;

    /// A socket at which one connection is told `says`, whatever it sends.
    fn peer(says: &'static [u8]) -> (TempDir, std::path::PathBuf, Tasks) {
        let home = TempDir::new().unwrap();
        let path = home.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let tasks = Tasks::new();
        tasks.spawn("peer", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 512];
            let _ = stream.read(&mut seen).await;
            let _ = stream.write_all(says).await;
        });
        (home, path, tasks)
    }

    fn get() -> Request<Full<Bytes>> {
        Request::get("/").header("host", "guest").body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_read_whole() {
        let (_home, path, tasks) = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let answer = Wire::connect(&path, &tasks).await.unwrap().exchange(get(), 5).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"hello"[..]));
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_cut_off() {
        let (_home, path, tasks) = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let error = Wire::connect(&path, &tasks).await.unwrap().exchange(get(), 4).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is larger than 4 bytes");
    }

    #[tokio::test]
    async fn nonsense_breaks_the_connection() {
        let (_home, path, tasks) = peer(b"\0\0\0\0\r\n\r\n");
        let error = Wire::connect(&path, &tasks).await.unwrap().exchange(get(), 4).await.unwrap_err();
        assert!(matches!(error, WireError::Broken(_)), "{error}");
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_named() {
        let (_home, path, tasks) = peer(b"");
        let error = Wire::connect_guest(&path, 1024, &tasks).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing in the guest listens on vsock port 1024");
        let (_home, path, tasks) = peer(&[b'x'; 64]);
        assert!(Wire::connect_guest(&path, 7, &tasks).await.is_err(), "a greeting has an end");
        let (_home, path, tasks) = peer(b"OK 1073741824\n");
        assert!(Wire::connect_guest(&path, 7, &tasks).await.is_ok());
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_named() {
        let error = Wire::connect(Path::new("/nowhere/s"), &Tasks::new()).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot connect to `/nowhere/s`"), "{error}");
    }
}
