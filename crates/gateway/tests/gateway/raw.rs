//! Backends that write their answers byte by byte, as no library would.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

/// A small answer after which the connection can be used again.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A backend that hands each connection to `serve`, with its number.
#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
pub(crate) async fn raw<H, F>(serve: H) -> (String, Arc<AtomicUsize>)
where
    H: Fn(TcpStream, usize) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, counted.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (url, count)
}

/// Reads to the end of a head; false when the connection ends before.
pub(crate) async fn head(stream: &mut TcpStream) -> bool {
    read_head(stream).await.is_some()
}

/// A whole head, byte for byte; `None` when the connection ends before.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => seen.extend_from_slice(&byte),
            _ => return None,
        }
    }
    String::from_utf8(seen).ok()
}
