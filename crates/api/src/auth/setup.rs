//! Making the first administrator: translate in, call, translate out.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use flagbase_core::identity::{Credentials, Identity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Arriving, views::LoginView};
use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(set_up))
}

/// Whether there is no administrator yet.
#[derive(Serialize, ToSchema)]
struct SetupStatus {
    /// True until the first administrator is made.
    needs_setup: bool,
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetupBody {
    /// The one-time token that the server told when it started.
    token: String,
    /// The administrator's address.
    email: String,
    /// His password: 8 to 256 characters, none of the most common passwords.
    password: String,
}

/// Whether the first administrator is still to be made.
#[utoipa::path(
    get, path = "/setup/status", tag = "identity", security(()),
    responses((status = 200, body = SetupStatus), (status = 503, body = ProblemBody))
)]
async fn status(State(identity): State<Arc<Identity>>) -> Reply<Json<SetupStatus>> {
    Ok(Json(SetupStatus { needs_setup: identity.needs_setup().await? }))
}

/// Makes the first administrator and logs him in. Whatever fails leaves the token good.
#[utoipa::path(
    post, path = "/setup", tag = "identity", security(()), request_body = SetupBody,
    responses((status = 201, body = LoginView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody))
)]
async fn set_up(
    State(identity): State<Arc<Identity>>,
    Arriving(origin): Arriving,
    Body(body): Body<SetupBody>,
) -> Reply<(StatusCode, Json<LoginView>)> {
    let credentials = Credentials { email: body.email, password: body.password };
    let login = identity.set_up(&body.token, credentials, &origin).await?;
    Ok((StatusCode::CREATED, Json(login.into())))
}
