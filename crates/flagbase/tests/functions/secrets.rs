//! Secrets are written, listed by name, and shown by nothing: no answer, no log, no file.

use super::*;

const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test]
async fn a_secret_is_never_listed_logged_or_kept_in_the_clear() {
    let mut server = TestServer::start_with(PROGRAM, &[("FLAGBASE_LOG__LEVEL", "debug")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "hello", guests::says(200, "hi")).await.expect_status(201);
    let path = "/api/v1/functions/hello/secrets/API_KEY";
    server.put(path, &developer, &json!({"value": SECRET})).await.expect_status(204);
    server.put(path, &developer, &json!({"value": SECRET, "extra": 1})).await.expect_status(422);
    let mut seen = String::new();
    for path in [
        "/api/v1/functions/hello/secrets",
        "/api/v1/functions/hello",
        "/api/v1/functions",
        "/api/v1/functions/hello/logs",
        "/api/v1/changes?limit=1000",
    ] {
        seen.push_str(&server.get(path, &developer).await.expect_status(200).text);
    }
    assert!(seen.contains("API_KEY"), "the name is listed: {seen}");
    server.restart().await;
    seen.push_str(&server.output());
    assert!(!seen.contains(SECRET), "{seen}");
    for file in ["flagbase.db", "flagbase.db-wal"] {
        let bytes = std::fs::read(server.directory().join(file)).unwrap_or_default();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{file}");
    }
    let customer = server.join("customer@example.com", "user").await;
    server.get("/api/v1/functions/hello/secrets", &customer).await.expect_status(403);
    let developer = server.login("dev@example.com").await;
    server.delete(path, &developer).await.expect_status(204);
    server.delete(path, &developer).await.expect_status(404);
}

#[tokio::test]
async fn a_secret_is_seen_by_its_function_alone_and_only_when_it_is_granted() {
    const TELLS: &str = "import { secrets } from 'flagbase';\n\
        export default { fetch: () => new Response(secrets.get('API_KEY') ?? 'none') };";
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for name in ["one", "two"] {
        let granted = json!({"grants": {"secrets": true}});
        server.put(&format!("/api/v1/functions/{name}"), &developer, &granted).await.expect_status(201);
        deploy_with(&server, &developer, name, ("file=tells.js", TELLS.into())).await.expect_status(201);
    }
    let path = "/api/v1/functions/one/secrets/API_KEY";
    server.put(path, &developer, &json!({"value": SECRET})).await.expect_status(204);
    assert_eq!(call(&server, "one").await.expect_status(200).text, SECRET);
    assert_eq!(call(&server, "two").await.expect_status(200).text, "none", "another function's secret");
    server.put(path, &developer, &json!({"value": "another"})).await.expect_status(204);
    assert_eq!(call(&server, "one").await.text, "another");
}
