//! The front door: which part of the product answers a request.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use tower::ServiceExt as _;

/// Everything that answers requests.
pub(crate) struct Front {
    pub(crate) api: Router,
    /// The longest the API may take to begin its answer.
    pub(crate) request_timeout: Duration,
}

impl Front {
    /// Answers one request of the client at `peer`.
    pub(crate) async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.api.clone().oneshot(request.map(Body::new));
        match tokio::time::timeout(self.request_timeout, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => too_slow(),
        }
    }
}

fn too_slow() -> Response<Body> {
    let detail = "the server could not answer in time; try again in a moment";
    let problem = serde_json::json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "timeout",
        "detail": detail, "error": detail,
    });
    let headers = [(CONTENT_TYPE, "application/problem+json"), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, problem.to_string()).into_response()
}
