//! C1 to C10. C7 concerns the Go SDK and is tested there.

use flagbase_testkit::{
    backend::Backend,
    server::{PASSWORD, Reply, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EAGER_GUARD, PROGRAM, error_of, eventually, guard_looks, is_enabled, on};

fn ruled(description: &str) -> Value {
    json!({
        "key": "f", "name": "F", "description": description, "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1}]
    })
}

#[tokio::test]
async fn c1_put_replaces_all_of_a_flag_and_patch_only_what_it_names() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let flag = "/api/v1/flags/f";
    let made = server.put(flag, &developer, &ruled("made by PUT")).await.expect_status(201);
    assert_eq!(made.json["rules"][0]["attribute"], json!("role"), "rules are kept");

    let mut other = ruled("other rules");
    other["rules"][0]["value"] = json!("user");
    let put = server.put(flag, &developer, &other).await.expect_status(200);
    assert_eq!(
        (&put.json["rules"][0]["value"], put.json["rules"].as_array().unwrap().len()),
        (&json!("user"), 1)
    );
    assert_eq!(put.json["created_at"], made.json["created_at"]);
    assert_eq!(server.get(flag, &developer).await.json, put.json, "the answer is what is stored");

    let patched = server
        .patch(flag, &developer, &json!({"description": null, "enabled": false}))
        .await
        .expect_status(200);
    assert_eq!((&patched.json["enabled"], &patched.json["name"]), (&json!(false), &json!("F")));
    assert_eq!(patched.json["rules"], put.json["rules"], "what a PATCH does not name stays");
    assert!(patched.json["description"].as_str().unwrap_or_default().is_empty(), "null takes away");

    let bare = server
        .put(flag, &developer, &json!({"enabled": true, "default_value": true}))
        .await
        .expect_status(200);
    assert!(bare.json["rules"].as_array().is_none_or(Vec::is_empty), "no rules means none: {}", bare.text);
    assert_eq!(server.get("/api/v1/flags/f/evaluate", &developer).await.json["value"], json!(true));

    server.patch("/api/v1/flags/nope", &developer, &json!({"enabled": true})).await.expect_status(404);
    server.get("/api/v1/flags/nope", &developer).await.expect_status(404);
    server.delete("/api/v1/flags/nope", &developer).await.expect_status(404);
    server.put(flag, &developer, &on("another-key")).await.expect_status(422);
}

#[tokio::test]
async fn c2_a_flag_is_made_whole_or_not_at_all() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let mut half = ruled("");
    half["rules"]
        .as_array_mut()
        .unwrap()
        .push(json!({"attribute": "role", "operator": "nope", "value": "x", "variant": true}));
    let refused = server.post("/api/v1/flags", &developer, &half).await.expect_status(422);
    assert!(
        refused.json["errors"][0]["pointer"].as_str().unwrap().starts_with("/rules/1"),
        "{}",
        refused.text
    );
    server.get("/api/v1/flags/f", &developer).await.expect_status(404);

    let bulk = json!([on("a"), on("b"), {"key": ""}]);
    server.post("/api/v1/flags/bulk", &developer, &bulk).await.expect_status(422);
    assert_eq!(server.get("/api/v1/flags", &developer).await.json, json!([]));

    server.post("/api/v1/flags", &developer, &ruled("first")).await.expect_status(201);
    let twice = server.post("/api/v1/flags", &developer, &ruled("second")).await.expect_status(409);
    assert_eq!(twice.json["code"], json!("flag_exists"));
    assert_eq!(server.get("/api/v1/flags/f", &developer).await.json["description"], json!("first"));
}

#[tokio::test]
async fn c3_whoever_edits_what_somebody_else_changed_is_told() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let made = server.post("/api/v1/flags", &developer, &ruled("")).await.expect_status(201);
    let old = made.header("etag").unwrap().to_owned();
    let conditional = async |method: Method, tag: (&'static str, &str), body: Value| {
        let request = server.client().request(method, server.url("/api/v1/flags/f")).bearer_auth(&developer);
        server.reply(request.header(tag.0, tag.1).json(&body)).await
    };
    let first = conditional(Method::PUT, ("if-match", &old), ruled("first")).await.expect_status(200);
    let tag = first.header("etag").unwrap().to_owned();
    assert_ne!(tag, old);
    assert_eq!(tag, format!("\"{}\"", first.json["revision"]));
    for (method, body) in [
        (Method::PUT, ruled("second")),
        (Method::PATCH, json!({"enabled": false})),
        (Method::DELETE, Value::Null),
    ] {
        let stale = conditional(method.clone(), ("if-match", &old), body).await;
        assert_eq!(
            (stale.status, &stale.json["code"]),
            (412, &json!("revision_mismatch")),
            "{method}: {}",
            stale.text
        );
    }
    conditional(Method::PUT, ("if-none-match", "*"), ruled("third")).await.expect_status(412);
    let kept = server.get("/api/v1/flags/f", &developer).await;
    assert_eq!((&kept.json["description"], kept.header("etag")), (&json!("first"), Some(tag.as_str())));

    let edits = (0..8).map(|_| conditional(Method::PATCH, ("if-match", &tag), json!({"enabled": false})));
    let replies = futures_util::future::join_all(edits).await;
    let with = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((with(200), with(412)), (1, 7), "of those who race one wins");
}

/// Follows `Link: <…>; rel="next"` to the end; returns the keys of each page.
async fn pages(server: &TestServer, token: &str, first: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let reply = server.get(&path, token).await.expect_status(200);
        let keys = reply.json.as_array().unwrap().iter().map(|flag| flag["key"].as_str().unwrap().to_owned());
        pages.push(keys.collect());
        assert!(pages.len() < 20, "pages do not end: {pages:?}");
        next = reply.header("link").map(|link| {
            assert!(link.ends_with("; rel=\"next\""), "{link}");
            link.trim_start_matches('<').split('>').next().unwrap().to_owned()
        });
    }
    pages
}

#[tokio::test]
async fn c4_lists_have_an_order_and_pages() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for key in ["delta", "alpha", "echo", "charlie", "bravo"] {
        server.post("/api/v1/flags", &developer, &on(key)).await.expect_status(201);
    }
    let all = ["alpha", "bravo", "charlie", "delta", "echo"].map(str::to_owned);
    for _ in 0..3 {
        assert_eq!(pages(&server, &developer, "/api/v1/flags").await, [all.to_vec()]);
    }
    let two = pages(&server, &developer, "/api/v1/flags?limit=2").await;
    assert_eq!(two.concat(), all);
    assert!(two.iter().all(|page| page.len() <= 2), "the limit goes with the link: {two:?}");
    let some = pages(&server, &developer, "/api/v1/flags?limit=1&search=a").await;
    assert_eq!(some.concat(), ["alpha", "bravo", "charlie", "delta"], "and so does the search");
    server.get("/api/v1/flags?limit=1001", &developer).await.expect_status(400);
}

#[tokio::test]
async fn c5_a_bad_token_matters_only_where_one_is_needed() {
    let server = TestServer::start(PROGRAM).await;
    let credentials = json!({"email": "alice@example.com", "password": PASSWORD});
    for token in ["an.expired.token", "nonsense", ""] {
        server.get("/health", token).await.expect_status(200);
        server.get("/setup/status", token).await.expect_status(200);
        server.get("/openapi.json", token).await.expect_status(200);
        drop(server.post("/auth/register", token, &credentials).await);
        server.post("/auth/login", token, &credentials).await.expect_status(200);
    }
    server.get("/auth/me", "nonsense").await.expect_status(401);
}

#[tokio::test]
async fn c6_routes_survive_a_restart_get_an_id_and_can_be_deleted() {
    let mut server = TestServer::start(PROGRAM).await;
    let backend = Backend::start().await;
    let developer = server.join("dev@example.com", "developer").await;
    let route = json!({"pattern": "/shop/*", "backend_url": backend.url()});
    let made = server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let id = made.json["id"].as_str().unwrap().to_owned();
    assert!(!id.is_empty());
    let again = server.post("/api/v1/gateway/routes", &developer, &route).await;
    assert!(
        again.status < 300 && again.json["id"] == json!(id),
        "the same pattern is the same route: {}",
        again.text
    );

    server.restart().await;
    let routes = server.get("/api/v1/gateway/routes", &developer).await.expect_status(200);
    assert_eq!((routes.json.as_array().unwrap().len(), &routes.json[0]["id"]), (1, &json!(id)));
    assert_eq!(server.get("/gateway/shop/a/b", &developer).await.text, "ok", "prefixes work");

    server.delete(&format!("/api/v1/gateway/routes/{id}"), &developer).await.expect_status(204);
    let gone = server.get("/gateway/shop/a/b", &developer).await.expect_status(404);
    assert_eq!(gone.json["code"], json!("route_not_found"));
    server.delete(&format!("/api/v1/gateway/routes/{id}"), &developer).await.expect_status(404);
}

#[tokio::test]
async fn c8_measurements_are_kept_as_long_as_configured() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_METRICS__RETENTION", "1h")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let mut old = error_of("f");
    old["time"] = json!("2020-01-01T00:00:00Z");
    let refused = server.post("/api/v1/metrics", &developer, &old).await.expect_status(422);
    assert_eq!(refused.json["errors"][0]["pointer"], json!("/time"), "{}", refused.text);

    let printed = server.command(&["config", "print", "--show-origin"]).output().unwrap();
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    let line = printed.lines().find(|line| line.contains("metrics.retention")).unwrap();
    assert!(line.contains("1h") && line.contains("FLAGBASE_METRICS__RETENTION"), "{line}");
    let refused =
        server.command(&["config", "validate"]).env("FLAGBASE_METRICS__RETENTION", "0s").output().unwrap();
    assert_eq!(refused.status.code(), Some(78));
}

#[tokio::test]
async fn c9_turning_a_flag_on_again_is_not_undone_by_the_errors_of_before() {
    let server = TestServer::start_with(PROGRAM, &[EAGER_GUARD]).await;
    let developer = server.join("dev@example.com", "developer").await;
    server.post("/api/v1/flags", &developer, &on("f")).await.expect_status(201);
    let ten_more = async || {
        let batch = json!({"events": vec![error_of("f"); 10]});
        server.post("/api/v1/metrics", &developer, &batch).await.expect_status(200)
    };
    ten_more().await;
    guard_looks(&server, 2.0).await;
    assert!(is_enabled(&server, &developer, "f").await, "ten are not more than ten");
    server.post("/api/v1/metrics", &developer, &error_of("f")).await.expect_status(204);
    eventually("disabling", async || (!is_enabled(&server, &developer, "f").await).then_some(())).await;

    server
        .post("/api/v1/flags/f/enable", &developer, &json!({"reason": "it was the network"}))
        .await
        .expect_status(200);
    guard_looks(&server, 3.0).await;
    assert!(is_enabled(&server, &developer, "f").await, "the guard respects a person's decision");
    ten_more().await;
    guard_looks(&server, 2.0).await;
    assert!(is_enabled(&server, &developer, "f").await, "counting began again");
    server.post("/api/v1/metrics", &developer, &error_of("f")).await.expect_status(204);
    eventually("disabling", async || (!is_enabled(&server, &developer, "f").await).then_some(())).await;
}

#[tokio::test]
async fn c10_a_setup_token_is_used_up_by_success_and_by_nothing_else() {
    let server = TestServer::start(PROGRAM).await;
    let token = std::fs::read_to_string(server.directory().join("data/setup-token")).unwrap();
    let token = token.trim();
    server.register("alice@example.com", None).await.expect_status(201);
    let set_up = async |token: &str, email: &str, password: &str| -> Reply {
        let body = json!({"token": token, "email": email, "password": password});
        server.send(Method::POST, "/setup", None, Some(&body)).await
    };
    let wrong = set_up("0000", "admin@example.com", PASSWORD).await.expect_status(401);
    assert!(wrong.text.contains("flagbase admin setup-token"), "{}", wrong.text);
    set_up(token, "admin@example.com", "short").await.expect_status(422);
    set_up(token, "not an address", PASSWORD).await.expect_status(422);
    set_up(token, "alice@example.com", PASSWORD).await.expect_status(409);
    let status = server.send(Method::GET, "/setup/status", None, None).await;
    assert_eq!(status.json, json!({"needs_setup": true}));

    let racers = ["admin@example.com", "admin2@example.com", "admin3@example.com"]
        .map(|email| set_up(token, email, PASSWORD));
    let replies = futures_util::future::join_all(racers).await;
    let won: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    assert!(replies.iter().all(|reply| [201, 401, 409].contains(&reply.status)), "{replies:?}");
    let admin = won[0].json["token"].as_str().unwrap();
    server.get("/api/v1/users", admin).await.expect_status(200);
    set_up(token, "late@example.com", PASSWORD).await.expect_status(409);
    let status = server.send(Method::GET, "/setup/status", None, None).await;
    assert_eq!(status.json, json!({"needs_setup": false}));
}
