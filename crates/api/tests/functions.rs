//! Functions over HTTP, on the fakes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "identity/server.rs"]
#[expect(dead_code, reason = "the helpers of another test, of which this one needs a part")]
mod server;

use serde_json::{Value, json};
use server::{Answer, Server, server};

async fn developer(server: &Server) -> String {
    server.join("dev@example.com", "developer").await
}

/// Deploys a script.
async fn deploy(server: &Server, token: &str, query: &str, script: &str) -> Answer {
    let path = format!("/api/v1/functions/hello/versions?file=hello.fake{query}");
    server.send("POST", &path, token, format!("fake\n{script}")).await
}

#[tokio::test]
async fn a_deploy_makes_the_function_and_every_further_one_a_version() {
    let server = server().await;
    let token = developer(&server).await;
    let made = deploy(&server, &token, "&note=first", "say one").await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((&made.json["number"], &made.json["note"]), (&json!(1), &json!("first")));
    assert!(made.headers.contains_key("etag"));
    deploy(&server, &token, "&promote=false", "say two").await;
    let function = server.send("GET", "/api/v1/functions/hello", &token, String::new()).await;
    assert_eq!(
        (&function.json["current"], function.json["versions"].as_array().unwrap().len()),
        (&json!(1), 2)
    );
    let one = server.send("GET", "/api/v1/functions/hello/versions/2", &token, String::new()).await;
    assert_eq!((&one.json["number"], &one.json["file"]), (&json!(2), &json!("hello.fake")));
    let code = server.send("GET", "/api/v1/functions/hello/versions/2/code", &token, String::new()).await;
    assert_eq!(code.text, "fake\nsay two");
    let missing = server.send("GET", "/api/v1/functions/hello/versions/9", &token, String::new()).await;
    assert_eq!((missing.status.as_u16(), &missing.json["code"]), (404, &json!("version_not_found")));
    let odd = server.send("GET", "/api/v1/functions/hello/versions/x", &token, String::new()).await;
    assert_eq!(odd.status, 404);
}

#[tokio::test]
async fn uploads_that_cannot_be_are_refused_and_nothing_is_made() {
    let server = server().await;
    let token = developer(&server).await;
    for (query, script, status) in [
        ("", "x".repeat(2000), 413),
        ("&promote=maybe", "say x".to_owned(), 400),
        ("&enviroment=default", "say x".to_owned(), 400),
        ("", "import buckets".to_owned(), 422),
    ] {
        let refused = deploy(&server, &token, query, &script).await;
        assert_eq!(refused.status, status, "{query} {}", refused.text);
    }
    let user = server.join("user@example.com", "user").await;
    assert_eq!(deploy(&server, &user, "", "say x").await.status, 403);
    assert_eq!(server.send("GET", "/api/v1/functions/hello", &token, String::new()).await.status, 404);
}

#[tokio::test]
async fn versions_are_promoted_rolled_back_and_removed() {
    let server = server().await;
    let token = developer(&server).await;
    for script in ["say one", "say two", "say three"] {
        assert_eq!(deploy(&server, &token, "", script).await.status, 201);
    }
    let post = async |action: &str, body: Value| {
        server.send("POST", &format!("/api/v1/functions/hello/{action}"), &token, body.to_string()).await
    };
    assert_eq!(post("rollback", json!({})).await.json["current"], json!(2));
    assert_eq!(post("rollback", json!({"version": 1})).await.json["current"], json!(1));
    assert_eq!(post("promote", json!({"version": 3})).await.json["current"], json!(3));
    assert_eq!(post("promote", json!({"version": 7})).await.status, 404);
    assert_eq!(post("promote", json!({"versoin": 1})).await.status, 422);
    let remove = async |number: u32| {
        let path = format!("/api/v1/functions/hello/versions/{number}");
        server.send("DELETE", &path, &token, String::new()).await.status.as_u16()
    };
    assert_eq!((remove(3).await, remove(2).await, remove(2).await), (409, 204, 404));
}

#[tokio::test]
async fn a_call_by_hand_tells_all_that_came_of_it() {
    let server = server().await;
    let token = developer(&server).await;
    deploy(&server, &token, "", "echo").await;
    deploy(&server, &token, "&promote=false", "trap").await;
    let invoke = async |body: Value| {
        server.send("POST", "/api/v1/functions/hello/invoke", &token, body.to_string()).await
    };
    let answer = invoke(json!({"request": {"method": "POST", "target": "/x?y", "body": "z"}})).await;
    assert_eq!(
        (&answer.json["status"], &answer.json["version"]),
        (&json!(200), &json!(1)),
        "{}",
        answer.text
    );
    assert_eq!(answer.json["body"], json!("POST /x?y\nz"), "{}", answer.text);
    let failed = invoke(json!({"version": 2, "request": {}})).await;
    assert_eq!((failed.status.as_u16(), &failed.json["fault"]["code"]), (200, &json!("function_failed")));
    let other = invoke(json!({"event": {"subject": "orders.created", "data": {"n": 1}}})).await;
    assert_eq!(other.json["fault"]["code"], json!("function_not_served"), "{}", other.text);
    for bad in [json!({}), json!({"request": {}, "tick": {}}), json!({"request": {"target": "x"}})] {
        assert_eq!(invoke(bad.clone()).await.status, 422, "{bad}");
    }
    let metrics = server.send("GET", "/api/v1/functions/hello/metrics", &token, String::new()).await;
    assert_eq!(metrics.json["versions"][0]["version"], json!(1), "{}", metrics.text);
    let logs = server.send("GET", "/api/v1/functions/hello/logs?version=2", &token, String::new()).await;
    assert_eq!(logs.json[0]["stream"], json!("host"), "{}", logs.text);
}

#[tokio::test]
async fn secrets_are_named_and_never_shown() {
    let server = server().await;
    let token = developer(&server).await;
    deploy(&server, &token, "", "say x").await;
    let path = "/api/v1/functions/hello/secrets/API_KEY";
    let set = server.send("PUT", path, &token, json!({"value": "hunter2hunter2"}).to_string()).await;
    assert_eq!(set.status, 204, "{}", set.text);
    let listed = server.send("GET", "/api/v1/functions/hello/secrets", &token, String::new()).await;
    assert_eq!(listed.json[0]["name"], json!("API_KEY"));
    assert!(!listed.text.contains("hunter2"));
    assert_eq!(server.send("DELETE", path, &token, String::new()).await.status, 204);
    assert_eq!(server.send("DELETE", path, &token, String::new()).await.status, 404);
}

#[tokio::test]
async fn settings_are_merged_checked_and_versioned() {
    let server = server().await;
    let token = developer(&server).await;
    let path = "/api/v1/functions/hello";
    let made = server.send("PUT", path, &token, json!({"limits": {"timeout": "2s"}}).to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let changed = server.send("PATCH", path, &token, json!({"environment": {"A": "1"}}).to_string()).await;
    assert_eq!(
        (&changed.json["limits"]["timeout"], &changed.json["environment"]["A"]),
        (&json!("2s"), &json!("1"))
    );
    for bad in [json!({"limit": {}}), json!({"limits": {"timeout": 5}}), json!({"flag_key": "nothing"})] {
        assert_eq!(server.send("PATCH", path, &token, bad.to_string()).await.status, 422, "{bad}");
    }
    let listed = server.send("GET", "/api/v1/functions?limit=1", &token, String::new()).await;
    assert_eq!(listed.json[0]["name"], json!("hello"));
    assert!(listed.headers.contains_key("link"));
    assert_eq!(server.send("DELETE", path, &token, String::new()).await.status, 204);
}
