//! The front door: the gateway takes what is for it, the API answers everything else.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use flagbase_core::identity::Identity;
use flagbase_gateway::{Gateway, Limits, Server, Workers};
use http_body::{Frame, SizeHint};

use crate::config;
use crate::exit::{Failure, Outcome};

/// How long a request may take that builds code or runs it. Each has limits of its own, such as
/// `functions.compile_timeout`; this one is for what they do not see.
const LABORIOUS: Duration = Duration::from_mins(15);

/// What listens.
pub(super) type Front = Server<Identity, Router>;

/// The gateway before the API, with the limits that are configured.
///
/// # Errors
/// The system gives no threads.
pub(super) fn door(gateway: Arc<Gateway<Identity>>, api: Router, server: &config::Server) -> Outcome<Front> {
    let fallback = api.layer(middleware::from_fn_with_state(server.request_timeout, within));
    let limits = Limits { header_timeout: server.header_timeout, ..Limits::default() };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = Workers::start(processors).map_err(|error| {
        Failure::plain(format!("cannot start the threads that serve connections: {error}"))
    })?;
    Ok(Server { gateway, fallback, limits, workers })
}

/// Gives up a request that takes too long to be answered, and says whose fault it was. Streams that have begun go on.
async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    if flagbase_api::is_transfer(request.method(), request.uri().path()) {
        // As long as bytes come; pauses are limited where they are read.
        return next.run(request).await;
    }
    let laborious = flagbase_api::is_laborious(request.method(), request.uri().path());
    let limit = if laborious { limit.max(LABORIOUS) } else { limit };
    if request.body().is_end_stream() {
        let answer = tokio::time::timeout(limit, next.run(request)).await;
        return answer.unwrap_or_else(|_| too_slow());
    }
    let arrived = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| Body::new(Watched { body, arrived: Arc::clone(&arrived) }));
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| if arrived.load(Ordering::Relaxed) { too_slow() } else { dawdling() })
}

/// A request body that tells when all of it has been read.
struct Watched {
    body: Body,
    arrived: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || this.body.is_end_stream() {
            this.arrived.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn too_slow() -> Response {
    let detail = "the server could not answer in time; try again in a moment";
    problem(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
}

fn dawdling() -> Response {
    let detail = "the body did not arrive in time; send it faster, or less at once";
    problem(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let problem = serde_json::json!({
        "type": format!("https://flagbase.dev/problems/{code}"), "title": status.canonical_reason(),
        "status": status.as_u16(), "code": code, "detail": detail, "error": detail,
    });
    let headers = [(CONTENT_TYPE, "application/problem+json"), (RETRY_AFTER, "1")];
    (status, headers, problem.to_string()).into_response()
}
