//! Whether a request may become a WebSocket.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{
        CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        UPGRADE,
    },
    request,
};

use super::WebSocket;

/// What the answer to a key is made with; RFC 6455, section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// 101 with the proof that the request was understood, or the status of a refusal.
pub(super) fn answer(
    websocket: &WebSocket,
    request: &request::Parts,
) -> Result<Response<String>, StatusCode> {
    if request.method != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if websocket.path.as_deref().is_some_and(|path| path != request.uri.path()) {
        return Err(StatusCode::NOT_FOUND);
    }
    let headers = &request.headers;
    let fits = has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade")
        && text(headers, &SEC_WEBSOCKET_VERSION) == Some("13");
    let key =
        text(headers, &SEC_WEBSOCKET_KEY).filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let (Some(key), true) = (key, fits) else { return Err(StatusCode::BAD_REQUEST) };
    if !permits(websocket, headers) {
        return Err(StatusCode::FORBIDDEN);
    }
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, accept(key))
        .body(String::new())
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The answer to a request that becomes no WebSocket.
pub(super) fn refusal(status: StatusCode) -> Response<String> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(format!("{reason}\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether scripts of the page that asks may connect.
fn permits(websocket: &WebSocket, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Some(origin) = origin.to_str().ok().and_then(Site::of) else {
        // A page without an origin, such as a file, writes `null`.
        return !websocket.same_origin && websocket.allowed_origins.is_empty();
    };
    let listed =
        || websocket.allowed_origins.iter().any(|allowed| Site::of(allowed).as_ref() == Some(&origin));
    if !websocket.allowed_origins.is_empty() && !listed() {
        return false;
    }
    let same = || {
        let host = text(headers, &HOST)?;
        let encrypted = websocket.tls.is_some() || origin.scheme == "https";
        Site::of(&format!("{}://{host}", if encrypted { "https" } else { "http" }))
    };
    !websocket.same_origin || same().as_ref() == Some(&origin)
}

/// Scheme, host and port of a page.
#[derive(PartialEq, Eq)]
struct Site {
    scheme: String,
    host: String,
    port: u16,
}

impl Site {
    fn of(origin: &str) -> Option<Self> {
        let uri: Uri = origin.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = if scheme == "https" { 443 } else { 80 };
        Some(Self { host: uri.host()?.to_ascii_lowercase(), port: uri.port_u16().unwrap_or(usual), scheme })
    }
}

fn accept(key: &str) -> String {
    let mut proof = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    proof.update(key.as_bytes());
    proof.update(MAGIC.as_bytes());
    STANDARD.encode(proof.finish())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request() -> request::Builder {
        Request::builder()
            .uri("/nats")
            .header(HOST, "localhost:8080")
            .header(UPGRADE, "WebSocket")
            .header(CONNECTION, "keep-alive, Upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
    }

    fn status(websocket: &WebSocket, request: request::Builder) -> u16 {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        answer(websocket, &parts).map_or_else(|status| status, |answer| answer.status()).as_u16()
    }

    #[test]
    fn the_proof_is_the_one_of_the_standard() {
        let (parts, ()) = request().body(()).unwrap().into_parts();
        let answer = answer(&WebSocket::default(), &parts).unwrap();
        assert_eq!(answer.headers()[CONNECTION], "Upgrade");
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    }

    #[test]
    fn a_request_that_is_none_for_a_websocket_is_refused() {
        let any = WebSocket::default();
        assert_eq!(status(&any, request().method(Method::POST)), 405);
        assert_eq!(status(&any, Request::builder()), 400);
        assert_eq!(status(&any, Request::builder().header(UPGRADE, "websocket")), 400);
        let other = WebSocket { path: Some("/other".to_owned()), ..WebSocket::default() };
        assert_eq!(status(&other, request()), 404);
        assert_eq!(status(&WebSocket { path: Some("/nats".to_owned()), ..other }, request()), 101);
    }

    #[test]
    fn scripts_of_other_pages_are_kept_out() {
        let from = |websocket: &WebSocket, origin: &str| status(websocket, request().header(ORIGIN, origin));
        let any = WebSocket::default();
        assert_eq!((from(&any, "http://evil.example"), from(&any, "null")), (101, 101));
        let listed =
            WebSocket { allowed_origins: vec!["https://App.example".to_owned()], ..WebSocket::default() };
        assert_eq!(from(&listed, "https://app.example:443"), 101);
        assert_eq!(from(&listed, "http://app.example"), 403);
        assert_eq!(from(&listed, "https://app.example.evil.example"), 403);
        assert_eq!(from(&listed, "null"), 403);
        assert_eq!(status(&listed, request()), 101);
        let same = WebSocket { same_origin: true, ..WebSocket::default() };
        assert_eq!(from(&same, "http://localhost:8080"), 101);
        assert_eq!(from(&same, "http://localhost:9090"), 403);
        assert_eq!(from(&same, "http://evil.example:8080"), 403);
    }

    #[test]
    fn a_refusal_says_which_version_is_spoken() {
        let answer = refusal(StatusCode::BAD_REQUEST);
        assert_eq!((answer.status().as_u16(), answer.body().as_str()), (400, "Bad Request\n"));
        assert_eq!(answer.headers()[SEC_WEBSOCKET_VERSION], "13");
    }
}
