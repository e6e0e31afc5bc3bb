//! Identity over HTTP, on the fakes: what the first API promised, and what it got wrong.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod server;

use axum::http::StatusCode;
use serde_json::json;

use crate::server::{PASSWORD, server};

#[tokio::test]
async fn the_first_apis_register_and_login_still_work_as_they_did() {
    let server = server().await;
    let body = json!({"email": "Alice@example.com", "password": PASSWORD, "role": "developer"});
    let made = server.post("/auth/register", "", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.json["email"], "alice@example.com");
    assert_eq!(made.json["role"], "developer");
    assert_eq!(made.json["tenant_id"], "default");
    assert_eq!(made.json["groups"], json!([]));
    assert_eq!(made.json["id"].as_str().unwrap().len(), 32);
    assert!(made.json["created_at"].as_str().unwrap().ends_with('Z'));

    let again = server.post("/auth/register", "", &body).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.json["code"], "user_exists");
    assert!(again.json["error"].as_str().unwrap().starts_with("user already exists"));

    let login = json!({"email": "alice@example.com", "password": PASSWORD});
    let login = server.post("/auth/login", "", &login).await;
    assert_eq!(login.status, StatusCode::OK);
    assert_eq!(login.json["token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(login.json["user"]["role"], "developer");
    assert!(!login.text.contains("argon2"), "{}", login.text);
}

#[tokio::test]
async fn a_developer_uses_flags_with_nothing_else_set_up() {
    let server = server().await;
    let token = server.join("alice@example.com", "developer").await;
    let flag = json!({"key": "checkout", "name": "Checkout", "enabled": true, "default_value": false});
    let made = server.post("/api/v1/flags", &token, &flag).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let seen = server.get("/api/v1/flags/checkout/evaluate", &token).await;
    assert_eq!((seen.status, &seen.json["value"]), (StatusCode::OK, &json!(false)));
    assert_eq!(server.delete("/api/v1/flags/checkout", &token).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_plain_user_may_look_and_not_touch() {
    let server = server().await;
    let token = server.join("bob@example.com", "user").await;
    assert_eq!(server.get("/api/v1/flags", &token).await.status, StatusCode::OK);
    let flag = json!({"key": "checkout", "enabled": true});
    let refused = server.post("/api/v1/flags", &token, &flag).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    for path in ["/api/v1/users", "/api/v1/roles", "/api/v1/keys"] {
        assert_eq!(server.get(path, &token).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn asking_for_the_administrators_role_makes_no_account() {
    let server = server().await;
    let body = json!({"email": "mallory@example.com", "password": PASSWORD, "role": "admin"});
    let refused = server.post("/auth/register", "", &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json["code"], "role_not_assignable");
    let body = json!({"email": "mallory@example.com", "password": PASSWORD});
    assert_eq!(server.post("/auth/login", "", &body).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_bad_token_hurts_only_where_a_token_is_needed() {
    let server = server().await;
    let token = server.join("alice@example.com", "user").await;
    server.clock.advance_seconds(86_400);
    for bad in [token.as_str(), "nonsense", "fb_0000000000000000_0"] {
        assert_eq!(server.get("/health", bad).await.status, StatusCode::OK);
        assert_eq!(server.get("/setup/status", bad).await.status, StatusCode::OK);
        let login = json!({"email": "alice@example.com", "password": PASSWORD});
        assert_eq!(server.post("/auth/login", bad, &login).await.status, StatusCode::OK);
        let register = json!({"email": "taken", "password": PASSWORD});
        let answer = server.post("/auth/register", bad, &register).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json["errors"][0]["pointer"], "/email");
        for path in ["/api/v1/flags", "/auth/me", "/auth/sessions", "/api/v1/users"] {
            let answer = server.get(path, bad).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(server.get("/auth/me", "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_told_apart_and_change_nothing() {
    let server = server().await;
    for (text, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("{", StatusCode::BAD_REQUEST),
        (r#"{"email":"a@example.com","email":"b@example.com","password":"x"}"#, StatusCode::BAD_REQUEST),
        (r#"{"email":7,"password":"long enough"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"email":"a@example.com"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (
            r#"{"email":"a@example.com","password":"x y z x y z","rol":"user"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (r#"{"email":"a@example.com","password":"1234567"}"#, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = server.send("POST", "/auth/register", "", text.to_owned()).await;
        assert_eq!(answer.status, status, "{text}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert!(server.changes_of_users().await.is_empty());
}

#[tokio::test]
async fn guessing_is_slowed_down_and_says_for_how_long() {
    let server = server().await;
    let body = json!({"email": "alice@example.com", "password": "wrong password"});
    for _ in 0..10 {
        assert_eq!(server.post("/auth/login", "", &body).await.status, StatusCode::UNAUTHORIZED);
    }
    let limited = server.post("/auth/login", "", &body).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(limited.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn the_first_administrator_comes_by_the_setup_token() {
    let server = server().await;
    assert_eq!(server.get("/setup/status", "").await.json, json!({"needs_setup": true}));
    let setup = |token: &str| json!({"token": token, "email": "admin@example.com", "password": PASSWORD});
    let wrong = server.post("/setup", "", &setup("nonsense")).await;
    assert_eq!(
        (wrong.status, &wrong.json["code"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_setup_token"))
    );
    let token = server.identity.setup_token().await.unwrap().token;
    let made = server.post("/setup", "", &setup(&token)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(server.get("/setup/status", "").await.json, json!({"needs_setup": false}));
    let admin = made.json["token"].as_str().unwrap();
    assert_eq!(server.get("/api/v1/users", admin).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_an_administrator_does_to_an_account_acts_at_once() {
    let server = server().await;
    let admin = server.administrator().await;
    let admin = admin.as_str();
    let alice = server.join("alice@example.com", "developer").await;
    let users = server.get("/api/v1/users?limit=1", admin).await;
    assert_eq!(users.json[0]["email"], "admin@example.com");
    let next = users.headers["link"].to_str().unwrap();
    assert!(next.contains("after=admin%40example.com") && next.contains("rel=\"next\""), "{next}");
    let found = server.get("/api/v1/users?search=alice", admin).await;
    let path = format!("/api/v1/users/{}", found.json[0]["id"].as_str().unwrap());

    let stale =
        server.change(("PATCH", &path), admin, ("if-match", "\"99\""), &json!({"role": "user"})).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let demoted =
        server.change(("PATCH", &path), admin, ("if-match", "\"1\""), &json!({"role": "user"})).await;
    assert_eq!((demoted.status, &demoted.headers["etag"]), (StatusCode::OK, &"\"2\"".parse().unwrap()));
    let flag = json!({"key": "late", "enabled": true});
    assert_eq!(server.post("/api/v1/flags", &alice, &flag).await.status, StatusCode::FORBIDDEN, "at once");
    assert_eq!(
        server.post(&format!("{path}/logout"), admin, &json!({})).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(server.get("/auth/me", &alice).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.delete(&path, admin).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path, admin).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn me_says_who_is_asking_and_what_he_may() {
    let server = server().await;
    let token = server.join("alice@example.com", "developer").await;
    let me = server.get("/auth/me", &token).await.json;
    assert_eq!(
        (&me["kind"], &me["email"], &me["role"]),
        (&json!("user"), &json!("alice@example.com"), &json!("developer"))
    );
    assert!(me["permissions"]["default"].as_array().unwrap().contains(&json!("flag.create")));
    let session = me["session"]["id"].as_str().unwrap();
    let sessions = server.get("/auth/sessions", &token).await.json;
    assert_eq!((&sessions[0]["id"], &sessions[0]["current"]), (&json!(session), &json!(true)));

    let key = json!({"name": "ci", "permissions": ["flag.evaluate"], "expires_in": "720h"});
    let key = server.post("/api/v1/keys", &token, &key).await;
    assert_eq!(key.status, StatusCode::CREATED, "{}", key.json);
    let as_key = server.get("/auth/me", key.json["token"].as_str().unwrap()).await.json;
    assert_eq!((&as_key["kind"], &as_key["name"]), (&json!("api_key"), &json!("ci")));
    assert_eq!(as_key["permissions"], json!({"default": ["flag.evaluate"]}));
    let listed = server.get("/api/v1/keys", &token).await;
    assert!(!listed.text.contains("secret") && !listed.text.contains("token"), "{}", listed.text);
}

#[tokio::test]
async fn logging_out_and_a_new_password_end_what_they_should() {
    let server = server().await;
    let first = server.join("alice@example.com", "user").await;
    let second = server.login("alice@example.com", PASSWORD).await;
    let change = json!({"current": PASSWORD, "new": "another fine password"});
    assert_eq!(server.post("/auth/password", &second, &change).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/auth/me", &first).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.get("/auth/me", &second).await.status, StatusCode::OK);
    assert_eq!(server.post("/auth/logout", &second, &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/auth/me", &second).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn roles_and_invitations_are_administered() {
    let server = server().await;
    let admin = server.administrator().await;
    let role = json!({"name": "On call", "permissions": {"*": ["flag.read", "flag.update"]}});
    let made = server.change(("PUT", "/api/v1/roles/on-call"), &admin, ("if-none-match", "*"), &role).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.json);
    let bad = json!({"permissions": {"*": ["flag.everything"]}});
    let refused = server.change(("PUT", "/api/v1/roles/on-call"), &admin, ("x-a", ""), &bad).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json["errors"][0]["pointer"], "/permissions/*/0");
    let fixed = server.change(("PUT", "/api/v1/roles/admin"), &admin, ("x-a", ""), &role).await;
    assert_eq!(fixed.status, StatusCode::CONFLICT);

    let invited = server.post("/api/v1/invitations", &admin, &json!({"role": "on-call"})).await;
    assert_eq!(invited.status, StatusCode::CREATED);
    let other = server.post("/api/v1/invitations", &admin, &json!({"role": "user"})).await.json;
    let open = server.get("/api/v1/invitations", &admin).await.json;
    assert_eq!((&open[0]["id"], open[0].get("token")), (&invited.json["id"], None), "{open}");
    let place = format!("/api/v1/invitations/{}", other["id"].as_str().unwrap());
    assert_eq!(server.delete(&place, &admin).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.delete(&place, &admin).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/v1/invitations", &admin).await.json.as_array().unwrap().len(), 1);
    let body =
        json!({"email": "carol@example.com", "password": PASSWORD, "invitation": invited.json["token"]});
    assert_eq!(server.post("/auth/register", "", &body).await.json["role"], "on-call");
    assert_eq!(server.delete("/api/v1/roles/on-call", &admin).await.status, StatusCode::NO_CONTENT);
    let carol = server.login("carol@example.com", PASSWORD).await;
    assert_eq!(
        server.get("/api/v1/flags", &carol).await.status,
        StatusCode::FORBIDDEN,
        "a role that is gone permits nothing"
    );
}
