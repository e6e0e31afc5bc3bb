//! Whether this server is alive and ready.

use std::sync::Arc;

use crate::router::Handles;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use flagbase_core::{feed::Feed, tasks::Tasks};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(live)).routes(routes!(ready))
}

/// A server's state in a word.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`, or what it is not.
    status: &'static str,
}

/// Whether this server can do its work.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ok`, `stopping` or `store_unavailable`.
    status: &'static str,
    /// The last change this server has applied.
    revision: u64,
    /// The last change in the store; absent when the store does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_revision: Option<u64>,
}

/// The process answers.
#[utoipa::path(get, path = "/health", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The process answers; for liveness probes.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn live() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The store answers and the server is not stopping; for readiness probes.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
async fn ready(State(feed): State<Arc<Feed>>, State(tasks): State<Tasks>) -> Response {
    let revision = feed.snapshots().load().revision;
    let head = feed.catalog().head().await;
    let status = match &head {
        _ if tasks.stopping().is_cancelled() => "stopping",
        Err(_) => "store_unavailable",
        Ok(_) => "ok",
    };
    let body = Json(Readiness { status, revision, store_revision: head.ok() });
    if status == "ok" {
        return body.into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response()
}
