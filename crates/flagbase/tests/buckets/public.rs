//! What everybody may read, and nothing more.

use super::*;

impl Place {
    /// Without a token.
    async fn anybody(&self, method: Method, path: &str) -> Reply {
        let url = self.server.url(&format!("/api/v1/buckets/files{path}"));
        self.server.reply(self.server.client().request(method, url).body("{}")).await
    }

    async fn set(&self, settings: &Value) {
        self.server.patch("/api/v1/buckets/files", &self.token, settings).await.expect_status(200);
    }
}

#[tokio::test]
async fn what_is_public_is_read_by_everybody_until_it_is_private_again() {
    let place = Place::new(json!({})).await;
    let kind = [("content-type", "text/html")];
    place.send(Method::PUT, "/objects/page.html", &kind, "<script>1</script>").await.expect_status(200);
    place.anybody(Method::GET, "/objects/page.html").await.expect_status(401);

    place.set(&json!({"public": "read"})).await;
    let read = place.anybody(Method::GET, "/objects/page.html").await.expect_status(200);
    assert_eq!(read.text, "<script>1</script>");
    assert_eq!(read.header("content-disposition"), Some("attachment"), "no browser runs it here");
    assert_eq!(read.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(read.header("content-type"), Some("text/html"));
    let head = place.anybody(Method::HEAD, "/objects/page.html").await.expect_status(200);
    assert_eq!(head.header("etag"), read.header("etag"));
    for (method, path) in [
        (Method::PUT, "/objects/page.html"),
        (Method::PUT, "/objects/new"),
        (Method::PATCH, "/objects/page.html"),
        (Method::DELETE, "/objects/page.html"),
        (Method::GET, "/objects"),
        (Method::GET, "/objects?versions=true"),
        (Method::GET, "/uploads"),
        (Method::GET, "/usage"),
        (Method::GET, ""),
    ] {
        let refused = place.anybody(method.clone(), path).await;
        assert_eq!(refused.status, 401, "{method} {path}: {}", refused.text);
    }

    place.set(&json!({"public": null})).await;
    place.anybody(Method::GET, "/objects/page.html").await.expect_status(401);
    assert_eq!(place.bytes("page.html").await, b"<script>1</script>", "whoever may still reads it");
}
