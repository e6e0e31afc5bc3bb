//! A small HTTP backend that remembers what it was asked.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::tasks::Tasks;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Received {
    /// The value of a header, `None` when there is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Debug)]
struct State {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
    received: Vec<Received>,
    connections: usize,
}

/// Answers every request alike (200 and `ok`, until told otherwise) and records it. HTTP/1.1 and HTTP/2
/// without TLS. Ends when dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: Tasks,
}

impl Backend {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::from_static(b"ok"),
                delay: Duration::ZERO,
                received: Vec::new(),
                connections: 0,
            })),
            tasks: Tasks::new(),
        };
        let (state, tasks) = (Arc::clone(&backend.state), backend.tasks.clone());
        backend.tasks.spawn("backend", async move {
            let stop = tasks.stopping();
            while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let (state, stop) = (Arc::clone(&state), stop.clone());
                tasks.spawn("backend-connection", async move {
                    stop.run_until_cancelled(serve(stream, state)).await;
                });
            }
        });
        backend
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with this status and body from here on.
    pub fn answer(&self, status: u16, body: impl Into<Bytes>) {
        let mut state = self.state.lock();
        state.status = StatusCode::from_u16(status).unwrap();
        state.body = body.into();
    }

    /// Adds a header to its answers.
    pub fn add_header(&self, name: &'static str, value: &str) {
        let value = HeaderValue::from_str(value).unwrap();
        self.state.lock().headers.append(HeaderName::from_static(name), value);
    }

    /// Waits so long before it answers.
    pub fn delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// What was received since the last call, oldest first.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().received)
    }

    /// What was received, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.state.lock().connections
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    state.lock().connections += 1;
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let connection = auto::Builder::new(TokioExecutor::new());
    // A client that goes away in the middle is no concern of the backend.
    drop(connection.serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let delay = {
        let mut state = state.lock();
        state.received.push(Received {
            method: head.method,
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            version: head.version,
            headers: head.headers,
            body,
        });
        state.delay
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let state = state.lock();
    let mut response = Response::new(Full::new(state.body.clone()));
    *response.status_mut() = state.status;
    *response.headers_mut() = state.headers.clone();
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_backend_answers_as_told_and_remembers_what_it_was_asked() {
        let backend = Backend::start().await;
        let client = reqwest::Client::new();
        let url = format!("{}/a?b=1", backend.url());
        let first = client.post(&url).header("x-one", "1").body("hello").send().await.unwrap();
        assert_eq!(first.text().await.unwrap(), "ok");

        backend.answer(503, "later");
        backend.add_header("retry-after", "7");
        let second = client.get(&url).send().await.unwrap();
        assert_eq!(
            (second.status().as_u16(), second.headers()["retry-after"].as_bytes()),
            (503, b"7".as_slice())
        );

        let received = backend.take();
        assert_eq!(received.len(), 2);
        assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/a?b=1"));
        assert_eq!((received[0].header("x-one"), &*received[0].body), (Some("1"), b"hello".as_slice()));
        assert_eq!(received[1].header("x-one"), None);
        assert!(backend.received().is_empty());
        assert_eq!(backend.connections(), 1, "the client kept its connection");
    }

    #[tokio::test]
    async fn a_dropped_backend_refuses_connections() {
        let backend = Backend::start().await;
        let address = backend.address();
        drop(backend);
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        assert!(TcpStream::connect(address).await.is_err());
    }
}
