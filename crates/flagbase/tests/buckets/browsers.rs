//! Pages of other origins, as browsers ask for them.

use super::*;

const PAGE: &str = "https://shop.example.com";

#[tokio::test]
async fn pages_of_an_origin_that_is_named_may_send_every_header_of_uploads_and_read_the_answers() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_SERVER__CORS_ORIGINS", PAGE)]).await;
    let place = Place::on(server, json!({})).await;
    for (method, headers) in [
        ("POST", "authorization,tus-resumable,upload-length,upload-metadata"),
        ("PATCH", "tus-resumable,upload-offset,upload-checksum,content-type"),
        ("PUT", "x-meta-owner,x-checksum-crc64nvme,if-none-match"),
        ("HEAD", "authorization,range"),
    ] {
        let asked = [
            ("origin", PAGE),
            ("access-control-request-method", method),
            ("access-control-request-headers", headers),
        ];
        let allowed = place.send(Method::OPTIONS, "/uploads", &asked, "").await;
        assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE), "{method}");
        assert_eq!(allowed.header("access-control-allow-headers"), Some(headers), "{method}");
        assert!(allowed.header("access-control-allow-methods").unwrap().contains(method), "{method}");
    }
    let other = [("origin", "https://evil.example.com"), ("access-control-request-method", "PUT")];
    let refused = place.send(Method::OPTIONS, "/uploads", &other, "").await;
    assert_eq!(refused.header("access-control-allow-origin"), None);
    place.put("k", "bytes").await.expect_status(200);
    let read = place.get("k", &[("origin", PAGE)]).await.expect_status(200);
    assert_eq!(read.header("access-control-expose-headers"), Some("*"));
}
