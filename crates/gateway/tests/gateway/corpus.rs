//! Raw requests and what must become of them.

/// A raw request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What is sent, in parts.
    pub(crate) parts: Vec<Vec<u8>>,
    pub(crate) status: u16,
    pub(crate) sees: Sees,
}

/// What the backend sees.
pub(crate) enum Sees {
    /// No whole request.
    Nothing,
    /// One that begins so, holds these texts and not those (lower case).
    Request(&'static str, &'static [&'static str], &'static [&'static str]),
}

use Sees::{Nothing, Request};

fn case(name: &'static str, bytes: impl AsRef<[u8]>, status: u16, sees: Sees) -> Case {
    Case { name, parts: vec![bytes.as_ref().to_vec()], status, sees }
}

/// `line`, a host, these header lines, and `body`.
fn with(line: &str, headers: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: shop.example.com\r\n{headers}\r\n{body}")
}

fn post(headers: &str, body: &str) -> String {
    with("POST /gateway/x", headers, body)
}

fn get(headers: &str) -> String {
    with("GET /gateway/x", headers, "")
}

const SEEN: Sees = Request("GET /x HTTP/1.1\r\n", &["host: 127.0.0.1:"], &[]);
const POSTED: Sees = Request("POST /x HTTP/1.1\r\n", &["hello"], &[]);

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    [framing(), bodies(), hosts(), targets(), paths(), heads(), hops(), spoofs()]
        .into_iter()
        .flatten()
        .collect()
}

#[rustfmt::skip] // one line per case
fn framing() -> Vec<Case> {
    vec![
        case("plain GET", get(""), 200, SEEN),
        case("body with length", post("Content-Length: 5\r\n", "hello"), 200, POSTED),
        case("chunked body", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), 200, POSTED),
        case("CL and TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, Nothing),
        case("TE and CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400, Nothing),
        case("CL and TE, odd case", post("cOnTeNt-LeNgTh: 5\r\ntRANSFER-eNCODING: chunked\r\n", "0\r\n\r\n"), 400, Nothing),
        case("TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, Nothing),
        case("TE twice, second other", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400, Nothing),
        case("TE chunked, chunked", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501, Nothing),
        case("TE gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501, Nothing),
        case("TE identity", post("Transfer-Encoding: identity\r\n", ""), 400, Nothing),
        case("TE chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400, Nothing),
        case("TE xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400, Nothing),
        case("space before colon of TE", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400, Nothing),
        case("folded TE", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400, Nothing),
        case("TE in HTTP/1.0", "POST /gateway/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, Nothing),
        case("two lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400, Nothing),
        case("two lengths that agree", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400, Nothing),
        case("list of lengths", post("Content-Length: 5, 5\r\n", "hello"), 400, Nothing),
        case("negative length", post("Content-Length: -5\r\n", "hello"), 400, Nothing),
        case("signed length", post("Content-Length: +5\r\n", "hello"), 400, Nothing),
        case("hex length", post("Content-Length: 0x5\r\n", "hello"), 400, Nothing),
        case("empty length", post("Content-Length:\r\n", "hello"), 400, Nothing),
        case("endless length", post("Content-Length: 99999999999999999999\r\n", "hello"), 400, Nothing),
    ]
}

#[rustfmt::skip] // one line per case
fn bodies() -> Vec<Case> {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    vec![
        case("chunk size is no number", chunked("zz\r\nhello\r\n0\r\n\r\n"), 400, Nothing),
        case("chunk size is negative", chunked("-5\r\nhello\r\n0\r\n\r\n"), 400, Nothing),
        case("chunk size has a prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400, Nothing),
        case("chunk size overflows", chunked("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400, Nothing),
        case("chunk is longer than it says", chunked("4\r\nhello\r\n0\r\n\r\n"), 400, Nothing),
        case("chunk ends in a bare line feed", chunked("5\nhello\n0\n\n"), 400, Nothing),
        case("chunk with extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), 200, POSTED),
        case("trailer that spoofs", chunked("5\r\nhello\r\n0\r\nX-Flagbase-User: admin\r\n\r\n"), 200,
            Request("POST /x HTTP/1.1\r\n", &["hello"], &["x-flagbase-user"])),
        case("expectation", post("Expect: something\r\nContent-Length: 5\r\n", "hello"), 200,
            Request("POST /x HTTP/1.1\r\n", &["hello"], &["expect"])),
    ]
}

#[rustfmt::skip] // one line per case
fn hosts() -> Vec<Case> {
    let line = "GET /gateway/x HTTP/1.1\r\n";
    vec![
        case("no host", format!("{line}\r\n"), 400, Nothing),
        case("two hosts", format!("{line}Host: a\r\nHost: b\r\n\r\n"), 400, Nothing),
        case("the same host twice", format!("{line}Host: a\r\nHost: a\r\n\r\n"), 400, Nothing),
        case("list of hosts", format!("{line}Host: a, b\r\n\r\n"), 400, Nothing),
        case("host with a user", format!("{line}Host: admin@a\r\n\r\n"), 400, Nothing),
        case("host with a path", format!("{line}Host: a/b\r\n\r\n"), 400, Nothing),
        case("host with a bad port", format!("{line}Host: a:b\r\n\r\n"), 400, Nothing),
        case("host with a space", format!("{line}Host: a b\r\n\r\n"), 400, Nothing),
        case("HTTP/1.0 without host", "GET /gateway/x HTTP/1.0\r\n\r\n", 200, SEEN),
    ]
}

#[rustfmt::skip] // one line per case
fn targets() -> Vec<Case> {
    vec![
        case("absolute form", with("GET http://shop.example.com/gateway/x", "", ""), 200,
            Request("GET /x HTTP/1.1\r\n", &["x-forwarded-host: shop.example.com"], &["get http:"])),
        case("absolute form, other host", with("GET http://other.example.com/gateway/x", "", ""), 200,
            Request("GET /x HTTP/1.1\r\n", &["x-forwarded-host: other.example.com"], &["shop.example.com"])),
        case("absolute form, other scheme", with("GET ftp://shop.example.com/gateway/x", "", ""), 400, Nothing),
        case("CONNECT", "CONNECT shop.example.com:80 HTTP/1.1\r\nHost: shop.example.com:80\r\n\r\n", 405, Nothing),
        case("TRACE", with("TRACE /gateway/x", "", ""), 405, Nothing),
        case("asterisk form", with("OPTIONS *", "", ""), 200, Nothing),
        case("unknown method", with("BREW /gateway/x", "", ""), 200, Request("BREW /x HTTP/1.1\r\n", &[], &[])),
        case("query is left alone", with("GET /gateway/x?a=%2F..%2F&b=../c", "", ""), 200,
            Request("GET /x?a=%2F..%2F&b=../c HTTP/1.1\r\n", &[], &[])),
        case("mount without slash", with("GET /gateway", "", ""), 200, Request("GET / HTTP/1.1\r\n", &[], &[])),
    ]
}

#[rustfmt::skip] // one line per case
fn paths() -> Vec<Case> {
    let path = |path: &str| with(&format!("GET {path}"), "", "");
    vec![
        case("out of the mount", path("/gateway/../admin"), 200, Nothing),
        case("out of the mount, encoded", path("/gateway/%2e%2e/admin"), 200, Nothing),
        case("out of the mount, half encoded", path("/gateway/.%2E/admin"), 200, Nothing),
        case("within the mount", path("/gateway/a/../b"), 200, Request("GET /b HTTP/1.1\r\n", &[], &[".."])),
        case("within the mount, encoded", path("/gateway/a/%2e%2E/b"), 200, Request("GET /b HTTP/1.1\r\n", &[], &["%2e"])),
        case("into the mount", path("/api/../gateway/x"), 200, SEEN),
        case("encoded letters", path("/%67ateway/%78"), 200, SEEN),
        case("repeated slashes", path("/gateway//a///b"), 200, Request("GET /a/b HTTP/1.1\r\n", &[], &[])),
        case("encoded slash", path("/gateway/a%2fb"), 400, Nothing),
        case("encoded backslash", path("/gateway/a%5cb"), 400, Nothing),
        case("backslash", path("/gateway/a\\b"), 400, Nothing),
        case("encoded NUL", path("/gateway/a%00"), 400, Nothing),
        case("encoded line feed", path("/gateway/a%0d%0aX:y"), 400, Nothing),
        case("broken escape", path("/gateway/a%zz"), 400, Nothing),
        case("dot segment with parameter", path("/gateway/..;/admin"), 400, Nothing),
        case("escaped percent", path("/gateway/%252e%252e/x"), 200, Request("GET /%252e%252e/x HTTP/1.1\r\n", &[], &[])),
    ]
}

#[rustfmt::skip] // one line per case
fn heads() -> Vec<Case> {
    let many = "X: y\r\n".repeat(150);
    let large = format!("X: {}\r\n", "y".repeat(100_000));
    vec![
        case("NUL in a value", get("X: a\0b\r\n"), 400, Nothing),
        case("bare CR in a value", get("X: a\rb\r\n"), 400, Nothing),
        case("folded header", get("X: a\r\n b\r\n"), 400, Nothing),
        case("space before a colon", get("X : a\r\n"), 400, Nothing),
        case("no colon", get("X\r\n"), 400, Nothing),
        case("empty name", get(": a\r\n"), 400, Nothing),
        case("space before the first header", "GET /gateway/x HTTP/1.1\r\n Host: a\r\n\r\n", 400, Nothing),
        case("too many headers", get(&many), 431, Nothing),
        case("too large a head", get(&large), 431, Nothing),
        case("HTTP/0.9", "GET /gateway/x\r\n\r\n", 400, Nothing),
        case("HTTP/3.0", "GET /gateway/x HTTP/3.0\r\nHost: a\r\n\r\n", 400, Nothing),
        case("nonsense", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, Nothing),
    ]
}

#[rustfmt::skip] // one line per case
fn hops() -> Vec<Case> {
    let gone = |without: &'static [&'static str]| Request("GET /x HTTP/1.1\r\n", &[], without);
    vec![
        case("header named by Connection", get("Connection: X-Secret\r\nX-Secret: 1\r\n"), 200, gone(&["x-secret", "connection:"])),
        case("two Connection headers", get("Connection: X-A\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 1\r\n"), 200, gone(&["x-a:", "x-b:"])),
        case("Connection names our headers", get("Connection: X-Forwarded-For, Host\r\n"), 200,
            Request("GET /x HTTP/1.1\r\n", &["x-forwarded-for: 127.0.0.1", "host: 127.0.0.1:"], &[])),
        case("fixed hop-by-hop headers",
            get("Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: gzip\r\n"), 200,
            gone(&["keep-alive", "proxy-", "te: "])),
        case("upgrade to h2c", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), 200,
            gone(&["upgrade", "http2-settings"])),
        case("WebSocket without a key", get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200, gone(&["upgrade"])),
    ]
}

#[rustfmt::skip] // one line per case
fn spoofs() -> Vec<Case> {
    vec![
        case("our identity header", get("X-Flagbase-User: admin\r\nx-flagbase-role: admin\r\n"), 200,
            Request("GET /x HTTP/1.1\r\n", &["x-flagbase-role: guest"], &["admin"])),
        case("our header with underscores", get("X_Flagbase_User: admin\r\nX-Flagbase_User: admin\r\n"), 200,
            Request("GET /x HTTP/1.1\r\n", &[], &["admin", "_"])),
        case("any header with an underscore", get("Content_Length: 5\r\n"), 200, Request("GET /x HTTP/1.1\r\n", &[], &["content_length"])),
        case("forwarding claims",
            get("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"), 200,
            Request("GET /x HTTP/1.1\r\n", &["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http\r\n"], &["6.6.6.6"])),
        case("the caller's token", get("Authorization: Bearer developer\r\nX-API-Key: developer\r\n"), 200,
            Request("GET /x HTTP/1.1\r\n", &["x-flagbase-role: developer", "x-flagbase-user: id-of-developer"],
                &["authorization", "x-api-key", "bearer"])),
        case("a token nobody knows", get("Authorization: Bearer forged\r\n"), 401, Nothing),
        case("a bad request id", get("X-Request-Id: a b\"\r\n"), 200, Request("GET /x HTTP/1.1\r\n", &["x-request-id: "], &["a b"])),
        case("a good request id", get("X-Request-Id: abc-1\r\n"), 200, Request("GET /x HTTP/1.1\r\n", &["x-request-id: abc-1"], &[])),
    ]
}
