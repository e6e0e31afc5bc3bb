//! The newcomer's walk: a version behind a flag, seen by developers and nobody else, and taken back when it breaks.

use super::*;

/// A string flag whose variants are versions; `rules` say who gets which.
fn flag(key: &str, rules: &Value) -> Value {
    json!({
        "key": key, "type": "string", "enabled": true,
        "variants": [{"name": "one", "value": "v1"}, {"name": "two", "value": "v2"}],
        "default_variant": "one", "off_variant": "one", "rules": rules
    })
}

/// Deploys a source as the next version, which nobody gets yet unless it is the first.
async fn deploy_source(server: &TestServer, token: &str, source: &str) {
    let query = "file=hello.js&promote=false";
    deploy_with(server, token, "hello", (query, source.into())).await.expect_status(201);
}

async fn seen(server: &TestServer, token: &str) -> Reply {
    server.get("/functions/hello", token).await
}

#[tokio::test]
async fn a_version_for_developers_only_is_taken_back_by_the_guard_when_it_breaks() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    deploy(&server, &developer, "hello", guests::says(200, "one")).await.expect_status(201);
    let unpromoted = ("promote=false", guests::says(200, "two"));
    deploy_with(&server, &developer, "hello", unpromoted).await.expect_status(201);
    assert_eq!(seen(&server, &developer).await.text, "one", "nothing changes before it is asked for");

    let for_developers =
        json!([{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]);
    server
        .post("/api/v1/flags", &developer, &flag("hello-version", &for_developers))
        .await
        .expect_status(201);
    set(&server, &developer, "hello", json!({"flag_key": "hello-version"})).await.expect_status(200);
    let new = seen(&server, &developer).await.expect_status(200);
    assert_eq!((new.text.as_str(), new.header("x-flagbase-function")), ("two", Some("hello@2")));
    assert_eq!(seen(&server, &customer).await.text, "one");
    assert_eq!(call(&server, "hello").await.text, "one");

    // The third version breaks; the flag's second variant comes to name it.
    let broken = ("promote=false", guests::traps());
    deploy_with(&server, &developer, "hello", broken).await.expect_status(201);
    let variants = json!({"variants": [{"name": "one", "value": "v1"}, {"name": "two", "value": "v3"}]});
    server.patch("/api/v1/flags/hello-version", &developer, &variants).await.expect_status(200);
    for _ in 0..11 {
        seen(&server, &developer).await.expect_status(502);
        assert_eq!(seen(&server, &customer).await.text, "one", "nobody else notices");
    }
    let healed = until("the guard takes it back", async || {
        Some(seen(&server, &developer).await).filter(|answer| answer.status == 200)
    });
    assert_eq!(healed.await.text, "one");
    let flag = server.get("/api/v1/flags/hello-version", &developer).await.expect_status(200);
    assert_eq!(flag.json["enabled"], json!(false), "{}", flag.text);
    let changes =
        server.get("/api/v1/changes?type=flagbase.flag.disabled", &developer).await.expect_status(200);
    let changes = changes.json.as_array().unwrap().clone();
    assert_eq!((changes.len(), &changes[0]["actor"]["kind"]), (1, &json!("guard")), "{changes:?}");
}

#[tokio::test]
async fn a_session_of_ones_own_runs_a_version_that_nobody_else_sees() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let colleague = server.join("colleague@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "one")).await.expect_status(201);
    let unpromoted = ("promote=false", guests::says(200, "two"));
    deploy_with(&server, &developer, "hello", unpromoted).await.expect_status(201);
    server.post("/api/v1/flags", &developer, &flag("hello-version", &json!([]))).await.expect_status(201);
    set(&server, &developer, "hello", json!({"flag_key": "hello-version"})).await.expect_status(200);
    let own = json!({"variant": "two"});
    server.put("/api/v1/flags/hello-version/override", &developer, &own).await.expect_status(200);
    assert_eq!(seen(&server, &developer).await.text, "two");
    assert_eq!(seen(&server, &colleague).await.text, "one");
    assert_eq!(seen(&server, &server.login("dev@example.com").await).await.text, "one", "another session");
    server.delete("/api/v1/flags/hello-version/override", &developer).await.expect_status(204);
    assert_eq!(seen(&server, &developer).await.text, "one");
}

#[tokio::test]
async fn a_route_leads_to_a_function_which_sees_the_path_below_it() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::environment()).await.expect_status(201);
    let route =
        json!({"id": "shop", "path": "/shop", "match": "prefix", "strip_prefix": true, "function": "hello"});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    let answer = server.get("/gateway/shop/cart?x=1", &developer).await.expect_status(200);
    let told: Vec<&str> = answer.text.split('\0').collect();
    for line in
        ["PATH_INFO=/cart", "QUERY_STRING=x=1", "REQUEST_METHOD=GET", "HTTP_X_FLAGBASE_ROLE=developer"]
    {
        assert!(told.contains(&line), "{line}: {told:?}");
    }
    assert!(!answer.text.contains("HTTP_AUTHORIZATION"), "the token stays here: {told:?}");
}

#[tokio::test]
async fn variants_of_a_route_lead_to_two_versions_of_a_function() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    for text in ["one", "two", "three"] {
        deploy(&server, &developer, "hello", guests::says(200, text)).await.expect_status(201);
    }
    let for_developers =
        json!([{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]);
    // A flag of the route's own: the function asks none.
    server.post("/api/v1/flags", &developer, &flag("greeting", &for_developers)).await.expect_status(201);
    let route = json!({"id": "shop", "path": "/shop", "match": "prefix", "flag_key": "greeting",
        "variants": {"one": ["function:hello@1"], "two": ["function:hello@2"]}});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    for (token, text, version) in [(&developer, "two", "hello@2"), (&customer, "one", "hello@1")] {
        let answer = server.get("/gateway/shop", token).await.expect_status(200);
        assert_eq!((answer.text.as_str(), answer.header("x-flagbase-function")), (text, Some(version)));
    }
    assert_eq!(call(&server, "hello").await.text, "three", "below its own name nothing changes");
    let own = json!({"variant": "one"});
    server.put("/api/v1/flags/greeting/override", &developer, &own).await.expect_status(200);
    assert_eq!(server.get("/gateway/shop", &developer).await.text, "one");
    server.delete("/api/v1/flags/greeting/override", &developer).await.expect_status(204);
    server.post("/api/v1/flags/greeting/disable", &developer, &json!({})).await.expect_status(200);
    assert_eq!(server.get("/gateway/shop", &developer).await.text, "one", "one update takes it back");
}

#[tokio::test]
async fn a_version_that_takes_too_long_is_taken_back_as_one_that_breaks() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    deploy(&server, &developer, "hello", guests::says(200, "one")).await.expect_status(201);
    let sleeps = ("promote=false", guests::sleeps());
    deploy_with(&server, &developer, "hello", sleeps).await.expect_status(201);
    let for_developers =
        json!([{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]);
    let flag = flag("hello-version", &for_developers);
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    let settings = json!({"flag_key": "hello-version", "limits": {"timeout": "100ms"}});
    set(&server, &developer, "hello", settings).await.expect_status(200);
    for _ in 0..11 {
        let answer = seen(&server, &developer).await.expect_status(504);
        assert_eq!(answer.json["code"], json!("function_timeout"), "{}", answer.text);
    }
    let healed = until("the guard takes it back", async || {
        Some(seen(&server, &developer).await).filter(|answer| answer.status == 200)
    });
    assert_eq!(healed.await.text, "one");
    assert_eq!(seen(&server, &customer).await.text, "one");
    let changes =
        server.get("/api/v1/changes?type=flagbase.flag.disabled", &developer).await.expect_status(200);
    let change = changes.json[0].clone();
    assert_eq!(
        (&change["actor"]["kind"], &change["key"]),
        (&json!("guard"), &json!("hello-version")),
        "{change}"
    );
    let figures = server.get("/api/v1/functions/hello/metrics", &developer).await.expect_status(200);
    assert!(figures.text.contains("timeout"), "{}", figures.text);
}

#[tokio::test]
async fn javascript_is_deployed_put_before_developers_and_taken_back() {
    const ONE: &str = "export default { fetch: () => new Response('one') };";
    const TWO: &str =
        "export default { fetch: (request) => new Response(`two for ${new URL(request.url).pathname}`) };";
    const THREE: &str = "export default { fetch() { throw new Error('it broke'); } };";
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    deploy_with(&server, &developer, "hello", ("file=hello.js", ONE.into())).await.expect_status(201);
    assert_eq!(seen(&server, &customer).await.expect_status(200).text, "one");
    deploy_source(&server, &developer, TWO).await;
    let for_developers =
        json!([{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]);
    server
        .post("/api/v1/flags", &developer, &flag("hello-version", &for_developers))
        .await
        .expect_status(201);
    set(&server, &developer, "hello", json!({"flag_key": "hello-version"})).await.expect_status(200);
    assert_eq!(server.get("/functions/hello/cart", &developer).await.text, "two for /cart");
    assert_eq!(seen(&server, &customer).await.text, "one");

    deploy_source(&server, &developer, THREE).await;
    let variants = json!({"variants": [{"name": "one", "value": "v1"}, {"name": "two", "value": "v3"}]});
    server.patch("/api/v1/flags/hello-version", &developer, &variants).await.expect_status(200);
    for _ in 0..11 {
        seen(&server, &developer).await.expect_status(502);
    }
    let healed = until("the guard takes it back", async || {
        Some(seen(&server, &developer).await).filter(|answer| answer.status == 200)
    });
    assert_eq!(healed.await.text, "one");
    let logs = server.get("/api/v1/functions/hello/logs?version=3", &developer).await.expect_status(200);
    assert!(logs.text.contains("it broke"), "{}", logs.text);
}
