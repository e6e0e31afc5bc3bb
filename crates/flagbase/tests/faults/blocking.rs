//! B1 to B4.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, Ordering},
};

use flagbase_testkit::server::{PASSWORD, TestServer};
use reqwest::Method;
use serde_json::json;

use super::{EAGER_GUARD, PROGRAM, error_of, eventually, forge, is_enabled, on};

const SEED_SECRET: &str = "change-me-in-production";

#[tokio::test]
async fn b1_the_guard_disables_a_flag_while_everything_else_goes_on() {
    let mut server = TestServer::start_with(PROGRAM, &[EAGER_GUARD]).await;
    let developer = server.join("dev@example.com", "developer").await;
    for key in ["hurting", "hurting-too", "other"] {
        server.post("/api/v1/flags", &developer, &on(key)).await.expect_status(201);
    }
    let done = AtomicBool::new(false);
    let during = |what: &'static str| {
        let (server, developer, done) = (&server, &developer, &done);
        async move {
            let mut times = 0;
            while !done.load(Ordering::Relaxed) {
                match what {
                    "login" => drop(server.login("dev@example.com").await),
                    "edit" => drop(
                        server.put("/api/v1/flags/other", developer, &on("other")).await.expect_status(200),
                    ),
                    _ => drop(
                        server
                            .post("/api/v1/metrics", developer, &error_of("other"))
                            .await
                            .expect_status(204),
                    ),
                }
                times += 1;
                tokio::time::sleep(std::time::Duration::from_millis(if what == "event" { 200 } else { 5 }))
                    .await;
            }
            times
        }
    };
    let hurt = async {
        for _ in 0..11 {
            server.post("/api/v1/metrics", &developer, &error_of("hurting")).await.expect_status(204);
            server.post("/api/v1/metrics", &developer, &error_of("hurting-too")).await.expect_status(204);
        }
        for key in ["hurting", "hurting-too"] {
            eventually("disabling", async || (!is_enabled(&server, &developer, key).await).then_some(()))
                .await;
        }
        // More than one look later the server must still be there.
        super::guard_looks(&server, 6.0).await;
        done.store(true, Ordering::Relaxed);
    };
    let ((), logins, edits, events) = tokio::join!(hurt, during("login"), during("edit"), during("event"));
    assert!(logins > 2 && edits > 10 && events > 2, "{logins} logins, {edits} edits, {events} events");

    let changes = server.get("/api/v1/flags/hurting/history", &developer).await.expect_status(200);
    let disabled: Vec<_> =
        changes.json.as_array().unwrap().iter().filter(|row| row["verb"] == "disabled").collect();
    assert_eq!(disabled.len(), 1, "one audit row: {}", changes.text);
    assert_eq!(disabled[0]["actor"]["kind"], json!("guard"));

    server.terminate();
    assert!(server.wait().await.success(), "the guard does not hold up the end");
    server.restart().await;
    let developer = server.login("dev@example.com").await;
    assert!(!is_enabled(&server, &developer, "hurting").await, "it was written down");
}

#[tokio::test]
async fn b2_a_developer_can_do_all_that_the_readme_shows() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    server.get("/api/v1/flags", &developer).await.expect_status(200);
    server.get("/api/v1/flags/f", &developer).await.expect_status(200);
    server.put("/api/v1/flags/f", &developer, &on("f")).await.expect_status(200);
    server.patch("/api/v1/flags/f", &developer, &json!({"description": "x"})).await.expect_status(200);
    let seen = server.get("/api/v1/flags/f/evaluate", &developer).await.expect_status(200);
    assert_eq!(seen.json["value"], json!(true));
    server.post("/api/v1/metrics", &developer, &error_of("f")).await.expect_status(204);
    let route = json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9", "flag_key": "f"});
    let route = server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let route = format!("/api/v1/gateway/routes/{}", route.json["id"].as_str().unwrap());
    server.get("/api/v1/gateway/routes", &developer).await.expect_status(200);
    server.delete(&route, &developer).await.expect_status(204);
    server.delete("/api/v1/flags/f", &developer).await.expect_status(204);
}

#[tokio::test]
async fn b3_nobody_registers_with_a_role_of_his_choice_and_nothing_is_made_when_he_tries() {
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    for (at, role) in
        ["admin", "Admin", "ADMIN", " admin", "owner", "developer,admin", "nope", "viewer"].iter().enumerate()
    {
        let email = format!("alice{at}@example.com");
        let refused = server.register(&email, Some(role)).await;
        assert_eq!(
            (refused.status, &refused.json["code"]),
            (403, &json!("role_not_assignable")),
            "{role}: {}",
            refused.text
        );
        let credentials = json!({"email": email, "password": PASSWORD});
        let login = server.send(Method::POST, "/auth/login", None, Some(&credentials)).await;
        assert_eq!(login.status, 401, "{role}: no account was made");
        let made = server.register(&email, None).await.expect_status(201);
        assert_eq!(made.json["role"], json!("user"), "the address is still free");
    }
    let sneaky = json!({"email": "bob@example.com", "password": PASSWORD, "role": ["admin"]});
    server.send(Method::POST, "/auth/register", None, Some(&sneaky)).await.expect_status(422);
    let sneaky = json!({"email": "bob@example.com", "password": PASSWORD, "grants": [{"environment": "default", "role": "admin"}]});
    server.send(Method::POST, "/auth/register", None, Some(&sneaky)).await.expect_status(422);
    let users = server.get("/api/v1/users?search=bob", &admin).await.expect_status(200);
    assert_eq!(users.json, json!([]));
}

#[tokio::test]
async fn b3_the_role_admin_cannot_be_made_assignable() {
    let server = TestServer::start(PROGRAM).await;
    let mut start = server.command(&["start"]);
    let ended = start.env("FLAGBASE_IAM__SELF_ASSIGNABLE_ROLES", "[developer, admin]").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(78), "{said}");
    assert!(said.contains("self_assignable_roles"), "{said}");
}

#[tokio::test]
async fn b4_the_default_secret_signs_nothing_even_when_it_is_configured() {
    let mut server = TestServer::start_with(PROGRAM, &[("FLAGBASE_IAM__JWT_SECRET", SEED_SECRET)]).await;
    let token = server.join("dev@example.com", "developer").await;
    let claims = forge::decode(&token, 1);
    for header in [forge::plain_header(), forge::decode(&token, 0)] {
        let forged = forge::sign(&header, &claims, SEED_SECRET.as_bytes());
        server.get("/auth/me", &forged).await.expect_status(401);
    }

    let path = server.directory().join("data/secret.key");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the generated secret is its owner's alone");
    let secret = std::fs::read_to_string(&path).unwrap();
    assert!(secret.trim().len() >= 32 && secret != SEED_SECRET);
    let own = forge::sign(&forge::decode(&token, 0), &claims, secret.trim().as_bytes());
    assert_eq!(server.get("/auth/me", &own).await.status, 200, "it is what signs");

    server.restart().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), secret, "a restart keeps it");
    server.get("/auth/me", &token).await.expect_status(200);
}

#[tokio::test]
async fn b4_any_other_mode_refuses_a_secret_that_can_be_guessed() {
    let server = TestServer::start(PROGRAM).await;
    let short = "0123456789abcdef0123456789abcde";
    for secret in [None, Some(""), Some(SEED_SECRET), Some("secret"), Some(short), Some(&"a".repeat(64))] {
        let mut start = server.command(&["start"]);
        start.env("FLAGBASE_MODE", "cluster");
        if let Some(secret) = secret {
            start.env("FLAGBASE_IAM__JWT_SECRET", secret);
        }
        let ended = start.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(78), "{secret:?}: {said}");
        assert!(said.contains("iam.jwt_secret") && said.contains("FLAGBASE_IAM__JWT_SECRET"), "{said}");
        assert!(
            secret.is_none_or(|secret| secret.len() < 20 || secret == SEED_SECRET || !said.contains(secret)),
            "{said}"
        );
    }
}

#[tokio::test]
async fn b4_the_first_releases_configuration_starts_locally_and_nowhere_else() {
    let server = TestServer::start(PROGRAM).await;
    let file = server.directory().join("config.yaml");
    let seed = "server:\n  host: \"0.0.0.0\"\n  port: 8080\ndatabase:\n  path: \"flagbase.db\"\niam:\n  \
                jwt_secret: \"change-me-in-production\"\n  token_ttl: 24h\nstorage:\n  base_path: \"./data/storage\"\n\
                events:\n  nats_port: 4222\n";
    std::fs::write(&file, seed).unwrap();
    let validate = |mode: &str| {
        let mut command = server.command(&["config", "validate", "--config", file.to_str().unwrap()]);
        command.env("FLAGBASE_MODE", mode).output().unwrap().status.code()
    };
    assert_eq!((validate("local"), validate("cluster")), (Some(0), Some(78)));
}
