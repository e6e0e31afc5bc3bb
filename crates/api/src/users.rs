//! Users and invitations, for administrators: translate in, call, translate out.

mod invitations;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use flagbase_core::{
    accounts::{Grant, UserPage},
    identity::{Credentials, Identity, NewUser, Profile, UserPatch},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::SessionView,
    body::Body,
    problem::{ProblemBody, Reply},
    request::{Editing, Known, Paging, Tagged, Why},
    router::Handles,
};

pub(crate) fn router() -> OpenApiRouter<Handles> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
        .routes(routes!(sessions))
        .routes(routes!(logout))
        .merge(invitations::router())
}

/// A role held in one environment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Grant)]
pub(crate) struct GrantBody {
    /// The environment's key.
    environment: String,
    /// The role's key.
    role: String,
}

impl From<&Grant> for GrantBody {
    fn from(grant: &Grant) -> Self {
        Self { environment: grant.environment.to_string(), role: grant.role.to_string() }
    }
}

impl From<GrantBody> for Grant {
    fn from(grant: GrantBody) -> Self {
        Self { environment: grant.environment.into(), role: grant.role.into() }
    }
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserView {
    /// 32 hex digits.
    id: String,
    /// In lower case.
    email: String,
    /// The role in every environment.
    role: String,
    /// Always `default`.
    tenant_id: &'static str,
    /// Names of groups.
    groups: Vec<String>,
    /// Roles in one environment only.
    grants: Vec<GrantBody>,
    /// Whether the account admits nobody.
    disabled: bool,
    /// Counts changes; the same as the `ETag`.
    revision: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Profile> for UserView {
    fn from(user: Profile) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            role: user.role.to_string(),
            tenant_id: "default",
            groups: user.groups.iter().map(ToString::to_string).collect(),
            grants: user.grants.iter().map(GrantBody::from).collect(),
            disabled: user.disabled,
            revision: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

fn shown(user: Profile) -> Tagged<Json<UserView>> {
    Tagged(user.version, Json(user.into()))
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUserBody {
    /// An address such as `alice@example.com`.
    email: String,
    /// 8 to 256 characters, none of the most common passwords.
    password: String,
    /// The role in every environment; the default one when not given.
    #[serde(default)]
    role: Option<String>,
    /// Names of groups, at most 32.
    #[serde(default)]
    groups: Vec<String>,
    /// Roles in one environment only.
    #[serde(default)]
    grants: Vec<GrantBody>,
}

/// What to change of an account; what is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserPatchBody {
    /// The role in every environment.
    #[serde(default)]
    role: Option<String>,
    /// Names of groups, at most 32.
    #[serde(default)]
    groups: Option<Vec<String>>,
    /// Roles in one environment only.
    #[serde(default)]
    grants: Option<Vec<GrantBody>>,
    /// A disabled account admits nobody, and its sessions end.
    #[serde(default)]
    disabled: Option<bool>,
    /// A new password, which ends all sessions.
    #[serde(default)]
    password: Option<String>,
}

/// Accounts, by address.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users",
    params(("limit" = Option<u32>, Query), ("after" = Option<String>, Query), ("search" = Option<String>, Query)),
    responses((status = 200, body = Vec<UserView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody))
)]
async fn list(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Paging { after, search, limit }: Paging,
) -> Reply<(HeaderMap, Json<Vec<UserView>>)> {
    let users = identity.users(&caller, UserPage { after, search: search.clone(), limit }).await?;
    let full = users.len() == limit as usize;
    let headers = next(users.last().filter(|_| full), search.as_deref(), limit);
    Ok((headers, Json(users.into_iter().map(UserView::from).collect())))
}

fn next(last: Option<&Profile>, search: Option<&str>, limit: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(last) = last {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string()).append_pair("after", &last.email);
        if let Some(search) = search {
            query.append_pair("search", search);
        }
        let link = format!("</api/v1/users?{}>; rel=\"next\"", query.finish());
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.insert(header::LINK, link);
        }
    }
    headers
}

/// Makes an account. Nobody gives a role that permits more than his own.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", request_body = NewUserBody,
    responses((status = 201, body = UserView), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody))
)]
async fn create(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Why(reason): Why,
    Body(body): Body<NewUserBody>,
) -> Reply<impl IntoResponse> {
    let new = NewUser {
        credentials: Credentials { email: body.email, password: body.password },
        role: body.role,
        groups: body.groups,
        grants: body.grants.into_iter().map(Grant::from).collect(),
    };
    let user = identity.create_user(&caller, new, &reason).await?;
    Ok((StatusCode::CREATED, shown(user)))
}

/// One account.
#[utoipa::path(
    get, path = "/api/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = UserView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn get(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Reply<impl IntoResponse> {
    Ok(shown(identity.user(&caller, &id).await?))
}

/// Changes an account; it acts on that user's next request.
#[utoipa::path(
    patch, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)), request_body = UserPatchBody,
    responses((status = 200, body = UserView), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 412, body = ProblemBody), (status = 422, body = ProblemBody))
)]
async fn patch(
    State(identity): State<Arc<Identity>>,
    Editing { caller, seen, reason, .. }: Editing,
    Path(id): Path<String>,
    Body(body): Body<UserPatchBody>,
) -> Reply<impl IntoResponse> {
    let patch = UserPatch {
        role: body.role,
        groups: body.groups,
        grants: body.grants.map(|grants| grants.into_iter().map(Grant::from).collect()),
        disabled: body.disabled,
        password: body.password,
    };
    Ok(shown(identity.update_user(&caller, (&id, seen), patch, &reason).await?))
}

/// Removes an account and its sessions.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 412, body = ProblemBody))
)]
async fn delete(
    State(identity): State<Arc<Identity>>,
    Editing { caller, seen, reason, .. }: Editing,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    identity.delete_user(&caller, (&id, seen), &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The sessions of an account, newest first.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = Vec<SessionView>), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn sessions(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Reply<Json<Vec<SessionView>>> {
    let sessions = identity.sessions_of(&caller, &id).await?;
    Ok(Json(sessions.into_iter().map(SessionView::from).collect()))
}

/// Ends all sessions of an account.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/logout", tag = "users", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody))
)]
async fn logout(
    State(identity): State<Arc<Identity>>,
    Known(caller): Known,
    Why(reason): Why,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    identity.end_sessions(&caller, &id, &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
