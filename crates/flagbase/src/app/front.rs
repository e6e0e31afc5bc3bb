//! The front door: the gateway takes what is for it, the API answers everything else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use flagbase_core::identity::Identity;
use flagbase_gateway::{Gateway, Limits, Server};

use crate::config;

/// What listens.
pub(super) type Front = Server<Identity, Router>;

/// The gateway before the API, with the limits that are configured.
pub(super) fn door(gateway: Arc<Gateway<Identity>>, api: Router, server: &config::Server) -> Front {
    let fallback = api.layer(middleware::from_fn_with_state(
        server.request_timeout,
        within,
    ));
    let limits = Limits {
        header_timeout: server.header_timeout,
        ..Limits::default()
    };
    Server {
        gateway,
        fallback,
        limits,
    }
}

/// Gives up a request that takes too long to be answered. Streams that have begun go on.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| too_slow())
}

fn too_slow() -> Response {
    let detail = "the server could not answer in time; try again in a moment";
    let problem = serde_json::json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "timeout",
        "detail": detail, "error": detail,
    });
    let headers = [
        (CONTENT_TYPE, "application/problem+json"),
        (RETRY_AFTER, "1"),
    ];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        headers,
        problem.to_string(),
    )
        .into_response()
}
