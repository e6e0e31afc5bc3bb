//! The API's description, for programs and for people; served from the binary, with no request to anywhere else.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

pub(crate) fn router(description: OpenApi) -> Router {
    let config = Config::default().validator_url("none").try_it_out_enabled(true);
    SwaggerUi::new("/docs").config(config).url("/openapi.json", description).into()
}
