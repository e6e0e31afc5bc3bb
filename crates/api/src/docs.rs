//! The API's description, for programs and for people; served from the binary, with no request to anywhere else.

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// What the page may do: load its own files, draw (it styles elements one by one, and brings its icons along), and ask
/// this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn router(description: OpenApi) -> Router {
    let config = Config::default().validator_url("none").try_it_out_enabled(true);
    let pages: Router = SwaggerUi::new("/docs").config(config).url("/openapi.json", description).into();
    pages.layer(middleware::from_fn(confined))
}

async fn confined(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
