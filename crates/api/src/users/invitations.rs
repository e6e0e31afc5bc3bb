//! Invitations: translate in, call, translate out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use flagbase_core::identity::{Identity, InvitationRequest, OpenInvitation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    body::Body,
    problem::{ProblemBody, Reply},
    request::Known,
    router::Handles,
};

pub(super) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new().routes(routes!(list, invite)).routes(routes!(revoke))
}

/// A one-time right to make an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationBody {
    /// The role it grants.
    role: String,
    /// The only address that may use it; anybody's when not given.
    #[serde(default)]
    email: Option<String>,
    /// How long it is good for, such as `72h` or `7d`; a week when not given.
    #[serde(default)]
    expires_in: Option<String>,
}

/// An invitation that waits to be used.
#[derive(Serialize, ToSchema)]
struct OpenInvitationView {
    /// 16 hex digits.
    id: String,
    /// The role it grants.
    role: String,
    /// The only address that may use it.
    email: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<OpenInvitation> for OpenInvitationView {
    fn from(open: OpenInvitation) -> Self {
        Self {
            id: open.id,
            role: open.role.to_string(),
            email: open.email.map(|email| email.to_string()),
            expires_at: open.expires_at,
        }
    }
}

/// An invitation. The token is told only here.
#[derive(Serialize, ToSchema)]
struct InvitationView {
    /// 16 hex digits, to take it back by.
    id: String,
    /// To be sent as `invitation` when registering.
    token: String,
    /// The role it grants.
    role: String,
    /// The only address that may use it.
    email: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The invitations nobody has used yet, the first to end first.
#[utoipa::path(
    get, path = "/api/v1/invitations", tag = "users",
    responses((status = 200, body = Vec<OpenInvitationView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
) -> Reply<Json<Vec<OpenInvitationView>>> {
    let open = identity.open_invitations(&caller).await?;
    Ok(Json(open.into_iter().map(OpenInvitationView::from).collect()))
}

/// Takes an invitation back; its token is worth nothing from now on.
#[utoipa::path(
    delete, path = "/api/v1/invitations/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn revoke(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    identity.revoke_invitation(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Invites somebody. Nobody invites to a role that permits more than his own.
#[utoipa::path(
    post, path = "/api/v1/invitations", tag = "users", request_body = InvitationBody,
    responses((status = 201, body = InvitationView), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn invite(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Body(body): Body<InvitationBody>,
) -> Reply<(StatusCode, Json<InvitationView>)> {
    let ask = InvitationRequest { role: body.role, email: body.email, expires_in: body.expires_in };
    let invited = identity.invite(&caller, ask).await?;
    let view = InvitationView {
        id: invited.id,
        token: invited.token,
        role: invited.role.to_string(),
        email: invited.email.map(|email| email.to_string()),
        expires_at: invited.expires_at,
    };
    Ok((StatusCode::CREATED, Json(view)))
}
