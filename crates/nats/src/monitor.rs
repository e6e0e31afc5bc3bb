//! What people who look after the server see over HTTP. Members of the JSON are named as those of nats-server, because
//! dashboards know these names.

mod connections;
mod general;
mod query;
mod shown;
mod subscriptions;

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpStream;

use self::query::Query;
use crate::shared::Shared;

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(5);

/// What can be asked for, and what it is called on the first page.
const PAGES: [(&str, &str); 4] =
    [("varz", "General"), ("connz", "Connections"), ("subsz", "Subscriptions"), ("healthz", "Health")];

/// One connection to the port of monitoring.
pub(crate) async fn connected(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(async |request: Request<Incoming>| {
        let query = Query::new(request.uri().query().unwrap_or_default());
        Ok::<_, Infallible>(answer(&shared, request.method(), request.uri().path(), &query))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = shared.stop.cancelled() => {},
        served = served => if let Err(error) = served {
            tracing::debug!(%error, "a request for monitoring was broken off");
        },
    }
}

fn answer(shared: &Shared, method: &Method, path: &str, query: &Query<'_>) -> Response<String> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
    }
    let answer = match path.trim_end_matches('/') {
        "" => return index(),
        "/varz" => json(&general::Varz::of(shared)),
        "/connz" => connections::Connz::of(shared, query).and_then(|page| json(&page)),
        "/subsz" | "/subscriptionsz" => subscriptions::Subsz::of(shared, query).and_then(|page| json(&page)),
        "/healthz" => return health(shared),
        _ => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    answer.unwrap_or_else(|error| text(StatusCode::BAD_REQUEST, &format!("{error}\n")))
}

/// Why a page cannot be shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unanswerable {
    #[error("`{name}` cannot be `{value}`: {expected}")]
    Query { name: &'static str, value: String, expected: &'static str },
    #[error("the answer cannot be written")]
    Json,
}

fn index() -> Response<String> {
    let links = PAGES.map(|(path, name)| format!("<li><a href=\"./{path}\">{name}</a></li>\n")).concat();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>flagbase-nats</title>\n\
         <h1>flagbase-nats {}</h1>\n<ul>\n{links}</ul>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    );
    let mut response = Response::new(page);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Who balances load must know of a server that sends its clients away.
fn health(shared: &Shared) -> Response<String> {
    if shared.is_lame_duck() {
        let body = "{\"status\":\"unavailable\",\"error\":\"lame duck mode\"}".to_owned();
        return as_json(StatusCode::SERVICE_UNAVAILABLE, body);
    }
    as_json(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

fn json(page: &impl Serialize) -> Result<Response<String>, Unanswerable> {
    let body = serde_json::to_string_pretty(page).map_err(|_| Unanswerable::Json)?;
    Ok(as_json(StatusCode::OK, body))
}

fn as_json(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(status: StatusCode, body: &str) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests;
