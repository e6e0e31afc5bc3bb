//! Buckets over HTTP, on the fakes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "identity/server.rs"]
#[expect(dead_code, reason = "the helpers of another test, of which this one needs a part")]
mod server;

use serde_json::json;
use server::server;

#[tokio::test]
async fn a_bucket_is_made_listed_and_deleted_by_who_may() {
    let server = server().await;
    let token = server.join("dev@example.com", "developer").await;
    let send = async |method: &str, path: &str, token: &str, body: &str| {
        server.send(method, &format!("/api/v1/buckets{path}"), token, body.to_owned()).await
    };
    let made = send("PUT", "/uploads", &token, r#"{"description": "what people send"}"#).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.headers.contains_key("etag"));
    let again = send("PUT", "/uploads", &token, "{}").await;
    assert_eq!((again.status.as_u16(), &again.json["description"]), (200, &json!("")));
    let shown = send("GET", "/uploads", &token, "").await;
    assert_eq!((shown.status.as_u16(), &shown.json["name"]), (200, &json!("uploads")));
    let listed = send("GET", "", &token, "").await;
    assert_eq!(listed.json.as_array().map(Vec::len), Some(1), "{}", listed.text);
    assert_eq!(send("PUT", "/Not-A-Name", &token, "{}").await.status, 422);
    assert_eq!(send("PUT", "/other", &token, r#"{"quota": 1}"#).await.status, 422);
    let user = server.join("user@example.com", "user").await;
    assert_eq!(send("PUT", "/mine", &user, "{}").await.status, 403);
    assert_eq!(send("GET", "/uploads", &user, "").await.status, 403);
    assert_eq!(send("DELETE", "/uploads", &token, "").await.status, 204);
    let gone = send("GET", "/uploads", &token, "").await;
    assert_eq!((gone.status.as_u16(), &gone.json["code"]), (404, &json!("bucket_not_found")));
}
