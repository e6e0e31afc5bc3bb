//! Bad input gets the right status and a message that says what to do, and changes nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use flagbase_testkit::server::{TestServer, free_port};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// More than systems keep for who reads later.
static LARGE: [u8; 32 << 20] = [0; 32 << 20];

fn flag(change: Value) -> Value {
    let mut flag = json!({"key": "f", "enabled": true, "default_value": false});
    for (name, value) in change.as_object().unwrap() {
        flag[name] = value.clone();
    }
    flag
}

fn rule(attribute: &str, operator: &str, value: Value) -> Value {
    flag(json!({"rules": [{"attribute": attribute, "operator": operator, "value": value, "variant": true}]}))
}

#[tokio::test]
async fn a_flag_that_makes_no_sense_is_refused_where_it_is_wrong() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let before = server.get("/health/ready", &developer).await.json["revision"].clone();
    let long = "x".repeat(5000);
    for (body, status, says) in [
        (json!([]), 422, "object"),
        (json!({"enabled": true}), 422, "key"),
        (flag(json!({"key": ""})), 422, "/key"),
        (flag(json!({"key": long})), 422, "/key"),
        (flag(json!({"name": long})), 422, "/name"),
        (flag(json!({"enabled": "yes"})), 422, "/enabled"),
        (flag(json!({"default_value": "yes", "type": "boolean"})), 422, "/default_value"),
        (flag(json!({"rulez": []})), 422, "rules"),
        (flag(json!({"rules": "none"})), 422, "/rules"),
        (rule("role", "equal", json!("x")), 422, "equals"),
        (rule("roles", "equals", json!("x")), 422, "role"),
        (rule("email", "matches", json!("(")), 422, "/rules/0/value"),
        (rule("email", "matches", json!("(?=a)b")), 422, "/rules/0/value"),
        (rule("email", "cidr", json!("10.0.0.0/99")), 422, "/rules/0/value"),
        (rule("email", "gt", json!("ten")), 422, "/rules/0/value"),
        (rule("email", "before", json!("yesterday")), 422, "/rules/0/value"),
        (rule("email", "semver_gt", json!("one.two")), 422, "/rules/0/value"),
        (flag(json!({"rules": [{"operator": "in_segment", "value": "nope", "variant": true}]})), 422, "nope"),
        (flag(json!({"prerequisites": [{"flag": "f", "variant": "true"}]})), 422, "/prerequisites/0"),
        (flag(json!({"rollout": {"percentage": 120}})), 422, "/rollout"),
        (flag(json!({"rollout": {"weights": [{"variant": "maybe", "weight": 1}]}})), 422, "maybe"),
    ] {
        let reply = server.post("/api/v1/flags", &developer, &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert!(reply.json["error"].is_string() && reply.json["code"].is_string(), "{}", reply.text);
        assert!(reply.text.contains(says), "{body}: {}", reply.text);
    }
    assert_eq!(server.get("/health/ready", &developer).await.json["revision"], before, "nothing was written");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_before_anything_else() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_SERVER__MAX_BODY", "64KiB")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    for (body, status, code) in [
        (String::new(), 400, "bad_json"),
        ("{".to_owned(), 400, "bad_json"),
        ("{\"key\": \"a\", \"key\": \"b\"}".to_owned(), 400, "bad_json"),
        ("nonsense".to_owned(), 400, "bad_json"),
        ("[".repeat(10_000), 400, "bad_json"),
        (format!("\"{}\"", "x".repeat(100_000)), 413, "body_too_large"),
    ] {
        let request =
            server.client().post(server.url("/api/v1/flags")).bearer_auth(&developer).body(body.clone());
        let reply = server.reply(request).await;
        assert_eq!((reply.status, &reply.json["code"]), (status, &json!(code)), "{}", reply.text);
    }
    let invalid = vec![b'"', 0xff, 0xfe, b'"'];
    let request = server.client().post(server.url("/api/v1/flags")).bearer_auth(&developer).body(invalid);
    assert_eq!(server.reply(request).await.status, 400);
}

#[tokio::test]
async fn addresses_and_preconditions_that_make_no_sense_are_told_apart() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &flag(json!({}))).await.expect_status(201);
    for (method, path, status, code) in [
        (Method::GET, "/api/v1/flags/nope", 404, "flag_not_found"),
        (Method::DELETE, "/api/v1/flags/nope", 404, "flag_not_found"),
        (Method::GET, "/api/v1/flags/nope/evaluate", 404, "flag_not_found"),
        (Method::GET, "/api/v1/flags?environment=nope", 404, "environment_not_found"),
        (Method::GET, "/api/v1/flags?limit=0", 400, "bad_query"),
        (Method::GET, "/api/v1/flags/f/evaluate?explain=perhaps", 400, "bad_query"),
        (Method::GET, "/api/v1/nope", 404, "path_not_found"),
        (Method::PATCH, "/health", 405, "method_not_allowed"),
        (Method::GET, "/gateway/nope", 404, "route_not_found"),
    ] {
        let reply = server.send(method.clone(), path, Some(&developer), None).await;
        assert_eq!(
            (reply.status, &reply.json["code"]),
            (status, &json!(code)),
            "{method} {path}: {}",
            reply.text
        );
    }
    for (tag, status) in [("\"999999\"", 412), ("nonsense", 400)] {
        let url = server.url("/api/v1/flags/f");
        let request = server.client().put(url).bearer_auth(&developer).header("if-match", tag);
        let reply = server.reply(request.json(&flag(json!({})))).await;
        assert_eq!(reply.status, status, "{tag}: {}", reply.text);
    }
}

#[tokio::test]
async fn no_token_is_401_a_bad_one_too_and_neither_keeps_anybody_from_logging_in() {
    let server = TestServer::start(PROGRAM).await;
    server.register("dev@example.com", Some("developer")).await.expect_status(201);
    for path in ["/api/v1/flags", "/api/v1/flags/f/evaluate", "/api/v1/users", "/auth/me", "/api/v1/events"] {
        let reply = server.send(Method::GET, path, None, None).await;
        assert_eq!((reply.status, &reply.json["code"]), (401, &json!("unauthenticated")), "{path}");
        assert!(reply.header("www-authenticate").is_some());
        let bad = server.get(path, "nonsense").await;
        assert_eq!((bad.status, &bad.json["code"]), (401, &json!("token_invalid")), "{path}");
    }
    let credentials = json!({"email": "dev@example.com", "password": flagbase_testkit::server::PASSWORD});
    let with_bad_token = server.post("/auth/login", "an.expired.token", &credentials).await;
    assert_eq!(with_bad_token.status, 200, "{}", with_bad_token.text);
    assert_eq!(server.get("/health", "an.expired.token").await.json, json!({"status": "ok"}));
    assert_eq!(server.get("/gateway/anything", "an.expired.token").await.status, 401);
}

/// What a client gets that sends all of its request before it reads, as many do.
fn answered_at_last(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
    let head =
        format!("{line} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n{fields}\r\n", LARGE.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&LARGE).unwrap();
    let mut answer = String::new();
    // The connection ends once nothing more is read.
    stream.shutdown(Shutdown::Write).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_everything_before_reading_learns_why_it_is_refused() {
    let s3 = format!("127.0.0.1:{}", free_port());
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_STORAGE__S3__LISTEN", &s3)]).await;
    let developer = server.join("dev@example.com", "developer").await;
    let code = "export default { async fetch(request) { return new Response(await request.text()); } };";
    let deploy = server.client().post(server.url("/api/v1/functions/f/versions?file=f.js&promote=true"));
    server.reply(deploy.bearer_auth(&developer).body(code)).await.expect_status(201);
    let front = server.url("").trim_start_matches("http://").to_owned();
    for (address, head, status, says) in [
        (&front, "POST /api/v1/functions/f/versions?file=f.js", 401, "unauthenticated"),
        (&front, "PUT /api/v1/buckets/b/objects/o", 401, "unauthenticated"),
        (&front, "POST /functions/f", 413, "body_too_large"),
        (&front, "POST /functions/g", 404, "function_not_found"),
        (&front, "POST /somewhere", 404, "path_not_found"),
        (&s3, "PUT /b/o", 403, "AccessDenied"),
    ] {
        let (address, asked) = (address.clone(), head.to_owned());
        let answer = tokio::task::spawn_blocking(move || answered_at_last(&address, &asked)).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(says),
            "{head}: {answer}"
        );
    }
}
