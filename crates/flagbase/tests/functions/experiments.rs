//! Two versions at once: figures of both, and a version that one session asked for.

use super::*;

const ONE: &str = "export default { fetch: () => new Response('one') };";
const TWO: &str = "export default { fetch: () => new Response('two', { status: 503 }) };";
const VISITORS: u64 = 60;

/// Two versions of `hello` behind a flag.
async fn two_versions(server: &TestServer, token: &str, flag: &Value) {
    deploy_with(server, token, "hello", ("file=hello.js", ONE.into())).await.expect_status(201);
    let unpromoted = ("file=hello.js&promote=false", TWO.into());
    deploy_with(server, token, "hello", unpromoted).await.expect_status(201);
    server.post("/api/v1/flags", token, flag).await.expect_status(201);
    set(server, token, "hello", json!({"flag_key": "hello-version"})).await.expect_status(200);
}

fn flag() -> Value {
    json!({
        "key": "hello-version", "type": "number", "enabled": true,
        "variants": [{"name": "control", "value": 1}, {"name": "treatment", "value": 2}],
        "default_variant": "control", "off_variant": "control"
    })
}

#[tokio::test]
async fn traffic_that_a_flag_divides_over_two_versions_is_measured_for_each() {
    let server = TestServer::start(PROGRAM).await;
    let administrator = server.administrator().await;
    let default = json!({"key": "default", "name": "Default", "kind": "development",
        "attributes": [{"name": "visitor", "header": "X-Visitor"}]});
    server.put("/api/v1/environments/default", &administrator, &default).await.expect_status(200);
    let mut divided = flag();
    divided["rollout"] = json!({"bucket_by": "visitor", "weights": [
        {"variant": "control", "weight": 50}, {"variant": "treatment", "weight": 50}]});
    two_versions(&server, &administrator, &divided).await;
    let mut seen = [0_u64; 2];
    for visitor in 0..VISITORS {
        let ask =
            || server.client().get(server.url("/functions/hello")).header("x-visitor", visitor.to_string());
        let first = server.reply(ask()).await;
        assert_eq!(server.reply(ask()).await.text, first.text, "a visitor stays with his version");
        seen[usize::from(first.text == "two")] += 2;
        assert_eq!(first.status, if first.text == "two" { 503 } else { 200 });
    }
    assert!(seen.iter().all(|calls| *calls > VISITORS / 4), "about half of them each: {seen:?}");

    let versions = server.get("/api/v1/functions/hello/metrics", &administrator).await.expect_status(200);
    let of = |version: usize| {
        let versions = versions.json["versions"].as_array().unwrap();
        versions.iter().find(|it| it["version"] == version).unwrap().clone()
    };
    let calls = [of(1)["calls"].as_u64().unwrap(), of(2)["calls"].as_u64().unwrap()];
    let failed = [of(1)["failed"].as_u64().unwrap(), of(2)["failed"].as_u64().unwrap()];
    assert_eq!((calls, failed), (seen, [0, seen[1]]), "{}", versions.text);
    assert!(of(1)["latency_ms"]["p95"].as_f64().unwrap() > 0.0, "{}", versions.text);

    let exposed = until("exposures are counted", async || {
        let figures = server.get("/api/v1/flags/hello-version/metrics", &administrator).await.json;
        let of = |name: &str| {
            let variants = figures["variants"].as_array().unwrap();
            let found = variants.iter().find(|it| it["variant"] == name);
            found.map_or(0, |it| it["exposures"].as_u64().unwrap())
        };
        Some([of("control"), of("treatment")]).filter(|both| both.iter().sum::<u64>() == 2 * VISITORS)
    });
    assert_eq!(exposed.await, seen);
    let text = server.get("/metrics", &administrator).await.expect_status(200).text;
    for (version, outcome, calls) in [("1", "ok", seen[0]), ("2", "error", seen[1])] {
        let line = text.lines().find(|line| {
            line.starts_with("flagbase_function_calls_total{")
                && line.contains(&format!("version=\"{version}\""))
                && line.contains(&format!("outcome=\"{outcome}\""))
        });
        assert_eq!(line.unwrap().rsplit(' ').next().unwrap(), calls.to_string(), "{text}");
    }
}

#[tokio::test]
async fn a_session_that_asks_for_a_version_gets_it_and_nobody_else_does() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let colleague = server.join("colleague@example.com", "developer").await;
    two_versions(&server, &developer, &flag()).await;
    let own = json!({"variant": "treatment"});
    server.put("/api/v1/flags/hello-version/override", &developer, &own).await.expect_status(200);
    let other_session = server.login("dev@example.com").await;
    for _ in 0..3 {
        let mine = server.get("/functions/hello", &developer).await;
        assert_eq!((mine.text.as_str(), mine.header("x-flagbase-function")), ("two", Some("hello@2")));
        for token in [&colleague, &other_session] {
            assert_eq!(server.get("/functions/hello", token).await.expect_status(200).text, "one");
        }
        assert_eq!(call(&server, "hello").await.expect_status(200).text, "one");
    }
    server.delete("/api/v1/flags/hello-version/override", &developer).await.expect_status(204);
    assert_eq!(server.get("/functions/hello", &developer).await.text, "one");
}
