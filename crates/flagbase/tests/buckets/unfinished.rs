//! Uploads beside those of S3: those that are not complete are seen and given up in one place, and what comes of parts.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

const TUS: (&str, &str) = ("tus-resumable", "1.0.0");

/// What an element of an answer of S3 says.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| unreachable!("{name} in {xml}"));
    rest.split("</").next().unwrap_or_default()
}

impl Place {
    async fn unfinished(&self, query: &str) -> Value {
        let listed = self.send(Method::GET, &format!("/uploads?{query}"), &[], "").await.expect_status(200);
        listed.json
    }
}

#[tokio::test]
async fn uploads_of_both_protocols_are_listed_and_given_up() {
    let (place, s3) = Place::with_s3().await;
    let metadata = format!("key {}", STANDARD.encode("a/tus"));
    let headers = [
        TUS,
        ("upload-length", "9"),
        ("upload-metadata", metadata.as_str()),
        ("content-type", "application/offset+octet-stream"),
    ];
    place.send(Method::POST, "/uploads", &headers, "1234").await.expect_status(201);
    let client = place.server.client();
    let begun = place.server.reply(client.post(format!("{s3}/a/parts?uploads"))).await.expect_status(200);
    let id = element(&begun.text, "UploadId").to_owned();
    let part = client.put(format!("{s3}/a/parts?partNumber=1&uploadId={id}")).body("123456");
    place.server.reply(part).await.expect_status(200);

    let listed = place.unfinished("prefix=a/").await;
    let [parts, tus] = listed["uploads"].as_array().unwrap().as_slice() else { unreachable!("{listed}") };
    assert_eq!((&parts["key"], &parts["id"]), (&json!("a/parts"), &json!(id)));
    assert_eq!((&parts["length"], &parts["offset"]), (&Value::Null, &json!(6)));
    assert_eq!((&tus["key"], &tus["length"], &tus["offset"]), (&json!("a/tus"), &json!(9), &json!(4)));
    assert!(
        tus["begun"].is_string() && tus["expires"].is_string() && parts["expires"].is_string(),
        "{listed}"
    );
    let first = place.unfinished("limit=1").await;
    assert_eq!(first["next"], json!({"after": "a/parts", "after_id": id}));
    let second = place.unfinished(&format!("limit=1&after=a/parts&after_id={id}")).await;
    assert_eq!((&second["uploads"][0]["key"], &second["next"]), (&json!("a/tus"), &Value::Null));

    let path = format!("/uploads/{id}");
    place.send(Method::DELETE, &path, &[TUS], "").await.expect_status(404);
    place.send(Method::DELETE, &path, &[], "").await.expect_status(204);
    let path = format!("/uploads/{}", tus["id"].as_str().unwrap());
    place.send(Method::DELETE, &path, &[], "").await.expect_status(204);
    assert_eq!(place.unfinished("").await["uploads"], json!([]));
    let usage = place.send(Method::GET, "/usage", &[], "").await.expect_status(200);
    assert_eq!((&usage.json["uploads"], &usage.json["uploaded_bytes"]), (&json!(0), &json!(0)));
    let gone = place.server.reply(client.get(format!("{s3}/a/parts?uploadId={id}"))).await.expect_status(404);
    assert_eq!(element(&gone.text, "Code"), "NoSuchUpload");
}

#[tokio::test]
async fn an_object_of_parts_keeps_its_etag_when_it_is_copied() {
    let (place, s3) = Place::with_s3().await;
    let client = place.server.client();
    let send = async |request: reqwest::RequestBuilder| place.server.reply(request).await.expect_status(200);
    let begun = send(client.post(format!("{s3}/whole?uploads"))).await;
    let id = element(&begun.text, "UploadId");
    let parts = [filled(5 * 1024 * 1024, 1), filled(1000, 2)];
    let mut named = Vec::new();
    for (number, bytes) in (1..).zip(&parts) {
        let part =
            send(client.put(format!("{s3}/whole?partNumber={number}&uploadId={id}")).body(bytes.clone()))
                .await;
        let etag = part.header("etag").unwrap();
        named.push(format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let complete = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", named.concat());
    send(client.post(format!("{s3}/whole?uploadId={id}")).body(complete)).await;
    let etag = send(client.head(format!("{s3}/whole"))).await.header("etag").unwrap().to_owned();
    assert!(etag.ends_with("-2\""), "the number of parts is in it: {etag}");

    send(client.put(format!("{s3}/by-s3")).header("x-amz-copy-source", "/files/whole")).await;
    place.send(Method::PUT, "/objects/by-rest?copy=files/whole", &[], "").await.expect_status(200);
    for copy in ["whole", "by-s3", "by-rest"] {
        let told = send(client.head(format!("{s3}/{copy}"))).await;
        assert_eq!(told.header("etag"), Some(etag.as_str()), "{copy}");
        let rest = place.send(Method::HEAD, &format!("/objects/{copy}"), &[], "").await;
        assert_eq!(rest.header("etag"), Some(etag.as_str()), "{copy}");
        assert_eq!(place.bytes(copy).await, parts.concat(), "{copy}");
        let same = place.get(copy, &[("if-none-match", etag.as_str())]).await;
        assert_eq!(same.status, 304, "{copy}");
    }
}
