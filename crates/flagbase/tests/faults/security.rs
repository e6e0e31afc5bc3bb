//! S1, S2, S3 and S7.

use std::time::Duration;

use flagbase_testkit::{
    backend::Backend,
    server::{PASSWORD, Reply, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EAGER_GUARD, PROGRAM, error_of, eventually, guard_looks, is_enabled, on};

async fn login(server: &TestServer, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    server.send(Method::POST, "/auth/login", None, Some(&body)).await
}

#[tokio::test]
async fn s1_passwords_that_are_easily_guessed_are_refused_with_advice() {
    let server = TestServer::start(PROGRAM).await;
    let long = "x".repeat(257);
    for (email, password, pointer) in [
        ("alice@example.com", "", "/password"),
        ("alice@example.com", "short", "/password"),
        ("alice@example.com", "password", "/password"),
        ("alice@example.com", "12345678", "/password"),
        ("alice@example.com", "PassWord", "/password"),
        ("alice@example.com", "alice@example.com", "/password"),
        ("alice@example.com", &long, "/password"),
        ("", PASSWORD, "/email"),
        ("alice", PASSWORD, "/email"),
        ("alice@", PASSWORD, "/email"),
        ("alice@example.com\n", PASSWORD, "/email"),
        ("alice@exämple.com", PASSWORD, "/email"),
    ] {
        let body = json!({"email": email, "password": password});
        let reply = server.send(Method::POST, "/auth/register", None, Some(&body)).await;
        assert_eq!(reply.status, 422, "{email:?} {password:?}: {}", reply.text);
        assert_eq!(reply.json["errors"][0]["pointer"], json!(pointer), "{}", reply.text);
        // `password` is also the name of the member.
        assert!(password.len() < 9 || !reply.text.contains(password), "it is not repeated");
        assert_eq!(login(&server, email, password).await.status, 401, "nothing was made");
    }
    server.register("alice@example.com", None).await.expect_status(201);
    let again = server.register("Alice@Example.com", None).await.expect_status(409);
    assert_eq!(again.json["code"], json!("user_exists"));
}

#[tokio::test]
async fn s1_passwords_are_kept_as_salted_argon2id() {
    let mut server = TestServer::start(PROGRAM).await;
    for email in ["alice@example.com", "bob@example.com"] {
        server.register(email, None).await.expect_status(201);
    }
    server.terminate();
    assert!(server.wait().await.success());
    let database = std::fs::read(server.directory().join("flagbase.db")).unwrap();
    let text = String::from_utf8_lossy(&database).into_owned();
    let hashes: Vec<&str> =
        text.match_indices("$argon2id$v=19$").map(|(at, _)| text[at..].get(..90).unwrap()).collect();
    assert!(hashes.len() >= 2, "{hashes:?}");
    assert!(hashes.iter().all(|hash| hash.contains("m=19456,t=2,p=1")), "{hashes:?}");
    assert_ne!(hashes[0], hashes[1], "the same password, another salt");
    assert!(!text.contains(PASSWORD));
}

/// Guesses until the address is locked for 4 seconds or more; returns the refusals on the way.
async fn guess(server: &TestServer, email: &str) -> (Reply, Reply) {
    let mut wrong = None;
    loop {
        let reply = login(server, email, "not the password at all").await;
        if reply.status == 401 {
            wrong = Some(reply);
            continue;
        }
        assert_eq!(reply.status, 429, "{}", reply.text);
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        if wait >= 4 {
            return (wrong.unwrap(), reply);
        }
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[tokio::test]
async fn s1_guessing_locks_an_address_alike_whether_it_exists_or_not() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_IAM__LOGIN_ATTEMPTS", "1")]).await;
    server.register("alice@example.com", None).await.expect_status(201);
    let other = server.join("bob@example.com", "user").await;
    let (known, unknown) =
        tokio::join!(guess(&server, "alice@example.com"), guess(&server, "nobody@example.com"));
    let right = login(&server, "ALICE@example.com", PASSWORD).await;
    assert_eq!(
        right.status, 429,
        "the right password does not help meanwhile, in any spelling: {}",
        right.text
    );

    assert_eq!((&known.0.status, &known.0.text), (&unknown.0.status, &unknown.0.text));
    assert_eq!(known.1.json["code"], json!("too_many_attempts"));
    assert_eq!(without_numbers(&known.1.text), without_numbers(&unknown.1.text));
    let names = |reply: &Reply| {
        let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&known.0), names(&unknown.0));
    assert_eq!(names(&known.1), names(&unknown.1));
    server.get("/auth/me", &other).await.expect_status(200);
    assert_eq!(login(&server, "bob@example.com", PASSWORD).await.status, 200, "others are not locked");
}

#[tokio::test]
async fn s1_a_changed_password_ends_all_other_sessions() {
    let server = TestServer::start(PROGRAM).await;
    let here = server.join("alice@example.com", "user").await;
    let elsewhere = server.login("alice@example.com").await;
    let new = "an oak in winter";
    let wrong = json!({"current": "not the password", "new": new});
    server.post("/auth/password", &here, &wrong).await.expect_status(422);
    let weak = json!({"current": PASSWORD, "new": "password"});
    server.post("/auth/password", &here, &weak).await.expect_status(422);
    server.get("/auth/me", &elsewhere).await.expect_status(200);

    server.post("/auth/password", &here, &json!({"current": PASSWORD, "new": new})).await.expect_status(204);
    server.get("/auth/me", &elsewhere).await.expect_status(401);
    server.get("/auth/me", &here).await.expect_status(200);
    assert_eq!(login(&server, "alice@example.com", PASSWORD).await.status, 401);
    assert_eq!(login(&server, "alice@example.com", new).await.status, 200);
}

#[tokio::test]
async fn s2_a_plain_user_reads_and_evaluates_and_changes_nothing() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let user = server.join("customer@example.com", "user").await;
    let made = server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let revision = server.get("/health/ready", &developer).await.json["revision"].clone();
    let route = json!({"pattern": "/x", "backend_url": "http://127.0.0.1:9"});
    let guard = json!({"rule": {"type": "absolute_count"}, "enabled": false});
    let key = json!({"name": "k", "permissions": ["flag.update"]});
    for (method, path, body) in [
        (Method::POST, "/api/v1/flags", on("g")),
        (Method::PUT, "/api/v1/flags/f", on("f")),
        (Method::PUT, "/api/v1/flags/new", on("new")),
        (Method::PATCH, "/api/v1/flags/f", json!({"enabled": false})),
        (Method::DELETE, "/api/v1/flags/f", Value::Null),
        (Method::POST, "/api/v1/flags/f/enable", json!({})),
        (Method::POST, "/api/v1/flags/f/disable", json!({})),
        (Method::POST, "/api/v1/flags/f/revert", json!({"revision": made.json["revision"]})),
        (Method::POST, "/api/v1/flags/bulk", json!([on("f")])),
        (Method::PUT, "/api/v1/flags/f/override", json!({"variant": "false"})),
        (Method::POST, "/api/v1/flags/f/evaluate", json!({"context": {"role": "developer"}})),
        (Method::PUT, "/api/v1/segments/s", json!({"conditions": []})),
        (Method::POST, "/api/v1/gateway/routes", route),
        (Method::PUT, "/api/v1/guards/errors", guard),
        (Method::DELETE, "/api/v1/guards/errors", Value::Null),
        (Method::POST, "/api/v1/environments", json!({"key": "e", "kind": "development"})),
        (Method::POST, "/api/v1/keys", key),
        (
            Method::POST,
            "/api/v1/users",
            json!({"email": "x@example.com", "password": PASSWORD, "role": "admin"}),
        ),
        (Method::PUT, "/api/v1/roles/user", json!({"permissions": {"*": ["flag.update"]}})),
        (Method::POST, "/api/v1/invitations", json!({"role": "developer"})),
        (Method::GET, "/api/v1/users", Value::Null),
    ] {
        let body = (!body.is_null()).then_some(&body);
        let reply = server.send(method.clone(), path, Some(&user), body).await;
        assert_eq!(
            (reply.status, &reply.json["code"]),
            (403, &json!("forbidden")),
            "{method} {path}: {}",
            reply.text
        );
    }
    let seen = server.get("/api/v1/flags/f", &user).await.expect_status(200);
    assert_eq!(seen.json, made.json);
    assert_eq!(server.get("/api/v1/flags/f/evaluate", &user).await.json["value"], json!(true));
    let after = server.get("/health/ready", &developer).await.json["revision"].clone();
    assert_eq!(after, revision, "nothing was written");
}

#[tokio::test]
async fn s3_no_forged_event_switches_off_a_flag() {
    let server = TestServer::start_with(PROGRAM, &[EAGER_GUARD]).await;
    let developer = server.join("dev@example.com", "developer").await;
    let user = server.join("customer@example.com", "user").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    for _ in 0..12 {
        server.post("/api/v1/metrics", &user, &error_of("f")).await.expect_status(403);
    }
    let batch = json!({"events": vec![error_of("f"); 12]});
    server.post("/api/v1/metrics", &user, &batch).await.expect_status(403);
    server.send(Method::POST, "/api/v1/metrics", None, Some(&error_of("f"))).await.expect_status(401);
    let unknown = server.post("/api/v1/metrics", &developer, &error_of("nope")).await.expect_status(404);
    assert_eq!(unknown.json["code"], json!("flag_not_found"));

    let mut unlucky = error_of("f");
    unlucky["unit"] = json!("user-1");
    let batch = json!({"events": vec![unlucky; 50]});
    server.post("/api/v1/metrics", &developer, &batch).await.expect_status(200);
    let repeated: Vec<Value> = (0..50).map(|_| with(error_of("f"), "event_id", "the-same")).collect();
    let counted = server.post("/api/v1/metrics", &developer, &json!(repeated)).await.expect_status(200);
    assert_eq!(counted.json, json!({"accepted": 1, "duplicates": 49}));
    guard_looks(&server, 3.0).await;
    assert!(is_enabled(&server, &developer, "f").await, "one unit counts once, one event id counts once");

    let units: Vec<Value> =
        (2..=10).map(|unit| with(error_of("f"), "unit", &format!("user-{unit}"))).collect();
    server.post("/api/v1/metrics", &developer, &json!(units)).await.expect_status(200);
    eventually("disabling", async || (!is_enabled(&server, &developer, "f").await).then_some(())).await;
}

fn with(mut event: Value, member: &str, value: &str) -> Value {
    event[member] = json!(value);
    event
}

#[tokio::test]
async fn s7_no_other_website_may_call_unless_configured() {
    let asked = async |server: &TestServer, method: Method, origin: &str| {
        let request = server.client().request(method, server.url("/api/v1/flags")).header("origin", origin);
        server.reply(request.header("access-control-request-method", "GET")).await
    };
    let closed = TestServer::start(PROGRAM).await;
    for method in [Method::GET, Method::OPTIONS] {
        let reply = asked(&closed, method, "https://evil.example.com").await;
        assert!(
            reply.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
            "{:?}",
            reply.headers
        );
    }
    let origins = [("FLAGBASE_SERVER__CORS_ORIGINS", "[https://app.example.com]")];
    let open = TestServer::start_with(PROGRAM, &origins).await;
    let preflight = asked(&open, Method::OPTIONS, "https://app.example.com").await;
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    assert!(
        preflight.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PATCH"))
    );
    let reply = asked(&open, Method::GET, "https://app.example.com").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (401, Some("https://app.example.com"))
    );
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.example.com",
        "null",
        "http://app.example.com",
    ] {
        let reply = asked(&open, Method::OPTIONS, origin).await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test]
async fn s7_a_forwarded_address_from_just_anybody_is_not_believed() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let rule = json!({"attribute": "ip", "operator": "cidr", "value": "203.0.113.0/24", "variant": true});
    let flag = json!({"key": "f", "enabled": true, "default_value": false, "rules": [rule]});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    let rule = json!({"attribute": "ip", "operator": "cidr", "value": "127.0.0.0/8", "variant": true});
    let flag = json!({"key": "here", "enabled": true, "default_value": false, "rules": [rule]});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    for (key, value) in [("f", false), ("here", true)] {
        let request =
            server.client().get(server.url(&format!("/api/v1/flags/{key}/evaluate"))).bearer_auth(&developer);
        let request = request.header("x-forwarded-for", "203.0.113.7").header("x-real-ip", "203.0.113.7");
        assert_eq!(server.reply(request).await.json["value"], json!(value), "{key}");
    }
}

#[tokio::test]
async fn s7_a_backend_sees_neither_the_token_nor_a_forged_address_or_identity() {
    let server = TestServer::start(PROGRAM).await;
    let backend = Backend::start().await;
    let developer = server.join("dev@example.com", "developer").await;
    let route = json!({"pattern": "/x", "backend_url": backend.url()});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let request = server.client().get(server.url("/gateway/x")).bearer_auth(&developer);
    let request = request
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-real-ip", "203.0.113.7")
        .header("forwarded", "for=203.0.113.7")
        .header("x-flagbase-role", "admin")
        .header("x-flagbase-user", "somebody else");
    assert_eq!(server.reply(request).await.status, 200);
    let received = backend.take().remove(0);
    assert_eq!(received.header("authorization"), None);
    assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!((received.header("x-real-ip"), received.header("forwarded")), (None, None));
    assert_eq!(received.header("x-flagbase-role"), Some("developer"));
    assert_ne!(received.header("x-flagbase-user"), Some("somebody else"));
}

#[tokio::test]
async fn s7_errors_tell_nothing_of_what_is_inside() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let quote = "/api/v1/flags/x'%20OR%20'1'='1";
    for reply in [
        server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(409),
        server.register("dev@example.com", None).await.expect_status(409),
        server.get(quote, &developer).await.expect_status(404),
        server.get("/api/v1/flags?search='%3B%20DROP%20TABLE%20users", &developer).await.expect_status(200),
        server.delete(quote, &developer).await.expect_status(404),
    ] {
        let text = reply.text.to_lowercase();
        for word in ["sqlite", "unique constraint", "select ", "syntax", "panicked", ".rs:", "rusqlite"] {
            assert!(!text.contains(word), "{word}: {}", reply.text);
        }
    }
}
