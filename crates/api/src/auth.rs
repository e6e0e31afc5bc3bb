//! Coming and going: translate in, call, translate out.

mod setup;
mod views;

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, header, request::Parts},
};
use flagbase_core::identity::{Credentials, Identity, Origin, Register};
use flagbase_core::metrics::Recorder;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::views::{LoginView, MeView, RegisteredView};
use crate::{
    body::Body,
    metrics::not_let_in,
    problem::{Problem, ProblemBody, Reply},
    request::{Client, Known},
    router::Handles,
};

pub(crate) use views::SessionView;

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(me))
        .routes(routes!(logout))
        .routes(routes!(password))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .merge(setup::router())
}

/// Where a request comes from, for limits and for the list of sessions.
pub(crate) struct Arriving(pub(crate) Origin);

impl FromRequestParts<Handles> for Arriving {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, handles: &Handles) -> Result<Self, Problem> {
        let Client(from) = Client::from_request_parts(parts, handles).await?;
        let client =
            parts.headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let address = from.map(|from| from.address);
        Ok(Self(Origin { address, client: client.unwrap_or_default().into_owned() }))
    }
}

/// Somebody who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterBody {
    /// An address such as `alice@example.com`; its case does not matter.
    email: String,
    /// 8 to 256 characters, none of the most common passwords.
    password: String,
    /// One of the roles people may choose for themselves; the default one when not given.
    #[serde(default)]
    role: Option<String>,
    /// The token of an invitation, where registration needs one.
    #[serde(default)]
    invitation: Option<String>,
}

/// An address and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    /// The address.
    email: String,
    /// The password.
    password: String,
}

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    /// The present password.
    current: String,
    /// The new one: 8 to 256 characters, none of the most common passwords.
    new: String,
}

/// Makes an account for whoever asks, as far as registration is open.
///
/// Nobody gives himself more than the configuration lets people choose: for any other role the answer is 403
/// `role_not_assignable`, and no account is made.
#[utoipa::path(
    post, path = "/auth/register", tag = "identity", security(()), request_body = RegisterBody,
    responses((status = 201, body = RegisteredView), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody))
)]
async fn register(
    State(identity): State<Arc<Identity>>,
    Arriving(origin): Arriving,
    Body(body): Body<RegisterBody>,
) -> Reply<(StatusCode, Json<RegisteredView>)> {
    let credentials = Credentials { email: body.email, password: body.password };
    let ask = Register { credentials, role: body.role, invitation: body.invitation };
    let user = identity.register(ask, &origin).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Begins a session: the answer holds the token that everything else needs.
#[utoipa::path(
    post, path = "/auth/login", tag = "identity", security(()), request_body = LoginBody,
    responses((status = 200, body = LoginView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody))
)]
async fn login(
    State(identity): State<Arc<Identity>>,
    State(recorder): State<Arc<Recorder>>,
    Arriving(origin): Arriving,
    Body(body): Body<LoginBody>,
) -> Reply<Json<LoginView>> {
    let credentials = Credentials { email: body.email, password: body.password };
    let login = identity.login(credentials, &origin).await;
    let login = login.inspect_err(|refusal| not_let_in(&recorder, refusal))?;
    Ok(Json(login.into()))
}

/// Who the caller is and what he may do, by environment.
#[utoipa::path(
    get, path = "/auth/me", tag = "identity",
    responses((status = 200, body = MeView), (status = 401, body = ProblemBody))
)]
async fn me(State(identity): State<Arc<Identity>>, Known(caller): Known) -> Json<MeView> {
    let permissions = identity.permissions(&caller);
    Json(MeView::of(&caller, permissions))
}

/// Ends the session. Its token admits nobody from now on.
#[utoipa::path(
    post, path = "/auth/logout", tag = "identity",
    responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn logout(State(identity): State<Arc<Identity>>, Known(caller): Known) -> Reply<StatusCode> {
    identity.logout(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password and ends one's other sessions.
#[utoipa::path(
    post, path = "/auth/password", tag = "identity", request_body = PasswordBody,
    responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 422, body = ProblemBody), (status = 429, body = ProblemBody))
)]
async fn password(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Body(body): Body<PasswordBody>,
) -> Reply<StatusCode> {
    identity.change_password(&caller, body.current, body.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's own sessions, newest first.
#[utoipa::path(
    get, path = "/auth/sessions", tag = "identity",
    responses((status = 200, body = Vec<SessionView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn sessions(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
) -> Reply<Json<Vec<SessionView>>> {
    let sessions = identity.sessions(&caller).await?;
    Ok(Json(sessions.into_iter().map(SessionView::from).collect()))
}

/// Ends one of one's own sessions.
#[utoipa::path(
    delete, path = "/auth/sessions/{id}", tag = "identity", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn end_session(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    identity.end_session(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
