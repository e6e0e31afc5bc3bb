//! Signed URLs, as they were made and as somebody would like them to be.

use super::*;

impl Place {
    async fn sign(&self, body: &Value) -> String {
        let signed =
            self.server.post("/api/v1/buckets/files/sign", &self.token, body).await.expect_status(200);
        signed.json["url"].as_str().unwrap().to_owned()
    }

    /// Without a token.
    async fn bare(&self, method: Method, path: &str, kind: &str, body: &'static str) -> Reply {
        let request = self.server.client().request(method, self.server.url(path));
        self.server.reply(request.header("content-type", kind).body(body)).await
    }
}

#[tokio::test]
async fn a_signed_url_permits_what_it_says_and_nothing_else() {
    let place = Place::new(json!({})).await;
    let wanted = json!({"method": "PUT", "key": "in/ä b", "max_size": 5, "content_type": "text/plain", "expires_in": 60});
    let url = place.sign(&wanted).await;
    let put = |url: String, kind: &'static str, body: &'static str| {
        let place = &place;
        async move { place.bare(Method::PUT, &url, kind, body).await }
    };
    put(url.clone(), "text/plain", "123456").await.expect_status(413);
    put(url.clone(), "text/html", "12345").await.expect_status(415);
    put(url.clone(), "text/plain", "12345").await.expect_status(200);
    let second = url.split("expires=").nth(1).unwrap().split('&').next().unwrap();
    let later = (second.parse::<u64>().unwrap() + 1000).to_string();
    for stretched in [
        url.replace(second, &later),
        url.replace("max_size=5", "max_size=50"),
        url.replace("&max_size=5", ""),
        url.replace("/in/", "/out/"),
        url.replace("by=user", "by=key"),
        url.replace("content_type=text%2Fplain", "content_type=text%2Fhtml"),
    ] {
        let refused = put(stretched.clone(), "text/plain", "1").await.expect_status(403);
        assert_eq!(refused.json["code"], "signature_invalid", "{stretched}");
    }
    let refused = place.bare(Method::GET, &url, "", "").await.expect_status(403);
    assert!(refused.text.contains("this URL is for PUT, not for GET"), "{}", refused.text);
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        let refused = place.bare(method.clone(), &url, "application/json", "{}").await;
        assert!(matches!(refused.status, 400 | 403), "{method}: {}", refused.text);
    }
    let read = place.sign(&json!({"key": "in/ä b"})).await;
    assert_eq!(place.bare(Method::GET, &read, "", "").await.expect_status(200).text, "12345");
    place.bare(Method::HEAD, &read, "", "").await.expect_status(200);
    let refused = place.bare(Method::DELETE, &read, "", "").await.expect_status(403);
    assert_eq!(refused.json["code"], "signature_invalid");
}

#[tokio::test]
async fn a_signed_url_ends() {
    let place = Place::new(json!({})).await;
    place.put("a", "x").await.expect_status(200);
    let url = place.sign(&json!({"key": "a", "expires_in": 1})).await;
    let mut last = place.bare(Method::GET, &url, "", "").await;
    for _ in 0..600 {
        if last.status == 403 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        last = place.bare(Method::GET, &url, "", "").await;
    }
    assert_eq!(last.json["code"], "signature_expired");
}
