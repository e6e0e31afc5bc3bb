//! Buckets over HTTP, on the fakes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "identity/server.rs"]
#[expect(dead_code, reason = "the helpers of another test, of which this one needs a part")]
mod server;

use base64::{Engine as _, engine::general_purpose::STANDARD};
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
    assert_eq!(send("PUT", "/other", &token, r#"{"quotas": 1}"#).await.status, 422);
    let user = server.join("user@example.com", "user").await;
    assert_eq!(send("PUT", "/mine", &user, "{}").await.status, 403);
    assert_eq!(send("GET", "/uploads", &user, "").await.status, 403);
    assert_eq!(send("DELETE", "/uploads", &token, "").await.status, 204);
    let gone = send("GET", "/uploads", &token, "").await;
    assert_eq!((gone.status.as_u16(), &gone.json["code"]), (404, &json!("bucket_not_found")));
}

#[tokio::test]
async fn an_object_is_written_read_in_part_described_copied_and_deleted() {
    let server = server().await;
    let token = server.join("dev@example.com", "developer").await;
    let send = async |method: &str, path: &str, body: &str| {
        server.send(method, &format!("/api/v1/buckets{path}"), &token, body.to_owned()).await
    };
    assert_eq!(send("PUT", "/files", "{}").await.status, 201);
    let key = "/files/objects/..//a%20b/%C3%A4";
    let written = send("PUT", key, "hello").await;
    assert_eq!((written.status.as_u16(), &written.json["size"]), (200, &json!(5)), "{}", written.text);
    assert_eq!(written.json["key"], "..//a b/ä");
    let read = send("GET", key, "").await;
    assert_eq!((read.text.as_str(), &read.headers["content-length"]), ("hello", &"5".parse().unwrap()));
    assert_eq!(read.headers["x-content-type-options"], "nosniff");
    let head = send("HEAD", key, "").await;
    assert_eq!((head.text.as_str(), &head.headers["etag"]), ("", &read.headers["etag"]));
    let described = send("PATCH", key, r#"{"content_type": "text/html", "tags": {"team": "blue"}}"#).await;
    assert_eq!((described.status.as_u16(), &described.json["tags"]["team"]), (200, &json!("blue")));
    let shown = send("GET", key, "").await;
    assert_eq!(shown.headers["content-disposition"], "attachment", "a browser could run it");
    assert_eq!(send("PUT", "/files/objects/copy?copy=files/..//a+b/%C3%A4", "").await.status, 200);
    let listed = send("GET", "/files/objects?delimiter=/", "").await;
    assert_eq!(listed.json["prefixes"], json!(["../"]), "{}", listed.text);
    assert_eq!(listed.json["objects"][0]["key"], "copy");
    let usage = send("GET", "/files/usage", "").await;
    assert_eq!((&usage.json["objects"], &usage.json["bytes"]), (&json!(2), &json!(10)));
    let deleted = send("POST", "/files/delete", r#"{"keys": ["copy", "never"]}"#).await;
    assert_eq!(deleted.json["deleted"].as_array().map(Vec::len), Some(2), "{}", deleted.text);
    assert_eq!(send("DELETE", key, "").await.status, 204);
    assert_eq!(send("GET", key, "").await.json["code"], "object_not_found");
}

#[tokio::test]
async fn uploads_under_way_are_listed_to_who_may_list_and_given_up_by_who_may_write() {
    let server = server().await;
    let token = server.join("dev@example.com", "developer").await;
    let up = "/api/v1/buckets/files";
    let lifecycle = r#"{"lifecycle": [{"prefix": "tmp/", "abort_uploads_after_days": 1}]}"#;
    assert_eq!(server.send("PUT", up, &token, lifecycle.to_owned()).await.status, 201);
    let begin = async |key: &str| {
        let metadata = format!("key {}", STANDARD.encode(key));
        let headers =
            [("tus-resumable", "1.0.0"), ("upload-length", "9"), ("upload-metadata", metadata.as_str())];
        let begun = server.with(("POST", &format!("{up}/uploads")), &token, &headers, String::new()).await;
        assert_eq!(begun.status, 201, "{}", begun.text);
    };
    for key in ["b", "a", "tmp/a", "b"] {
        begin(key).await;
    }
    let list =
        async |query: &str| server.send("GET", &format!("{up}/uploads?{query}"), &token, String::new()).await;
    let mut keys = Vec::new();
    let mut next = "limit=3".to_owned();
    while !next.is_empty() {
        let page = list(&next).await;
        assert_eq!(page.status, 200, "{}", page.text);
        keys.extend(page.json["uploads"].as_array().unwrap().iter().map(|one| one["key"].clone()));
        next = page.headers.get("link").map_or(String::new(), |link| {
            let link = link.to_str().unwrap();
            assert_eq!(page.json["next"]["after"], "b");
            link[link.find('?').unwrap() + 1..link.find('>').unwrap()].to_owned()
        });
    }
    assert_eq!(keys, ["a", "b", "b", "tmp/a"]);
    let one = list("prefix=tmp/").await.json["uploads"][0].clone();
    assert_eq!((&one["length"], &one["offset"]), (&json!(9), &json!(0)));
    let time = |name: &str| one[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(
        time("expires").duration_since(time("begun")).as_hours(),
        24,
        "as the lifecycle says for its key"
    );
    let path = format!("{up}/uploads/{}", one["id"].as_str().unwrap());
    let user = server.join("user@example.com", "user").await;
    assert_eq!(server.send("GET", &format!("{up}/uploads"), &user, String::new()).await.status, 403);
    assert_eq!(server.send("DELETE", &path, &user, String::new()).await.status, 403);
    let gone = server.send("DELETE", &path, &token, String::new()).await;
    assert_eq!((gone.status.as_u16(), gone.headers.contains_key("tus-resumable")), (204, false));
    let again = server.send("DELETE", &path, &token, String::new()).await;
    assert_eq!((again.status.as_u16(), &again.json["code"]), (404, &json!("upload_not_found")));
    assert_eq!(list("").await.json["uploads"].as_array().map(Vec::len), Some(3));
    assert_eq!(list("limit=0").await.status, 400);
}

#[tokio::test]
async fn a_signed_url_opens_one_object_in_one_way() {
    let server = server().await;
    let token = server.join("dev@example.com", "developer").await;
    let send = async |method: &str, path: &str, token: &str, body: &str| {
        server.send(method, path, token, body.to_owned()).await
    };
    let up = "/api/v1/buckets/files";
    assert_eq!(send("PUT", up, &token, "{}").await.status, 201);
    let sign = async |body: &str| send("POST", &format!("{up}/sign"), &token, body).await;
    let signed = sign(r#"{"method": "PUT", "key": "a", "max_size": 3}"#).await;
    let url = signed.json["url"].as_str().unwrap().to_owned();
    assert_eq!(send("PUT", &url, "", "1234").await.status, 413, "more than was permitted");
    assert_eq!(send("PUT", &url, "", "123").await.status, 200);
    let read = send("GET", &url, "", "").await;
    assert_eq!(read.status, 403);
    assert!(read.json["detail"].as_str().unwrap().contains("is for PUT"), "{}", read.json);
    let stretched = url.replace("max_size=3", "max_size=30");
    assert_eq!(send("PUT", &stretched, "", "1234").await.json["code"], "signature_invalid");
    let copied = send("PUT", &format!("{url}&copy=files/a"), "", "").await;
    assert_eq!(copied.json["code"], "signature_invalid", "what is copied was not signed");
    let signed = sign(r#"{"key": "a"}"#).await;
    assert_eq!(send("GET", signed.json["url"].as_str().unwrap(), "", "").await.text, "123");
    assert_eq!(send("GET", &format!("{up}/objects/a"), "", "").await.status, 401);
    assert_eq!(sign(r#"{"key": "a", "expires_in": 604801}"#).await.status, 422);
    assert_eq!(sign(r#"{"key": "a", "max_size": 1}"#).await.status, 422);
}
