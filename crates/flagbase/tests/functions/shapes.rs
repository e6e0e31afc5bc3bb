//! The three shapes of guests, as toolchains make them: our own interfaces, `wasi:http`, and WASI commands.

use super::*;

/// One of the guests that the driver is tested with.
pub(super) fn guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../functions/guests/built/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

async fn deploy_guest(server: &TestServer, token: &str, name: &str) -> Reply {
    deploy_with(server, token, name, (&format!("file={name}.wasm"), guest(name))).await
}

#[tokio::test]
async fn every_shape_of_guest_is_recognised_and_answers() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    // The first one imports everything there is, and each import has to be granted.
    let granted = json!({"grants": {"flags": true, "keyvalue": ["default"], "buckets": ["uploads"], "publish": ["a.>"],
        "outbound": ["https://api.example.com"], "secrets": true}});
    server.put("/api/v1/functions/native", &developer, &granted).await.expect_status(201);
    for (name, path, said) in [
        ("native", "/hello", "Hello from a function.\n"),
        ("proxy", "/", "Hello from wasi:http.\n"),
        ("command", "/", "Hello from a command.\n"),
    ] {
        let version = deploy_guest(&server, &developer, name).await.expect_status(201).json;
        assert!(version["serves"].to_string().contains("requests"), "{version}");
        for _ in 0..2 {
            let path = format!("/functions/{name}{path}");
            let answer = server.send(Method::GET, &path, None, None).await.expect_status(200);
            assert_eq!(answer.text, said, "{version}");
        }
        let url = server.url(&format!("/functions/{name}/echo"));
        let echo = server.reply(server.client().post(url).body("x".repeat(300 << 10))).await;
        assert_eq!(echo.expect_status(200).text.len(), 300 << 10, "{name}");
    }
}

#[tokio::test]
async fn an_import_that_is_not_granted_fails_the_deploy_and_a_grant_in_use_stays() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let refused = deploy_guest(&server, &developer, "misbehaving").await.expect_status(422);
    assert!(refused.json["detail"].as_str().unwrap().contains("flagbase:faas/"), "{}", refused.text);
    server.get("/api/v1/functions/misbehaving", &developer).await.expect_status(404);
    let all = json!({"grants": {"flags": true, "keyvalue": ["default"], "buckets": ["uploads"], "publish": ["a.>"],
        "outbound": ["https://api.example.com"], "secrets": true}});
    server.put("/api/v1/functions/misbehaving", &developer, &all).await.expect_status(201);
    deploy_guest(&server, &developer, "misbehaving").await.expect_status(201);
    assert_eq!(call(&server, "misbehaving").await.expect_status(200).text, "fine");
    let fewer = json!({"grants": {"secrets": false}});
    let refused = set(&server, &developer, "misbehaving", fewer).await.expect_status(422);
    assert!(refused.text.contains("secrets"), "{}", refused.text);
    assert_eq!(call(&server, "misbehaving").await.expect_status(200).text, "fine");
}
