use std::convert::Infallible;

use flagbase_core::{
    buckets::{Buckets, BucketsParts, Signer},
    caller::{Caller, Principal},
    clock::SystemClock,
    environments::{EnvironmentKind, Environments},
    feed::Feed,
    flags::Asked,
    refusal::Precondition,
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::*;
use crate::s3_parts::{AccessKey, S3Limits};

/// Everybody may do everything with the objects of bucket `open`.
async fn front(settings: Value) -> Front {
    front_for(settings, Arc::new(|_| None)).await
}

async fn front_for(settings: Value, keys: AccessKeys) -> Front {
    let (memory, clock) = (Memory::new(), Arc::new(FixedClock::default()));
    let random = Arc::new(SeededRandom::new(1));
    let feed = Arc::new(Feed::open(Arc::new(memory.clone()), clock.clone(), random.clone()).await.unwrap());
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let buckets = Buckets::new(BucketsParts {
        feed,
        index: Arc::new(memory.clone()),
        uploads: Arc::new(memory),
        blobs: Arc::new(MemoryBlobs::new()),
        signer: Signer::new(b"a secret of tests"),
    });
    let nobody = Caller::nobody();
    let admin = Caller { principal: Principal::User, role: "admin".into(), ..Caller::clone(&nobody) };
    let asked = Asked { caller: &admin, environment: "default", reason: "" };
    buckets.put(asked, "open", &settings, Precondition::None).await.unwrap();
    let options = S3Options {
        domain: "s3.example.com".into(),
        region: "us-east-1".into(),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        environment: "default".into(),
        limits: S3Limits::default(),
    };
    Front::new(S3Parts { buckets: Arc::new(buckets), keys, clock, random, options })
}

fn anybody() -> Value {
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:*",
        "Resource": ["arn:aws:s3:::open", "arn:aws:s3:::open/*"],
    });
    json!({"policy": {"Version": "2012-10-17", "Statement": [statement]}})
}

fn peer() -> SocketAddr {
    "192.0.2.1:4000".parse().unwrap()
}

async fn ask(
    front: &Front,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, http::HeaderMap, String) {
    let request = Request::builder().method(method).uri(uri).header("content-length", body.len());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let (head, body) = front.answer(peer(), request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_object_goes_there_and_back_whole_and_in_part() {
    let front = front(anybody()).await;
    let kind = [("content-type", "text/plain"), ("x-amz-meta-owner", "alice")];
    let (status, headers, _) = ask(&front, "PUT", "/open/a%20b/%C3%A4", &kind, "0123456789").await;
    assert_eq!(
        (status, &headers["etag"]),
        (200, &HeaderValue::from_static("\"781e5e245d69b566979b86e28d23f2c7\""))
    );
    let (status, headers, body) = ask(&front, "GET", "/open/a%20b/%C3%A4", &[], "").await;
    assert_eq!((status, body.as_str()), (200, "0123456789"));
    assert_eq!(
        (&headers["content-type"], &headers["x-amz-meta-owner"]),
        (&HeaderValue::from_static("text/plain"), &HeaderValue::from_static("alice"))
    );
    let (status, headers, body) =
        ask(&front, "GET", "/open/a%20b/%C3%A4", &[("range", "bytes=2-4")], "").await;
    assert_eq!(
        (status, body.as_str(), &headers["content-range"]),
        (206, "234", &HeaderValue::from_static("bytes 2-4/10"))
    );
    let (status, _, body) = ask(&front, "GET", "/open?list-type=2&prefix=a", &[], "").await;
    assert!(status == 200 && body.contains("<Key>a b/ä</Key>") && body.contains("<Size>10</Size>"), "{body}");
    let by_host = [("host", "open.s3.example.com:9000")];
    assert_eq!(ask(&front, "GET", "/a%20b/%C3%A4", &by_host, "").await.2, "0123456789");
    assert_eq!(ask(&front, "DELETE", "/open/a%20b/%C3%A4", &[], "").await.0, 204);
    assert_eq!(ask(&front, "GET", "/open/a%20b/%C3%A4", &[], "").await.0, 404);
}

#[tokio::test]
async fn what_is_public_is_read_by_its_key_and_nothing_else_is_open() {
    let front = front(json!({"public": "read"})).await;
    for (method, uri) in
        [("PUT", "/open/k"), ("DELETE", "/open/k"), ("GET", "/open"), ("GET", "/"), ("GET", "/none/k")]
    {
        let (status, headers, body) = ask(&front, method, uri, &[], "").await;
        assert_eq!(
            (status, &headers["x-content-type-options"]),
            (403, &HeaderValue::from_static("nosniff")),
            "{method} {uri}"
        );
        assert!(body.contains("<Code>AccessDenied</Code>"), "{body}");
    }
}

#[tokio::test]
async fn an_error_says_which_request_it_answers() {
    let front = front(anybody()).await;
    let (status, headers, body) = ask(&front, "GET", "/open/none", &[], "").await;
    let id = headers["x-amz-request-id"].to_str().unwrap();
    assert_eq!(status, 404);
    assert!(
        body.contains("<Code>NoSuchKey</Code>") && body.contains(&format!("<RequestId>{id}</RequestId>")),
        "{body}"
    );
    assert_eq!(ask(&front, "HEAD", "/open/none", &[], "").await.2, "");
}

#[tokio::test]
async fn every_error_says_what_to_do() {
    let key = AccessKey { caller: Caller::nobody(), environment: "default".into(), secret: "secret".into() };
    let front = front_for(json!({}), Arc::new(move |id| (id == "FB01").then(|| key.clone()))).await;
    // What reads signatures goes by the time of the machine.
    let now = SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &now[..8];
    let signed = |id: &str| {
        let names = "host;x-amz-content-sha256;x-amz-date";
        let signature = "0".repeat(64);
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{day}/us-east-1/s3/aws4_request, SignedHeaders={names}, Signature={signature}"
        )
    };
    let (wrong, unknown) = (signed("FB01"), signed("FB02"));
    let headers = |authorization| {
        [
            ("host", "localhost"),
            ("x-amz-date", now.as_str()),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("authorization", authorization),
        ]
    };
    for (authorization, code, said) in [
        (wrong.as_str(), "SignatureDoesNotMatch", "check the secret access key"),
        (unknown.as_str(), "InvalidAccessKeyId", "it may have been revoked"),
    ] {
        let (status, _, body) = ask(&front, "GET", "/open/k", &headers(authorization), "").await;
        assert_eq!(status, 403, "{body}");
        assert!(body.contains(&format!("<Code>{code}</Code>")) && body.contains(said), "{body}");
    }
    let (_, _, body) = ask(&front, "GET", "/open/k", &[], "").await;
    assert!(body.contains("<Message>this needs an access key"), "{body}");
    for (method, uri) in
        [("GET", "/Not_A_Name/k"), ("PATCH", "/open/k"), ("POST", "/open/k"), ("GET", "/open/%ff")]
    {
        let (status, _, body) = ask(&front, method, uri, &[], "").await;
        assert!(
            status >= 400 && body.contains("<Message>") && !body.contains("<Message></"),
            "{method} {uri}: {body}"
        );
    }
}

#[tokio::test]
async fn a_checksum_that_is_wrong_leaves_nothing() {
    let front = front(anybody()).await;
    let (status, _, body) =
        ask(&front, "PUT", "/open/k", &[("x-amz-checksum-crc32", "AAAAAA==")], "body").await;
    assert!(status == 400 && body.contains("<Code>BadDigest</Code>"), "{body}");
    assert_eq!(ask(&front, "GET", "/open/k", &[], "").await.0, 404);
}

#[tokio::test]
async fn pages_of_other_origins_are_told_what_they_may() {
    let mut settings = anybody();
    settings["cors"] = json!([{"origins": ["https://example.com"], "methods": ["GET"]}]);
    let front = front(settings).await;
    let (origin, method) = (("origin", "https://example.com"), ("access-control-request-method", "GET"));
    let (status, headers, _) = ask(&front, "OPTIONS", "/open/k", &[origin, method], "").await;
    assert_eq!(
        (status, &headers["access-control-allow-origin"]),
        (200, &HeaderValue::from_static("https://example.com"))
    );
    let (status, headers, _) = ask(&front, "GET", "/open/none", &[origin], "").await;
    assert!(status == 404 && headers.contains_key("access-control-allow-origin"));
    let other = ("origin", "https://example.org");
    assert_eq!(ask(&front, "OPTIONS", "/open/k", &[other, method], "").await.0, 403);
    assert!(
        !ask(&front, "GET", "/open/none", &[other], "").await.1.contains_key("access-control-allow-origin")
    );
}

/// Some bytes, and then nothing for ever.
struct Paused(Option<Bytes>);

impl http_body::Body for Paused {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_for_too_long_is_given_up() {
    let front = front(anybody()).await;
    let request = Request::builder().method("PUT").uri("/open/k").header("content-length", 10);
    let request = request.body(Paused(Some(Bytes::from_static(b"12345")))).unwrap();
    let response = front.answer(peer(), request).await;
    assert_eq!(response.status().as_u16(), 400);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("<Code>RequestTimeout</Code>"), "{body:?}");
    assert_eq!(ask(&front, "GET", "/open/k", &[], "").await.0, 404);
}

#[tokio::test]
async fn a_region_that_is_none_is_answered_with_ours() {
    let front = front(anybody()).await;
    let value =
        "AWS4-HMAC-SHA256 Credential=FB01/20261122/eu_west/s3/aws4_request, SignedHeaders=host, Signature=00";
    let (status, _, body) =
        ask(&front, "GET", "/open", &[("authorization", value), ("host", "localhost")], "").await;
    assert_eq!(status, 400);
    assert!(
        body.contains("<Code>AuthorizationHeaderMalformed</Code>")
            && body.contains("<Region>us-east-1</Region>"),
        "{body}"
    );
}

#[tokio::test]
async fn conditions_look_at_the_client_behind_a_trusted_proxy_and_at_nobody_elses_word() {
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::open", "arn:aws:s3:::open/*"],
        "Condition": {
            "IpAddress": {"aws:SourceIp": "203.0.113.0/24"},
            "Bool": {"aws:SecureTransport": "true"},
        },
    });
    let front = front(json!({"policy": {"Version": "2012-10-17", "Statement": [statement]}})).await;
    for (peer, address, scheme, status) in [
        ("10.0.0.1:1", "203.0.113.9", "https", 200),
        ("10.0.0.1:1", "203.0.113.9", "http", 403),
        ("10.0.0.1:1", "198.51.100.9", "https", 403),
        ("10.0.0.1:1", "203.0.113.9, 198.51.100.9", "https", 403),
        ("192.0.2.1:1", "203.0.113.9", "https", 403),
        ("203.0.113.9:1", "203.0.113.9", "https", 403),
    ] {
        let request = Request::builder().uri("/open").header("x-forwarded-for", address);
        let request = request.header("x-forwarded-proto", scheme).body(Full::<Bytes>::default()).unwrap();
        let answer = front.answer(peer.parse().unwrap(), request).await;
        assert_eq!(answer.status().as_u16(), status, "{peer} {address} {scheme}");
    }
}
