//! How the API behaves whatever is asked: headers, parameters nobody reads, bodies of the wrong kind, helpful words.

use flagbase_testkit::server::TestServer;
use reqwest::Method;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

#[tokio::test]
async fn an_environment_is_called_what_the_address_says() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let made = server.put("/api/v1/environments/staging", &admin, &json!({"name": "Staging"})).await;
    made.expect_status(201);
    let shown = server.get("/api/v1/environments/staging", &admin).await.expect_status(200);
    assert_eq!((&shown.json["key"], &shown.json["name"]), (&json!("staging"), &json!("Staging")));
    let other = server.put("/api/v1/environments/staging", &admin, &json!({"key": "live"})).await;
    let other = other.expect_status(422);
    assert!(other.text.contains("a key cannot be changed"), "{}", other.text);
    let nameless =
        server.post("/api/v1/environments", &admin, &json!({"name": "x"})).await.expect_status(422);
    assert_eq!(nameless.json["errors"][0]["pointer"], "/key");
}

#[tokio::test]
async fn a_body_of_the_wrong_kind_is_told_so_in_words_of_json() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    for (method, path) in [
        (Method::POST, "/auth/register"),
        (Method::POST, "/auth/login"),
        (Method::POST, "/auth/password"),
        (Method::POST, "/setup"),
        (Method::POST, "/api/v1/users"),
        (Method::POST, "/api/v1/invitations"),
        (Method::POST, "/api/v1/keys"),
        (Method::PUT, "/api/v1/roles/tester"),
        (Method::POST, "/api/v1/environments"),
        (Method::PUT, "/api/v1/environments/a"),
        (Method::PUT, "/api/v1/guards/a"),
        (Method::POST, "/api/v1/flags"),
        (Method::PUT, "/api/v1/flags/a"),
        (Method::POST, "/api/v1/flags/a/evaluate"),
        (Method::POST, "/api/v1/flags/a/revert"),
        (Method::PUT, "/api/v1/flags/a/override"),
        (Method::POST, "/api/v1/segments"),
        (Method::PUT, "/api/v1/segments/a"),
        (Method::POST, "/api/v1/gateway/routes"),
        (Method::POST, "/api/v1/gateway/routes/test"),
    ] {
        for body in [json!([]), json!(["a", "b", "c", "d"]), json!("text"), json!(1)] {
            let reply = server.send(method.clone(), path, Some(&admin), Some(&body)).await;
            let detail = reply.json["detail"].as_str().unwrap_or_default().to_owned();
            assert!(matches!(reply.status, 422 | 409 | 404), "{method} {path} {body}: {}", reply.text);
            assert!(!detail.starts_with(':'), "{method} {path} {body}: {detail}");
            for word in ["struct", "Body", "invalid length", "invalid type", "u64", "sequence"] {
                assert!(!detail.contains(word), "{method} {path} {body}: {detail}");
            }
        }
    }
    let register = server.post("/auth/register", "", &json!([])).await.expect_status(422);
    assert_eq!(register.json["detail"], "expected an object, got an array");
    let register = server.post("/auth/register", "", &json!({"email": 1})).await.expect_status(422);
    assert_eq!(register.json["detail"], "/email: expected a string, got `1`");
}

#[tokio::test]
async fn a_parameter_nobody_reads_is_refused() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let refused = server.get("/api/v1/flags?enviroment=staging", &developer).await.expect_status(400);
    assert_eq!(refused.json["code"], "bad_query");
    assert_eq!(refused.json["detail"], "unknown query parameter `enviroment`; did you mean `environment`?");
    server.get("/api/v1/flags?environment=default&limit=5", &developer).await.expect_status(200);
    server.get("/health?probe=1", "").await.expect_status(200);
}

#[tokio::test]
async fn a_slash_within_a_key_is_explained_where_it_goes_wrong() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let lost = server.get("/api/v1/flags/team/x", &developer).await.expect_status(404);
    assert_eq!(lost.json["code"], "path_not_found");
    assert!(lost.text.contains("a `/` within a key is written `%2F`"), "{}", lost.text);
    let elsewhere = server.get("/nowhere", &developer).await.expect_status(404);
    assert!(!elsewhere.text.contains("%2F"), "{}", elsewhere.text);
}

#[tokio::test]
async fn every_answer_keeps_browsers_from_guessing_and_the_documentation_keeps_to_itself() {
    let server = TestServer::start(PROGRAM).await;
    for path in ["/health", "/docs/", "/openapi.json", "/nowhere", "/api/v1/flags", "/metrics"] {
        let reply = server.get(path, "").await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
    }
    let docs = server.get("/docs/", "").await.expect_status(200);
    let policy = docs.header("content-security-policy").unwrap_or_default();
    for part in ["default-src 'none'", "script-src 'self';", "connect-src 'self';", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{part} is not in {policy}");
    }
    assert!(!policy.contains("http"), "nothing from elsewhere: {policy}");
}
