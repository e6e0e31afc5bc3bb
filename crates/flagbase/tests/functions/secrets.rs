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

#[tokio::test]
async fn nothing_of_one_environment_is_seen_in_another_by_a_function_of_the_same_name() {
    const TELLS: &str = "import { buckets, kv, secrets } from 'flagbase';\n\
        export default { async fetch() {\n\
          const found = await buckets.get('uploads', 'diary', 'text').catch(() => 'refused');\n\
          return Response.json({ secret: secrets.get('API_KEY'), kept: await kv.get('kept'), found });\n\
        } };";
    const KEEPS: &str = "import { buckets, kv } from 'flagbase';\n\
        export default { async fetch() {\n\
          await kv.set('kept', 'private');\n\
          await buckets.put('uploads', 'diary', 'private');\n\
          return new Response('kept');\n\
        } };";
    let server = TestServer::start(PROGRAM).await;
    let admin = server.administrator().await;
    let other = json!({"key": "other", "name": "Other", "kind": "development"});
    server.post("/api/v1/environments", &admin, &other).await.expect_status(201);
    let run = async |environment: &str, source: &str| {
        let query = format!("file=tells.js&environment={environment}");
        deploy_with(&server, &admin, "tells", (&query, source.into())).await.expect_status(201);
        let path = format!("/api/v1/functions/tells/invoke?environment={environment}");
        let ask = json!({"request": {"method": "GET", "target": "/"}});
        server.post(&path, &admin, &ask).await.expect_status(200).json["body"].as_str().unwrap().to_owned()
    };
    let granted = json!({"grants": {"secrets": true, "keyvalue": ["default"], "buckets": ["uploads"]}});
    for environment in ["default", "other"] {
        for (path, body) in [("functions/tells", &granted), ("buckets/uploads", &json!({}))] {
            let path = format!("/api/v1/{path}?environment={environment}");
            server.put(&path, &admin, body).await.expect_status(201);
        }
    }
    let path = "/api/v1/functions/tells/secrets/API_KEY";
    server.put(path, &admin, &json!({"value": SECRET})).await.expect_status(204);
    assert_eq!(run("default", KEEPS).await, "kept");
    let mine: Value = serde_json::from_str(&run("default", TELLS).await).unwrap();
    assert_eq!(mine, json!({"secret": SECRET, "kept": "private", "found": "private"}));
    let theirs: Value = serde_json::from_str(&run("other", TELLS).await).unwrap();
    assert_eq!(theirs, json!({"secret": null, "kept": null, "found": null}));
}
