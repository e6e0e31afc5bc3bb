//! All routes under one roof.

use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRef, Request},
    http::{HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use flagbase_core::{
    buckets::Buckets,
    environments::Environments,
    events::Events,
    feed::Feed,
    flags::Flags,
    functions::{Functions, triggers::Triggers, vault::Secrets},
    gateway::Routes,
    guards::Guards,
    identity::Identity,
    metrics::{Metrics, Recorder},
    overrides::Overrides,
    refusal::{Class, Refusal},
    segments::Segments,
    tasks::Tasks,
    trace::TraceParent,
    webhooks::Webhooks,
};
use percent_encoding::percent_decode_str;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    auth, buckets, docs, environments, events, flags, functions, guards, health, keys, metrics, overrides,
    parameters::{Parameters, known_only},
    problem::Problem,
    roles, routes, segments, users, webhooks,
};

/// What the API calls: one handle per capability.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is named like its capability")]
pub struct Services {
    pub identity: Arc<Identity>,
    pub feed: Arc<Feed>,
    pub flags: Arc<Flags>,
    pub segments: Arc<Segments>,
    pub environments: Arc<Environments>,
    pub overrides: Arc<Overrides>,
    pub routes: Arc<Routes>,
    pub metrics: Arc<Metrics>,
    pub recorder: Arc<Recorder>,
    pub guards: Arc<Guards>,
    pub events: Arc<Events>,
    pub webhooks: Arc<Webhooks>,
    pub functions: Arc<Functions>,
    pub secrets: Arc<Secrets>,
    pub triggers: Arc<Triggers>,
    pub buckets: Arc<Buckets>,
    pub tasks: Tasks,
    /// Limits and origins.
    pub settings: ApiSettings,
}

/// What an operator sets about the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The largest request body, bytes.
    pub max_body: usize,
    /// The longest a request body may take to arrive.
    pub body_timeout: Duration,
    /// The largest code that can be deployed, bytes.
    pub max_code: u64,
    /// Where S3 is served, if it is.
    pub s3: Option<SocketAddr>,
    /// Origins whose pages may call the API; empty: none. `*` means any.
    pub cors_origins: Vec<String>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flagbase",
        description = "Identity, feature flags, gateway, measurements and guards behind one address.",
        license(name = "MIT", identifier = "MIT")
    ),
    modifiers(&Security),
    security(("bearer" = []), ("api_key" = []))
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let key = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(key));
    }
}

/// The OpenAPI 3.1 description of all routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    named(described().split_for_parts().1)
}

/// The description with parameters as OpenAPI names them: what takes the rest of a path is a parameter like any other.
fn named(mut description: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let paths = std::mem::take(&mut description.paths.paths);
    description.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    description
}

/// Routes and their description; the description can be had without services.
fn described() -> OpenApiRouter<Handles> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(health::router())
        .merge(auth::router())
        .merge(users::router())
        .merge(roles::router())
        .merge(keys::router())
        .merge(environments::router())
        .merge(flags::router())
        .merge(overrides::router())
        .merge(segments::router())
        .merge(guards::router())
        .merge(routes::router())
        .merge(metrics::router())
        .merge(events::router())
        .merge(webhooks::router())
        .merge(functions::router())
        .merge(buckets::router())
}

/// The API as one service.
pub fn router(services: Services) -> Router {
    let (router, description) = described().split_for_parts();
    let origins = services.settings.cors_origins.clone();
    let known = Parameters::of(&description);
    let router = router
        .route_layer(middleware::from_fn_with_state(known, known_only))
        .with_state(Handles(Arc::new(services)))
        .merge(docs::router(named(description)))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(begin));
    if origins.is_empty() { router } else { router.layer(cors(&origins)) }
}

/// All handles behind one pointer. A handler takes only its own, as `State<Arc<Flags>>`.
#[derive(Clone)]
pub(crate) struct Handles(Arc<Services>);

impl Deref for Handles {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

macro_rules! handles {
    ($($field:ident: $handle:ty,)*) => {
        $(impl FromRef<Handles> for $handle {
            fn from_ref(handles: &Handles) -> Self {
                handles.$field.clone()
            }
        })*
    };
}

handles! {
    identity: Arc<Identity>,
    feed: Arc<Feed>,
    flags: Arc<Flags>,
    segments: Arc<Segments>,
    environments: Arc<Environments>,
    overrides: Arc<Overrides>,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    recorder: Arc<Recorder>,
    guards: Arc<Guards>,
    events: Arc<Events>,
    webhooks: Arc<Webhooks>,
    functions: Arc<Functions>,
    secrets: Arc<Secrets>,
    triggers: Arc<Triggers>,
    buckets: Arc<Buckets>,
    tasks: Tasks,
}

/// Refuses addresses that no handler could read. Changes go on when whoever asked for them hangs up: what is logged
/// must also be applied, and an account that was half made helps nobody.
async fn begin(request: Request, next: Next) -> Response {
    let mut response = answer(request, next).await;
    // Constants, put into a map that has room for them: nothing is allocated.
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

async fn answer(request: Request, next: Next) -> Response {
    if !is_readable(request.uri().path()) {
        let message = "the address is not UTF-8 behind its `%` escapes; encode it as UTF-8";
        return Problem(Refusal::new(Class::Malformed, "bad_path", message)).into_response();
    }
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()?.parse().ok());
    TraceParent::scope(trace, Feed::finish(next.run(request))).await.unwrap_or_else(|| {
        let message = "the request failed inside the server; see its log";
        Problem(Refusal::new(Class::Internal, "internal", message)).into_response()
    })
}

fn is_readable(path: &str) -> bool {
    !path.contains('%') || percent_decode_str(path).decode_utf8().is_ok()
}

async fn unknown(request: Request) -> Problem {
    let path = request.uri().path();
    // `/api/v1/<kind>/<key>/<action>` is as deep as most addresses go: more is a key that was not escaped, most likely.
    let deep = path.strip_prefix("/api/v1/").is_some_and(|rest| rest.matches('/').count() >= 2);
    let hint = if deep { "; a `/` within a key is written `%2F`" } else { "" };
    Problem(Refusal::not_found("path_not_found", format!("there is nothing at `{path}`{hint}; see /docs")))
}

async fn wrong_method(request: Request) -> Problem {
    Problem(Refusal::new(
        Class::Malformed,
        "method_not_allowed",
        format!("`{}` is not possible at `{}`; see /docs", request.method(), request.uri().path()),
    ))
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        // Objects have headers that people name, resumable uploads have theirs; no cookie is ever looked at.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::any())
        .max_age(Duration::from_hours(1))
}
