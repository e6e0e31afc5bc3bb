//! The life of objects over HTTP.

use super::*;

#[tokio::test]
async fn an_object_lives_from_its_first_byte_to_its_deletion() {
    let place = Place::new(json!({})).await;
    let bytes = filled(300_000, 1);
    let headers = [
        ("content-type", "image/png"),
        ("x-meta-colour", "blue"),
        ("x-tags", "team=a"),
        ("cache-control", "max-age=9"),
    ];
    let written = place.send(Method::PUT, "/objects/a.png", &headers, bytes.clone()).await.expect_status(200);
    let etag = written.header("etag").unwrap().to_owned();
    assert_eq!(written.json["size"], 300_000);
    assert_eq!(place.bytes("a.png").await, bytes);
    let head = place.send(Method::HEAD, "/objects/a.png", &[], "").await.expect_status(200);
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-meta-colour", "blue"),
        ("content-length", "300000"),
        ("cache-control", "max-age=9"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(head.header(name), Some(value), "{name}");
    }
    assert_eq!(head.header("content-disposition"), None);
    for (range, status, shown) in [
        ("bytes=0-3", 206, "bytes 0-3/300000"),
        ("bytes=-1", 206, "bytes 299999-299999/300000"),
        ("bytes=299990-", 206, "bytes 299990-299999/300000"),
        ("bytes=300000-", 416, "bytes */300000"),
    ] {
        let part = place.get("a.png", &[("range", range)]).await.expect_status(status);
        assert_eq!(part.header("content-range"), Some(shown), "{range}");
    }
    place.get("a.png", &[("if-none-match", &etag)]).await.expect_status(304);
    place.get("a.png", &[("if-match", "\"other\"")]).await.expect_status(412);
    let modified = head.header("last-modified").unwrap();
    place.get("a.png", &[("if-modified-since", modified)]).await.expect_status(304);
    let copied = place.send(Method::PUT, "/objects/b.png?copy=files/a.png", &[], "").await.expect_status(200);
    assert_eq!(copied.json["metadata"]["colour"], "blue");
    place.send(Method::DELETE, "/objects/a.png", &[], "").await.expect_status(204);
    place.get("a.png", &[]).await.expect_status(404);
    assert_eq!(place.bytes("b.png").await, bytes, "a copy does not need what it was made of");
    let refused = place.server.delete("/api/v1/buckets/files", &place.token).await.expect_status(409);
    assert_eq!(refused.json["code"], "bucket_not_empty");
}

#[tokio::test]
async fn odd_keys_are_only_names() {
    let place = Place::new(json!({})).await;
    let long = "k".repeat(1024);
    let keys = [
        "..%2F..%2Fetc%2Fpasswd",
        "/a//b/",
        "%C3%A4%E2%80%AE",
        "a%CC%88",
        "con.",
        "a%252Fb",
        "a%0Ab",
        "x?y".split('?').next().unwrap(),
        &long,
    ];
    for (number, key) in keys.iter().enumerate() {
        place.put(key, number.to_string()).await.expect_status(200);
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(place.get(key, &[]).await.text, number.to_string(), "{key}");
    }
    let listed = place.send(Method::GET, "/objects?limit=1000", &[], "").await.expect_status(200);
    assert_eq!(listed.json["objects"].as_array().unwrap().len(), keys.len());
    place.put("a%00b", "x").await.expect_status(422);
    place.put(&"k".repeat(1025), "x").await.expect_status(422);
    place.put("%ff", "x").await.expect_status(400);
}

#[tokio::test]
async fn pages_lead_through_everything_once() {
    let place = Place::new(json!({})).await;
    for number in 0..7 {
        place.put(&format!("d{}/f{number}", number / 4), "x").await.expect_status(200);
    }
    let (mut seen, mut next) = (Vec::new(), "/api/v1/buckets/files/objects?limit=3".to_owned());
    loop {
        let page = place.server.get(&next, &place.token).await.expect_status(200);
        seen.extend(
            page.json["objects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| object["key"].as_str().unwrap().to_owned()),
        );
        let Some(link) = page.header("link") else { break };
        next = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(seen, ["d0/f0", "d0/f1", "d0/f2", "d0/f3", "d1/f4", "d1/f5", "d1/f6"]);
    let grouped = place.send(Method::GET, "/objects?delimiter=/", &[], "").await.expect_status(200);
    assert_eq!((&grouped.json["prefixes"], &grouped.json["objects"]), (&json!(["d0/", "d1/"]), &json!([])));
}

#[tokio::test]
async fn older_versions_are_read_and_a_deletion_is_taken_back() {
    let place = Place::new(json!({"versioning": "enabled"})).await;
    let first = place.put("a", "one").await.expect_status(200).json["version"].as_str().unwrap().to_owned();
    place.put("a", "two").await.expect_status(200);
    assert_eq!(place.get(&format!("a?version={first}"), &[]).await.text, "one");
    let deleted = place.send(Method::DELETE, "/objects/a", &[], "").await.expect_status(204);
    let marker = deleted.header("x-version").unwrap().to_owned();
    place.get("a", &[]).await.expect_status(404);
    let versions = place.send(Method::GET, "/objects?versions=true", &[], "").await.expect_status(200);
    assert_eq!(versions.json["objects"].as_array().unwrap().len(), 3);
    place.send(Method::DELETE, &format!("/objects/a?version={marker}"), &[], "").await.expect_status(204);
    assert_eq!(place.get("a", &[]).await.text, "two");
}

#[tokio::test]
async fn quotas_digests_and_conditions_refuse_before_anything_is_visible() {
    let place = Place::new(json!({"quota": {"bytes": 10, "objects": 2}})).await;
    assert_eq!(place.put("big", "12345678901").await.expect_status(409).json["code"], "quota_bytes");
    place.put("a", "1").await.expect_status(200);
    place.put("b", "2").await.expect_status(200);
    assert_eq!(place.put("c", "3").await.expect_status(409).json["code"], "quota_objects");
    let wrong = [("x-checksum-crc64nvme", "AAAAAAAAAAA=")];
    let refused = place.send(Method::PUT, "/objects/a", &wrong, "other").await.expect_status(400);
    assert_eq!(refused.json["code"], "checksum_mismatch");
    let md5 = [("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")];
    place.send(Method::PUT, "/objects/a", &md5, "hello").await.expect_status(200);
    place.send(Method::PUT, "/objects/a", &[("if-none-match", "*")], "x").await.expect_status(412);
    place.send(Method::PUT, "/objects/a", &[("if-match", "\"no\"")], "x").await.expect_status(412);
    assert_eq!(place.get("a", &[]).await.text, "hello");
    for missing in ["big", "c"] {
        place.get(missing, &[]).await.expect_status(404);
    }
}
