//! Uploads by tus 1.0, resumed after every kind of break.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const KIND: (&str, &str) = ("content-type", "application/offset+octet-stream");

impl Place {
    /// Begins an upload; its path below the bucket.
    async fn begin(&self, key: &str, length: usize) -> String {
        let (length, metadata) = (length.to_string(), format!("key {}", STANDARD.encode(key)));
        let headers = [TUS, ("upload-length", length.as_str()), ("upload-metadata", metadata.as_str())];
        let begun = self.send(Method::POST, "/uploads", &headers, "").await.expect_status(201);
        assert!(begun.header("upload-expires").is_some());
        begun.header("location").unwrap().strip_prefix("/api/v1/buckets/files").unwrap().to_owned()
    }

    async fn append(&self, upload: &str, offset: usize, body: Vec<u8>) -> Reply {
        let offset = offset.to_string();
        self.send(Method::PATCH, upload, &[TUS, KIND, ("upload-offset", &offset)], body).await
    }

    async fn offset(&self, upload: &str) -> Reply {
        self.send(Method::HEAD, upload, &[TUS], "").await
    }
}

#[tokio::test]
async fn an_upload_is_resumed_where_its_connection_broke() {
    let place = Place::new(json!({})).await;
    let bytes = filled(100_000, 3);
    let upload = place.begin("big/ä", bytes.len()).await;
    // A client that promises everything, sends a third, and is gone.
    let address = place.server.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!(
        "PATCH /api/v1/buckets/files{upload} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {}\r\n\r\n",
        place.token,
        bytes.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[..33_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    drop(stream.read_to_end(&mut Vec::new()));
    let mut offset = 0;
    for _ in 0..600 {
        offset =
            place.offset(&upload).await.expect_status(200).header("upload-offset").unwrap().parse().unwrap();
        if offset > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(offset, 33_000, "what came is kept");
    place.get("big/ä", &[]).await.expect_status(404);
    let wrong = place.append(&upload, 5, vec![1]).await.expect_status(409);
    assert_eq!(wrong.json["code"], "upload_offset");
    let rest = bytes[offset..].to_vec();
    let done = place.append(&upload, offset, rest).await.expect_status(204);
    assert_eq!((done.header("upload-offset"), done.header("etag").is_some()), (Some("100000"), true));
    assert_eq!(place.bytes("big/ä").await, bytes);
    place.offset(&upload).await.expect_status(404);
}

#[tokio::test]
async fn what_the_protocol_refuses_is_refused() {
    let place = Place::new(json!({"quota": {"bytes": 100}})).await;
    let able = place.send(Method::OPTIONS, "/uploads", &[], "").await.expect_status(204);
    assert!(able.header("tus-extension").unwrap().contains("creation-with-upload"));
    let metadata = ("upload-metadata", "key YQ==");
    let begin = async |headers: &[(&str, &str)]| place.send(Method::POST, "/uploads", headers, "").await;
    begin(&[("upload-length", "5"), metadata]).await.expect_status(412);
    begin(&[TUS, metadata]).await.expect_status(400);
    begin(&[TUS, ("upload-length", "5")]).await.expect_status(400);
    assert_eq!(
        begin(&[TUS, ("upload-length", "101"), metadata]).await.expect_status(409).json["code"],
        "quota_bytes"
    );
    let upload = place.begin("a", 5).await;
    place.send(Method::PATCH, &upload, &[TUS, ("upload-offset", "0")], "12345").await.expect_status(415);
    place.append(&upload, 0, b"123456".to_vec()).await.expect_status(413);
    let wrong = [TUS, KIND, ("upload-offset", "0"), ("upload-checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=")];
    place.send(Method::PATCH, &upload, &wrong, "12345").await.expect_status(460);
    assert_eq!(place.offset(&upload).await.header("upload-offset"), Some("0"), "nothing of it is kept");
    place.send(Method::DELETE, &upload, &[TUS], "").await.expect_status(204);
    place.offset(&upload).await.expect_status(404);
    place.get("a", &[]).await.expect_status(404);
}

#[tokio::test]
async fn an_upload_may_begin_with_its_bytes_and_end_at_once() {
    let place = Place::new(json!({})).await;
    let headers =
        [TUS, KIND, ("upload-length", "5"), ("upload-metadata", "key YQ==,content_type dGV4dC9wbGFpbg==")];
    let begun = place.send(Method::POST, "/uploads", &headers, "hello").await.expect_status(201);
    assert_eq!((begun.header("upload-offset"), begun.header("etag").is_some()), (Some("5"), true));
    let read = place.get("a", &[]).await.expect_status(200);
    assert_eq!((read.text.as_str(), read.header("content-type")), ("hello", Some("text/plain")));
    let empty = [TUS, ("upload-length", "0"), ("upload-metadata", "key Yg==")];
    place.send(Method::POST, "/uploads", &empty, "").await.expect_status(201);
    assert_eq!(place.bytes("b").await, b"");
}
