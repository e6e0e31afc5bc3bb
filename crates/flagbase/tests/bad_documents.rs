//! Whatever can be stored besides flags is refused when it makes no sense, in words that help, and nothing is written.
#![expect(clippy::indexing_slicing, reason = "a test ends at the first thing that is not as it should be")]

use flagbase_testkit::server::{PASSWORD, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

fn on(key: &str) -> Value {
    json!({"key": key, "enabled": true, "default_value": true})
}

/// Sends each body and compares status and words; the revision must stay.
async fn refuses(server: &TestServer, token: &str, cases: &[(Method, &str, Value, u16, &str)]) {
    let revision = server.get("/health/ready", token).await.json["revision"].clone();
    for (method, path, body, status, says) in cases {
        let reply = server.send(method.clone(), path, Some(token), Some(body)).await;
        assert_eq!(reply.status, *status, "{method} {path} {body}: {}", reply.text);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{method} {path} {body}");
        assert!(reply.text.contains(says), "{method} {path} {body}: {says} is not in {}", reply.text);
    }
    let after = server.get("/health/ready", token).await.json["revision"].clone();
    assert_eq!(after, revision, "nothing was written");
}

#[tokio::test]
async fn flags_that_would_need_each_other_or_something_that_is_not_there() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for key in ["a", "b", "c"] {
        server.post("/api/v1/flags", &developer, &on(key)).await.expect_status(201);
    }
    let needs = |flag: &str, variant: &str| json!({"prerequisites": [{"flag": flag, "variant": variant}]});
    server.patch("/api/v1/flags/a", &developer, &needs("b", "true")).await.expect_status(200);
    server.patch("/api/v1/flags/b", &developer, &needs("c", "true")).await.expect_status(200);
    let segment = json!({"key": "staff", "conditions": [[{"attribute": "email", "operator": "ends_with", "value": "@example.com"}]]});
    server.post("/api/v1/segments", &developer, &segment).await.expect_status(201);
    let rule =
        json!({"rules": [{"attribute": "", "operator": "in_segment", "value": "staff", "variant": true}]});
    let ruled = server.patch("/api/v1/flags/c", &developer, &rule).await;
    assert!(ruled.status == 200 || ruled.status == 422, "{}", ruled.text);
    let rule = json!({"rules": [{"operator": "in_segment", "value": "staff", "variant": true}]});
    server.patch("/api/v1/flags/c", &developer, &rule).await.expect_status(200);

    refuses(
        &server,
        &developer,
        &[
            (Method::PATCH, "/api/v1/flags/c", needs("a", "true"), 422, "/prerequisites/0"),
            (Method::PATCH, "/api/v1/flags/c", needs("c", "true"), 422, "/prerequisites/0"),
            (Method::PATCH, "/api/v1/flags/c", needs("nope", "true"), 422, "nope"),
            (Method::PATCH, "/api/v1/flags/c", needs("a", "maybe"), 422, "maybe"),
            (Method::DELETE, "/api/v1/flags/c", Value::Null, 409, "`b`"),
            (Method::DELETE, "/api/v1/segments/staff", Value::Null, 409, "`c`"),
            (Method::POST, "/api/v1/segments", segment, 409, "staff"),
        ],
    )
    .await;
}

#[tokio::test]
async fn segments_guards_and_routes_that_make_no_sense() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    server.post("/api/v1/flags", &admin, &on("f")).await.expect_status(201);
    let segment = |condition: Value| json!({"key": "s", "conditions": [[condition]]});
    let route = |url: &str| json!({"pattern": "/x", "backend_url": url});
    let guard = |rule: Value| json!({"rule": rule});
    let long = "x".repeat(5000);
    refuses(
        &server,
        &admin,
        &[
            (Method::POST, "/api/v1/segments", json!({}), 422, "key"),
            (Method::POST, "/api/v1/segments", json!({"key": long}), 422, "/key"),
            (Method::POST, "/api/v1/segments", json!({"key": "s", "conditions": "all"}), 422, "/conditions"),
            (Method::POST, "/api/v1/segments", segment(json!({"attribute": "nope", "operator": "equals", "value": "x"})), 422, "nope"),
            (Method::POST, "/api/v1/segments", segment(json!({"attribute": "role", "operator": "eq", "value": "x"})), 422, "equals"),
            (Method::POST, "/api/v1/segments", segment(json!({"attribute": "role", "operator": "matches", "value": "("})), 422, "/conditions/0/0"),
            (Method::PUT, "/api/v1/guards/g", json!({}), 422, "rule"),
            (Method::PUT, "/api/v1/guards/g", guard(json!({"type": "magic"})), 422, "magic"),
            (Method::PUT, "/api/v1/guards/g", guard(json!({"type": "absolute_count", "window_seconds": 1})), 422, "window_seconds"),
            (Method::PUT, "/api/v1/guards/G%20!", guard(json!({"type": "absolute_count"})), 422, "/key"),
            (Method::PUT, "/api/v1/guards/nope", json!({"flags": ["nope"], "rule": {"type": "absolute_count"}}), 422, "nope"),
            (Method::POST, "/api/v1/gateway/routes", json!({}), 422, "pattern"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/x"}), 422, "backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("backend"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("file:///etc/passwd"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("http://169.254.169.254/latest"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("http://2852039166/"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("http://0xa9fea9fe/"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("http://[::ffff:169.254.169.254]/"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", route("http://user:secret@127.0.0.1/"), 422, "/backend_url"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "x", "backend_url": "http://127.0.0.1:9"}), 422, "/pattern"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/a/../b", "backend_url": "http://127.0.0.1:9"}), 422, "/pattern"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9", "flag_key": "nope"}), 422, "nope"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9", "methods": ["G T"]}), 422, "/methods"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9", "timeouts": {"request": "soon"}}), 422, "/timeouts/request"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9", "retry": 3}), 422, "retries"),
            (Method::POST, "/api/v1/gateway/routes", json!({"pattern": "/x", "flag_key": "f", "variants": {"maybe": ["http://127.0.0.1:9"]}}), 422, "maybe"),
            (Method::DELETE, "/api/v1/gateway/routes/nope", Value::Null, 404, "nope"),
        ],
    )
    .await;
}

#[tokio::test]
async fn measurements_that_make_no_sense() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let event = |member: &str, value: Value| {
        let mut event = json!({"flag_key": "f", "variant": "true", "event_type": "seen"});
        event[member] = value;
        event
    };
    let many = vec![event("value", json!(1)); 1001];
    refuses(
        &server,
        &developer,
        &[
            (
                Method::POST,
                "/api/v1/metrics",
                json!({}),
                422,
                "flag_key, variant and event_type are required",
            ),
            (Method::POST, "/api/v1/metrics", json!("seen"), 422, "expected an event"),
            (Method::POST, "/api/v1/metrics", event("flag_key", json!("nope")), 404, "nope"),
            (Method::POST, "/api/v1/metrics", event("variant", json!("maybe")), 422, "/variant"),
            (Method::POST, "/api/v1/metrics", event("event_type", json!("Not A Type")), 422, "/event_type"),
            (
                Method::POST,
                "/api/v1/metrics",
                event("event_type", json!("request.count")),
                422,
                "/event_type",
            ),
            (Method::POST, "/api/v1/metrics", event("value", json!("much")), 422, "/value"),
            (Method::POST, "/api/v1/metrics", event("value", json!(1e300)), 422, "/value"),
            (Method::POST, "/api/v1/metrics", event("unit", json!("u".repeat(201))), 422, "/unit"),
            (Method::POST, "/api/v1/metrics", event("time", json!("yesterday")), 422, "/time"),
            (Method::POST, "/api/v1/metrics", event("time", json!("2999-01-01T00:00:00Z")), 422, "/time"),
            (Method::POST, "/api/v1/metrics", event("event_id", json!("i".repeat(129))), 422, "/event_id"),
            (Method::POST, "/api/v1/metrics", event("colour", json!("red")), 422, "/colour"),
            (Method::POST, "/api/v1/metrics", json!(many), 422, "1000"),
            (
                Method::POST,
                "/api/v1/metrics",
                json!([event("value", json!(1)), event("variant", json!("maybe"))]),
                422,
                "/1/variant",
            ),
            (Method::GET, "/api/v1/flags/f/metrics?from=now", Value::Null, 400, "from"),
            (Method::GET, "/api/v1/flags/f/metrics?resolution=2s", Value::Null, 400, "resolution"),
            (Method::GET, "/api/v1/flags/nope/metrics", Value::Null, 404, "nope"),
        ],
    )
    .await;
    let metrics = server.get("/api/v1/flags/f/metrics", &developer).await.expect_status(200);
    assert!(!metrics.text.contains("seen"), "of a batch all or none are taken: {}", metrics.text);
}

#[tokio::test]
async fn people_roles_and_keys_that_make_no_sense() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let user = |member: &str, value: Value| {
        let mut user = json!({"email": "x@example.com", "password": PASSWORD, "role": "user"});
        user[member] = value;
        user
    };
    refuses(
        &server,
        &admin,
        &[
            (Method::POST, "/api/v1/users", user("email", json!("x")), 422, "/email"),
            (Method::POST, "/api/v1/users", user("role", json!("nope")), 422, "nope"),
            (Method::POST, "/api/v1/users", user("groups", json!(["a,b"])), 422, "/groups/0"),
            (
                Method::POST,
                "/api/v1/users",
                user("grants", json!([{"environment": "nope", "role": "user"}])),
                422,
                "nope",
            ),
            (Method::POST, "/api/v1/users", user("admin", json!(true)), 422, "admin"),
            (Method::PATCH, "/api/v1/users/nope", json!({"role": "user"}), 404, "nope"),
            (Method::PUT, "/api/v1/roles/admin", json!({"permissions": {}}), 409, "admin"),
            (Method::PUT, "/api/v1/roles/r", json!({"permissions": {"*": ["flag.nope"]}}), 422, "flag.nope"),
            (
                Method::PUT,
                "/api/v1/roles/r",
                json!({"permissions": {"staging": ["flag.read"]}}),
                422,
                "staging",
            ),
            (Method::PUT, "/api/v1/roles/R%20!", json!({"permissions": {}}), 422, "/key"),
            (Method::POST, "/api/v1/keys", json!({"name": "", "permissions": ["flag.read"]}), 422, "/name"),
            (Method::POST, "/api/v1/keys", json!({"name": "k", "permissions": []}), 422, "/permissions"),
            (
                Method::POST,
                "/api/v1/keys",
                json!({"name": "k", "permissions": ["flag.read"], "expires_in": "soon"}),
                422,
                "/expires_in",
            ),
            (
                Method::POST,
                "/api/v1/keys",
                json!({"name": "k", "permissions": ["flag.read"], "environment": "nope"}),
                404,
                "nope",
            ),
            (Method::DELETE, "/api/v1/keys/nope", Value::Null, 404, "nope"),
        ],
    )
    .await;
}

#[tokio::test]
async fn environments_and_invitations_that_make_no_sense() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let environment = |member: &str, value: Value| {
        let mut environment = json!({"key": "e", "name": "E", "kind": "development"});
        environment[member] = value;
        environment
    };
    refuses(
        &server,
        &admin,
        &[
            (Method::POST, "/api/v1/environments", environment("key", json!("")), 422, "/key"),
            (Method::POST, "/api/v1/environments", environment("kind", json!("staging")), 422, "development"),
            (
                Method::POST,
                "/api/v1/environments",
                environment("attributes", json!([{"name": "email"}])),
                422,
                "/attributes/0",
            ),
            (
                Method::POST,
                "/api/v1/environments",
                environment("attributes", json!([{"name": "t", "header": "Authorization"}])),
                422,
                "/attributes/0",
            ),
            (Method::POST, "/api/v1/environments", environment("key", json!("default")), 409, "default"),
            (Method::DELETE, "/api/v1/environments/default", Value::Null, 409, "default"),
            (Method::POST, "/api/v1/invitations", json!({"role": "nope"}), 422, "nope"),
            (
                Method::POST,
                "/api/v1/invitations",
                json!({"role": "user", "expires_in": "-1h"}),
                422,
                "/expires_in",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn text_that_is_hard_to_swallow_is_kept_or_refused_but_never_crashes() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let names = [
        "𝓕𝓵𝓪𝓰 🚩",
        "\u{202e}gnorw",
        "a\u{0}b",
        "</script><script>",
        "'; DROP TABLE flags; --",
        "\u{fffd}\u{feff}",
        "ﷺ",
    ];
    for name in names {
        let reply = server.patch("/api/v1/flags/f", &developer, &json!({"name": name})).await;
        match reply.status {
            200 => assert_eq!(server.get("/api/v1/flags/f", &developer).await.json["name"], json!(name)),
            status => assert_eq!(status, 422, "{name:?}: {}", reply.text),
        }
    }
    for body in [
        r#"{"name": "\ud800"}"#,
        r#"{"default_value": 1e400}"#,
        r#"{"description": NaN}"#,
        "{\"name\": \"\u{1}\"}",
        "\u{feff}{}",
        "{} {}",
    ] {
        let request = server.client().patch(server.url("/api/v1/flags/f")).bearer_auth(&developer);
        let reply = server.reply(request.body(body)).await;
        assert_eq!((reply.status, &reply.json["code"]), (400, &json!("bad_json")), "{body}: {}", reply.text);
    }
    for path in [
        "/api/v1/flags/%00",
        "/api/v1/flags/%ff%fe",
        "/api/v1/flags/..%2f..%2fetc%2fpasswd",
        "/api/v1/flags/%2e%2e",
        "/api/v1/flags//evaluate",
        "/api/v1/flags/f/evaluate/more",
        "/api/v1/flags?environment=%00",
        "/gateway/%00",
        "/gateway/..%2fapi",
        "//",
        "/api/v1/flags/f?environment=default&environment=nope&%%%",
    ] {
        let reply = server.get(path, &developer).await;
        assert!((200..500).contains(&reply.status), "{path}: {} {}", reply.status, reply.text);
        assert!(reply.status == 200 || reply.json["error"].is_string(), "{path}: {}", reply.text);
    }
    let long = server.get(&format!("/api/v1/flags/{}", "x".repeat(60_000)), &developer).await;
    assert!([404, 414, 422, 431].contains(&long.status), "{} {}", long.status, long.text);
    let request = server.client().get(server.url("/health")).header("x-long", "y".repeat(100_000));
    assert_eq!(server.reply(request).await.status, 431);
    let reason = server.client().post(server.url("/api/v1/flags/f/disable")).bearer_auth(&developer);
    let reason = server.reply(reason.header("x-flagbase-reason", "z".repeat(1001)).json(&json!({}))).await;
    assert_eq!((reason.status, &reason.json["code"]), (400, &json!("bad_reason")), "{}", reason.text);
    server.get("/api/v1/flags/f/evaluate", &developer).await.expect_status(200);
}
