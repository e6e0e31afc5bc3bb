//! What roles, grants and keys permit, and that a change of them acts on the next request.

use flagbase_testkit::server::{PASSWORD, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PROGRAM, error_of, on};

async fn id_of(server: &TestServer, token: &str) -> String {
    server.get("/auth/me", token).await.expect_status(200).json["id"].as_str().unwrap().to_owned()
}

async fn production(server: &TestServer, admin: &str) {
    let environment = json!({"key": "production", "name": "Production", "kind": "production"});
    server.post("/api/v1/environments", admin, &environment).await.expect_status(201);
    let flag = "/api/v1/flags?environment=production";
    server.post(flag, admin, &on("f")).await.expect_status(201);
}

#[tokio::test]
async fn demotion_disabling_and_logout_act_on_the_next_request() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let second = json!({"email": "admin2@example.com", "password": PASSWORD, "role": "admin"});
    server.post("/api/v1/users", &admin, &second).await.expect_status(201);
    let demoted = server.login("admin2@example.com").await;
    server.get("/api/v1/users", &demoted).await.expect_status(200);
    let user = format!("/api/v1/users/{}", id_of(&server, &demoted).await);
    server.patch(&user, &admin, &json!({"role": "user"})).await.expect_status(200);
    server.get("/api/v1/users", &demoted).await.expect_status(403);
    server.patch(&user, &demoted, &json!({"role": "admin"})).await.expect_status(403);
    assert_eq!(server.get("/auth/me", &demoted).await.json["role"], json!("user"), "the session goes on");

    server.patch(&user, &admin, &json!({"disabled": true})).await.expect_status(200);
    server.get("/auth/me", &demoted).await.expect_status(401);
    let credentials = json!({"email": "admin2@example.com", "password": PASSWORD});
    let refused = server.send(Method::POST, "/auth/login", None, Some(&credentials)).await.expect_status(403);
    assert_eq!(refused.json["code"], json!("user_disabled"));

    let me = format!("/api/v1/users/{}", id_of(&server, &admin).await);
    for change in [json!({"role": "user"}), json!({"disabled": true})] {
        let refused = server.patch(&me, &admin, &change).await.expect_status(409);
        assert_eq!(refused.json["code"], json!("last_admin"));
    }
    server.post("/auth/logout", &admin, &json!({})).await.expect_status(204);
    server.get("/auth/me", &admin).await.expect_status(401);
}

#[tokio::test]
async fn an_administrator_ends_all_sessions_of_a_user_at_once() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let (one, two) =
        (server.join("dev@example.com", "developer").await, server.login("dev@example.com").await);
    let sessions = server.get("/auth/sessions", &one).await.expect_status(200);
    assert_eq!(sessions.json.as_array().unwrap().len(), 2, "{}", sessions.text);
    let user = id_of(&server, &one).await;
    let ended = server.post(&format!("/api/v1/users/{user}/logout"), &admin, &json!({})).await;
    assert!(ended.status < 300, "{}", ended.text);
    for token in [one, two] {
        server.get("/auth/me", &token).await.expect_status(401);
    }
    server.get("/auth/me", &admin).await.expect_status(200);
}

#[tokio::test]
async fn an_api_key_does_what_it_lists_where_it_belongs_and_nothing_else() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    production(&server, &admin).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("only-here")).await.expect_status(201);

    let key = json!({"name": "ci", "environment": "production", "permissions": ["flag.read", "flag.evaluate", "metric.record"]});
    let refused = server.post("/api/v1/keys", &developer, &key).await;
    assert_eq!(refused.status, 403, "a developer makes no keys for production: {}", refused.text);
    let made = server.post("/api/v1/keys", &admin, &key).await.expect_status(201);
    let token = made.json["token"].as_str().unwrap();
    assert!(token.starts_with("fb_"));

    let seen = server.get("/api/v1/flags/f/evaluate", token).await.expect_status(200);
    assert_eq!(seen.json["value"], json!(true), "without a name its own environment is meant");
    server.get("/api/v1/flags/f?environment=production", token).await.expect_status(200);
    server.post("/api/v1/metrics", token, &error_of("f")).await.expect_status(204);
    server.get("/api/v1/flags/only-here", token).await.expect_status(404);
    for (method, path, body) in [
        (Method::GET, "/api/v1/flags?environment=default", Value::Null),
        (Method::GET, "/api/v1/flags/only-here/evaluate?environment=default", Value::Null),
        (Method::POST, "/api/v1/metrics?environment=default", error_of("only-here")),
        (Method::POST, "/api/v1/flags", on("g")),
        (Method::DELETE, "/api/v1/flags/f", Value::Null),
        (Method::GET, "/api/v1/users", Value::Null),
        (Method::GET, "/api/v1/gateway/routes", Value::Null),
        (Method::POST, "/api/v1/keys", key.clone()),
        (Method::PUT, "/api/v1/flags/f/override", json!({"variant": "false"})),
    ] {
        let reply = server.send(method.clone(), path, Some(token), (!body.is_null()).then_some(&body)).await;
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text);
    }
    let header = server.client().get(server.url("/api/v1/flags")).header("x-api-key", token);
    assert_eq!(server.reply(header).await.status, 200);
    let (id, secret) = token.trim_start_matches("fb_").split_once('_').unwrap();
    for bad in [
        format!("fb_{id}_{}", "0".repeat(secret.len())),
        format!("fb_{id}_"),
        format!("fb_{id}"),
        "fb_".to_owned(),
    ] {
        server.get("/api/v1/flags", &bad).await.expect_status(401);
    }
    let keys = server.get("/api/v1/keys", &admin).await.expect_status(200);
    assert!(!keys.text.contains(secret), "it is told only once");
    server.delete(&format!("/api/v1/keys/{id}"), &admin).await.expect_status(204);
    server.get("/api/v1/flags", token).await.expect_status(401);
}

#[tokio::test]
async fn nobody_gives_a_key_more_than_he_may_do_himself() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for (permission, status) in
        [("flag.update", 201), ("user.manage", 403), ("environment.write", 403), ("everything", 422)]
    {
        let key = json!({"name": "k", "permissions": [permission]});
        let reply = server.post("/api/v1/keys", &developer, &key).await;
        let refused = status >= 400 && (reply.status == 403 || reply.status == 422);
        assert!(refused || reply.status == status, "{permission}: {} {}", reply.status, reply.text);
    }
    let unknown = json!({"name": "k", "environment": "nope", "permissions": ["flag.read"]});
    server.post("/api/v1/keys", &developer, &unknown).await.expect_status(404);
}

#[tokio::test]
async fn a_developer_only_reads_and_evaluates_in_production_until_granted_more() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    production(&server, &admin).await;
    let developer = server.join("dev@example.com", "developer").await;
    let at = |path: &str| format!("{path}?environment=production");
    for path in [
        "/api/v1/flags",
        "/api/v1/flags/f",
        "/api/v1/flags/f/evaluate",
        "/api/v1/evaluate",
        "/api/v1/flags/f/metrics",
    ] {
        let reply = server.get(&at(path), &developer).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
    let changes = [
        (Method::POST, "/api/v1/flags", on("g")),
        (Method::PUT, "/api/v1/flags/f", on("f")),
        (Method::PATCH, "/api/v1/flags/f", json!({"enabled": false})),
        (Method::POST, "/api/v1/flags/f/disable", json!({})),
        (Method::DELETE, "/api/v1/flags/f", Value::Null),
        (Method::PUT, "/api/v1/flags/f/override", json!({"variant": "false"})),
        (
            Method::POST,
            "/api/v1/gateway/routes",
            json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9"}),
        ),
        (Method::POST, "/api/v1/metrics", error_of("f")),
        (Method::DELETE, "/api/v1/guards/errors", Value::Null),
    ];
    for (method, path, body) in &changes {
        let reply =
            server.send(method.clone(), &at(path), Some(&developer), (!body.is_null()).then_some(body)).await;
        assert_eq!(
            (reply.status, &reply.json["code"]),
            (403, &json!("forbidden")),
            "{method} {path}: {}",
            reply.text
        );
    }
    let user = format!("/api/v1/users/{}", id_of(&server, &developer).await);
    let grant = json!({"grants": [{"environment": "production", "role": "admin"}]});
    server.patch(&user, &admin, &grant).await.expect_status(200);
    server.patch(&at("/api/v1/flags/f"), &developer, &json!({"enabled": false})).await.expect_status(200);
    server.get("/api/v1/users", &developer).await.expect_status(403);
    server.patch(&user, &admin, &json!({"grants": []})).await.expect_status(200);
    server.patch(&at("/api/v1/flags/f"), &developer, &json!({"enabled": true})).await.expect_status(403);
}

#[tokio::test]
async fn nobody_raises_himself_or_others_above_his_own_power() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let role = json!({"name": "Desk", "permissions": {"*": ["user.manage", "flag.read"]}});
    let made = server.put("/api/v1/roles/desk", &admin, &role).await;
    assert!(made.status < 300, "{}", made.text);
    let desk = json!({"email": "desk@example.com", "password": PASSWORD, "role": "desk"});
    server.post("/api/v1/users", &admin, &desk).await.expect_status(201);
    let desk = server.login("desk@example.com").await;
    let (me, boss) = (id_of(&server, &desk).await, id_of(&server, &admin).await);
    for (path, change) in [
        (format!("/api/v1/users/{me}"), json!({"role": "admin"})),
        (format!("/api/v1/users/{me}"), json!({"grants": [{"environment": "default", "role": "admin"}]})),
        (format!("/api/v1/users/{boss}"), json!({"role": "user"})),
        (format!("/api/v1/users/{boss}"), json!({"password": "a password of mine"})),
    ] {
        let reply = server.patch(&path, &desk, &change).await;
        assert_eq!(reply.status, 403, "{path} {change}: {}", reply.text);
    }
    let accomplice = json!({"email": "x@example.com", "password": PASSWORD, "role": "admin"});
    server.post("/api/v1/users", &desk, &accomplice).await.expect_status(403);
    server.post("/api/v1/invitations", &desk, &json!({"role": "admin"})).await.expect_status(403);
    let power = json!({"permissions": {"*": ["user.manage", "flag.read", "flag.delete"]}});
    server.put("/api/v1/roles/desk", &desk, &power).await.expect_status(403);
}
