//! Flags, identities and routes, seen from both ends.

use flagbase_core::{caller::Caller, flags::Asked, gateway::GatewayConfig, refusal::Precondition};
use serde_json::{Value, json};

use super::support::{Recording, Setup, World, backend, header, person, reply};

fn developers_only() -> Value {
    json!({"key": "shop", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1}]})
}

fn asked(caller: &Caller) -> Asked<'_> {
    Asked { caller, environment: "default", reason: "" }
}

async fn shop(route: Value) -> (World, Recording) {
    let (recording, url) = Recording::start().await;
    let mut body = json!({"id": "shop", "pattern": "/shop/*", "backend_url": url, "flag_key": "shop"});
    body.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
    let setup = Setup { flags: vec![developers_only()], ..Setup::routes([body]) };
    (World::start(setup).await, recording)
}

#[tokio::test]
async fn a_feature_is_there_for_developers_and_for_nobody_else() {
    let (world, backend) = shop(json!({})).await;
    assert_eq!(world.get("/shop/a", &["Authorization: Bearer developer"]).await.status, 200);
    let seen = backend.take();
    assert_eq!(header(&seen[0], "x-flagbase-flag"), Some("shop"));
    assert_eq!(header(&seen[0], "x-flagbase-variant"), Some("true"));
    assert_eq!(header(&seen[0], "x-flagbase-reason"), Some("TARGETING_MATCH"));
    assert_eq!(header(&seen[0], "x-flagbase-email"), Some("alice@example.com"));
    assert_eq!(header(&seen[0], "x-flagbase-session"), Some("session-1"));
    assert_eq!(header(&seen[0], "x-flagbase-environment"), Some("default"));
    for headers in [&[][..], &["Authorization: Bearer user"], &["X-Flagbase-Role: developer"]] {
        let answer = world.get("/shop/a", headers).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")));
        assert_eq!(answer.json()["error"], "route disabled by feature flag");
    }
    assert!(backend.take().is_empty());
}

#[tokio::test]
async fn an_edited_flag_acts_on_the_next_request() {
    let (world, _) = shop(json!({})).await;
    assert_eq!(world.get("/shop/a", &["Authorization: Bearer developer"]).await.status, 200);
    world.flags.set_enabled(asked(&person("admin")), "shop", false).await.unwrap();
    assert_eq!(world.get("/shop/a", &["Authorization: Bearer developer"]).await.status, 404);
    world.flags.set_enabled(asked(&person("admin")), "shop", true).await.unwrap();
    assert_eq!(world.get("/shop/a", &["Authorization: Bearer developer"]).await.status, 200);
}

#[tokio::test]
async fn a_route_answers_for_itself_while_its_flag_is_off() {
    let answer = json!({"when_off": {"status": 503, "body": "<h1>soon</h1>", "content_type": "text/html"}});
    let (world, _) = shop(answer).await;
    let answer = world.get("/shop/a", &[]).await;
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.header("content-type")),
        (503, "<h1>soon</h1>", Some("text/html"))
    );
}

#[tokio::test]
async fn the_variant_chooses_the_backend() {
    let old = backend(|_| async { reply(200, "old") }).await;
    let new = backend(|_| async { reply(200, "new") }).await;
    let route = json!({"pattern": "/shop", "backend_url": format!("http://{new}"), "flag_key": "shop",
        "variants": {"false": format!("http://{old}")}});
    let world = World::start(Setup { flags: vec![developers_only()], ..Setup::routes([route]) }).await;
    assert_eq!(world.get("/shop", &["Authorization: Bearer developer"]).await.body, "new");
    assert_eq!(world.get("/shop", &["Authorization: Bearer user"]).await.body, "old");
}

#[tokio::test]
async fn what_the_gateway_answers_by_itself_is_a_problem() {
    let (_, url) = Recording::start().await;
    let world = World::start(Setup::routes([
        json!({"id": "staff", "path": "/staff", "backend_url": url, "require": {"roles": ["developer"]}}),
        json!({"id": "read", "path": "/read", "backend_url": url, "methods": ["GET", "HEAD"]}),
    ]))
    .await;
    let delete = "DELETE /gateway/read HTTP/1.1\r\nHost: a\r\n\r\n";
    for (answer, status, code) in [
        (world.get("/nowhere", &[]).await, 404, "route_not_found"),
        (world.get("/staff", &[]).await, 401, "unauthenticated"),
        (world.get("/staff", &["Authorization: Bearer user"]).await, 403, "forbidden"),
        (world.get("/read", &["Authorization: Bearer expired"]).await, 401, "unauthenticated"),
        (world.send(delete).await, 405, "method_not_allowed"),
    ] {
        assert_eq!((answer.status, &answer.json()["code"]), (status, &code.into()));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{code}");
        assert_eq!(answer.json()["error"], answer.json()["detail"], "{code}");
    }
    assert_eq!(world.send(delete).await.header("allow"), Some("get, head"));
    assert_eq!(world.get("/nowhere", &[]).await.json()["error"], "no route registered for this path");
    assert_eq!(world.get("/staff", &["Authorization: bearer developer"]).await.status, 200);
}

#[tokio::test]
async fn hosts_and_paths_of_its_own_belong_to_the_gateway() {
    let (recording, url) = Recording::start().await;
    let config = GatewayConfig {
        hosts: vec!["shop.example.com".into()],
        paths: vec!["/store".into()],
        ..GatewayConfig::default()
    };
    let routes = [json!({"pattern": "/*", "backend_url": url})];
    let world = World::start(Setup { config, ..Setup::routes(routes) }).await;
    let get = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (host, path, expected) in [
        ("shop.example.com", "/any", Some("GET /any HTTP/1.1")),
        ("SHOP.example.com:8080", "/", Some("GET / HTTP/1.1")),
        ("a", "/store/cart", Some("GET /store/cart HTTP/1.1")),
        ("a", "/storehouse", None),
        ("a", "/gatewayx", None),
        ("a", "/api/v1/flags/team%2Fflag", None),
    ] {
        let answer = world.send(get(host, path)).await;
        let seen = recording.take();
        assert_eq!(seen.first().and_then(|request| request.lines().next()), expected, "{host}{path}");
        if expected.is_none() {
            assert_eq!(answer.body, format!("fallback: {path}"));
        }
    }
}

#[tokio::test]
async fn the_token_goes_on_only_where_the_route_says_so() {
    let (world, backend) =
        shop(json!({"forward_token": true, "preserve_host": true, "strip_prefix": true})).await;
    world.get("/shop/a?b=c", &["Authorization: Bearer developer"]).await;
    let seen = backend.take();
    assert!(seen[0].starts_with("GET /a?b=c HTTP/1.1"), "{seen:?}");
    assert_eq!(header(&seen[0], "authorization"), Some("Bearer developer"));
    assert_eq!(header(&seen[0], "host"), Some("shop.example.com"));
}

#[tokio::test]
async fn trusted_proxies_are_believed_about_the_client() {
    let flag = json!({"key": "near", "enabled": true, "default_value": false,
        "rules": [{"attribute": "ip", "operator": "cidr", "value": "203.0.113.0/24", "variant": true}]});
    let (recording, url) = Recording::start().await;
    let config =
        GatewayConfig { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..GatewayConfig::default() };
    let routes = [json!({"pattern": "/*", "backend_url": url, "flag_key": "near"})];
    let world = World::start(Setup { config, flags: vec![flag], ..Setup::routes(routes) }).await;
    let near = world.get("/x", &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"]).await;
    assert_eq!(near.status, 200);
    let seen = recording.take();
    assert_eq!(header(&seen[0], "x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(header(&seen[0], "x-forwarded-proto"), Some("https"));
    assert_eq!(world.get("/x", &["X-Forwarded-For: 198.51.100.1"]).await.status, 404);
}

#[tokio::test]
async fn a_route_that_was_deleted_or_moved_acts_on_the_next_request() {
    let (recording, url) = Recording::start().await;
    let world = World::before(&url).await;
    assert_eq!(world.get("/x", &[]).await.status, 200);
    let admin = person("admin");
    let moved = json!({"path": "/y", "backend_url": url});
    world.routes.put(asked(&admin), "all", moved, Precondition::None).await.unwrap();
    assert_eq!((world.get("/x", &[]).await.status, world.get("/y", &[]).await.status), (404, 200));
    world.routes.delete(asked(&admin), "all", Precondition::None).await.unwrap();
    assert_eq!(world.get("/y", &[]).await.status, 404);
    assert_eq!(recording.take().len(), 2);
}

#[tokio::test]
async fn every_request_is_counted_by_route_flag_and_variant() {
    let (world, _) = shop(json!({})).await;
    for token in ["developer", "developer", "user"] {
        world.get("/shop/a", &[&format!("Authorization: Bearer {token}")]).await;
    }
    world.get("/shop/a", &["Authorization: Bearer forged"]).await;
    let told = world.metrics.prometheus();
    assert!(told.contains(r#"flagbase_auth_failures_total{reason="unauthenticated"} 1"#), "{told}");
    let lines: Vec<_> =
        told.lines().filter(|line| line.starts_with("flagbase_gateway_requests_total")).collect();
    let count = |variant: &str, class: &str| {
        let mine = lines.iter().find(|line| {
            [r#"route="shop""#, r#"flag="shop""#, variant, class].iter().all(|label| line.contains(label))
        });
        mine.and_then(|line| line.rsplit(' ').next()).map_or("0", |count| count)
    };
    assert_eq!(count(r#"variant="true""#, "2xx"), "2", "{lines:?}");
    assert_eq!(count(r#"variant="false""#, "4xx"), "1", "{lines:?}");
}

#[tokio::test]
async fn a_route_that_leads_back_to_the_gateway_is_a_loop_and_ends() {
    let (_, url) = Recording::start().await;
    let world = World::before(&url).await;
    let own =
        json!({"path": "/", "match": "prefix", "backend_url": format!("http://{}/gateway", world.address)});
    world.routes.put(asked(&person("admin")), "all", own, Precondition::None).await.unwrap();
    let answer = world.get("/x", &[]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (508, &"loop_detected".into()));
}
