//! Sites behind the gateway: a route names a bucket, a flag chooses the release, and HTTP gets what it is used to.

use std::io::Read as _;

use flagbase_core::{blobs::Blobs as _, buckets::ObjectHead};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{Answer, PATIENCE, Setup, World};

/// A site with a flag that gives developers the second release.
fn setup(site: &Value, route: &Value) -> Setup {
    let mut bucket = json!({"name": "site"});
    bucket.as_object_mut().unwrap().extend(site.as_object().unwrap().clone());
    let mut shop = json!({"id": "shop", "path": "/shop", "match": "prefix", "strip_prefix": true,
        "bucket": {"name": "site", "prefix": "releases/1/"}});
    shop.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
    let flag = json!({"key": "release", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true}]});
    Setup { buckets: vec![bucket], flags: vec![flag], ..Setup::routes([shop]) }
}

fn by_flag() -> Value {
    json!({"flag_key": "release", "variants": {"true": "bucket:site/releases/2/", "false": "bucket:site/releases/1/"}})
}

fn plain() -> ObjectHead {
    ObjectHead::default()
}

async fn world(site: &Value, route: &Value) -> World {
    let world = World::start(setup(site, route)).await;
    for release in [1, 2] {
        for (name, text) in
            [("index.html", "page"), ("app.js", "code"), ("docs/index.html", "docs"), ("404.html", "lost")]
        {
            let key = format!("releases/{release}/{name}");
            world.put("site", (&key, plain()), format!("{text} {release}")).await;
        }
    }
    world
}

/// Status and the bytes of the body.
async fn bytes(world: &World, path: &str, lines: &str) -> (Answer, Vec<u8>) {
    let mut stream = world.connect().await;
    let request =
        format!("GET /gateway{path} HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (Answer { status, head: head.to_ascii_lowercase(), body: String::new() }, all[end + 4..].to_vec())
}

#[tokio::test]
async fn a_route_shows_the_pages_of_a_bucket() {
    let world = world(&json!({}), &json!({})).await;
    for (path, status, body, kind) in [
        ("/shop/", 200, "page 1", "text/html; charset=utf-8"),
        ("/shop/index.html", 200, "page 1", "text/html; charset=utf-8"),
        ("/shop/app.js", 200, "code 1", "text/javascript; charset=utf-8"),
        ("/shop/docs/", 200, "docs 1", "text/html; charset=utf-8"),
        ("/shop/%64ocs/./index%2Ehtml", 200, "docs 1", "text/html; charset=utf-8"),
    ] {
        let answer = world.get(path, &[]).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-flagbase-bucket"), Some("site/releases/1/"));
        assert!(
            answer.header("x-request-id").is_some() && answer.header("etag").is_some(),
            "{}",
            answer.head
        );
    }
    for (path, to) in [("/shop", "/gateway/shop/"), ("/shop/docs?a=1", "/gateway/shop/docs/?a=1")] {
        let answer = world.get(path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(to)), "{path}");
    }
    for path in ["/shop/nothing", "/shop/../shop/releases/2/app.js", "/shop/%2e%2e/2/app.js", "/shop/app.js/"]
    {
        let answer = world.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_ne!(answer.body, "code 2");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let request = format!("{method} /gateway/shop/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let answer = world.send(request).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("get, head")), "{method}");
    }
}

#[tokio::test]
async fn the_flag_chooses_the_release_and_nobody_elses_is_kept() {
    let world = world(&json!({}), &by_flag()).await;
    let developer = world.get("/shop/", &["Authorization: Bearer developer"]).await;
    assert_eq!((developer.status, developer.body.as_str()), (200, "page 2"));
    assert_eq!(developer.header("x-flagbase-bucket"), Some("site/releases/2/"));
    for lines in [&["Authorization: Bearer user"][..], &[]] {
        let other = world.get("/shop/", lines).await;
        assert_eq!((other.status, other.body.as_str()), (200, "page 1"));
        assert_eq!(other.header("cache-control"), Some("private, no-cache"));
        assert_ne!(other.header("etag"), developer.header("etag"));
    }
    world.put("site", ("releases/2/app.3f2a8c91.js", plain()), "hashed").await;
    let hashed = world.get("/shop/app.3f2a8c91.js", &["Authorization: Bearer developer"]).await;
    assert_eq!(hashed.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(world.get("/shop/app.3f2a8c91.js", &[]).await.status, 404);
    let moved = world.get("/shop/docs", &["Authorization: Bearer developer"]).await;
    assert_eq!((moved.status, moved.header("cache-control")), (302, Some("private, no-cache")));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_parts_are_sent_of_what_is_the_same() {
    let world = world(&json!({}), &json!({})).await;
    let first = world.get("/shop/app.js", &[]).await;
    let (etag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    assert!(etag.starts_with('"'), "a strong one: {etag}");
    let none_match = format!("If-None-Match: {etag}");
    let since = format!("If-Modified-Since: {modified}");
    for line in [&none_match, &since] {
        let answer = world.get("/shop/app.js", &[line]).await;
        assert_eq!((answer.status, answer.header("etag")), (304, Some(etag)), "{line}");
        assert_eq!(answer.header("content-type"), None);
        assert!(answer.header("cache-control").is_some());
    }
    let (part, body) = bytes(&world, "/shop/app.js", "Range: bytes=1-2\r\n").await;
    assert_eq!((part.status, body.as_slice()), (206, &b"od"[..]));
    assert_eq!(
        (part.header("content-range"), part.header("content-length")),
        (Some("bytes 1-2/6"), Some("2"))
    );
    let beyond = world.get("/shop/app.js", &["Range: bytes=9-"]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */6")));
    assert_eq!(world.get("/shop/app.js", &["If-Match: \"other\""]).await.status, 412);
    let head = world
        .send(
            "HEAD /gateway/shop/app.js HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!((head.header("content-length"), head.header("etag")), (Some("6"), Some(etag)));
    world.put("site", ("releases/1/app.js", plain()), "newer code").await;
    assert_eq!(world.get("/shop/app.js", &[&none_match]).await.body, "newer code", "at once");
}

#[tokio::test]
async fn an_error_page_and_the_page_of_an_application_stand_in_for_what_is_not_there() {
    let world = world(&json!({"site": {"error": "404.html"}}), &json!({})).await;
    let lost = world.get("/shop/nothing", &["Range: bytes=0-0", "If-None-Match: *"]).await;
    assert_eq!((lost.status, lost.body.as_str()), (404, "lost 1"));
    assert_eq!((lost.header("cache-control"), lost.header("etag")), (Some("no-cache"), None));
    let application = self::world(&json!({"site": {"error": "404.html", "spa": true}}), &json!({})).await;
    let browser = "Accept: text/html,application/xhtml+xml";
    for (path, lines, status, body) in [
        ("/shop/cart/3", &[browser][..], 200, "page 1"),
        ("/shop/cart/3/", &[browser], 200, "page 1"),
        ("/shop/cart/3", &["Accept: application/json"], 404, "lost 1"),
        ("/shop/gone.js", &[browser], 404, "lost 1"),
        ("/shop/app.js", &[browser], 200, "code 1"),
    ] {
        let answer = application.get(path, lines).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path} {lines:?}");
    }
}

#[tokio::test]
async fn other_names_of_pages_are_those_of_the_bucket() {
    let world = world(&json!({"site": {"index": "app.js"}}), &json!({})).await;
    assert_eq!(world.get("/shop/", &[]).await.body, "code 1");
    assert_eq!(world.get("/shop/docs/", &[]).await.status, 404);
}

#[tokio::test]
async fn compressed_siblings_are_sent_to_those_who_take_them() {
    let world = world(&json!({}), &json!({})).await;
    world.put("site", ("releases/1/app.js.br", plain()), "brotli").await;
    world.put("site", ("releases/1/app.js.gz", plain()), "gzip").await;
    let as_it_is = world.get("/shop/app.js", &[]).await;
    for (accepts, body, encoding) in [
        ("gzip, br", "brotli", Some("br")),
        ("gzip", "gzip", Some("gzip")),
        ("gzip, br;q=0.1", "gzip", Some("gzip")),
        ("identity", "code 1", None),
    ] {
        let answer = world.get("/shop/app.js", &[&format!("Accept-Encoding: {accepts}")]).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{accepts}");
        assert_eq!(
            (answer.header("content-encoding"), answer.header("vary")),
            (encoding, Some("accept-encoding"))
        );
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("etag") == as_it_is.header("etag"), encoding.is_none());
        let none_match = format!("If-None-Match: {}", answer.header("etag").unwrap());
        let again = world.get("/shop/app.js", &[&format!("Accept-Encoding: {accepts}"), &none_match]).await;
        assert_eq!(again.status, 304, "{accepts}");
    }
    let part = world.get("/shop/app.js", &["Accept-Encoding: br", "Range: bytes=0-1"]).await;
    assert_eq!((part.status, part.body.as_str(), part.header("content-encoding")), (206, "co", None));
    assert_eq!(
        world.get("/shop/index.html", &["Accept-Encoding: br"]).await.header("content-encoding"),
        None
    );
    world.put("site", ("releases/1/index.html.br", plain()), "later").await;
    assert_eq!(world.get("/shop/index.html", &["Accept-Encoding: br"]).await.body, "later", "known at once");
}

#[tokio::test]
async fn texts_are_compressed_once_and_pictures_never() {
    let world = world(&json!({}), &json!({})).await;
    let text = "all work and no play ".repeat(500);
    world.put("site", ("releases/1/long.css", plain()), text.clone()).await;
    world.put("site", ("releases/1/long.png", plain()), text.clone()).await;
    let packed = ObjectHead { content_encoding: Some("gzip".into()), ..ObjectHead::of_type("text/css") };
    world.put("site", ("releases/1/own.css", packed), text.clone()).await;
    for _ in 0..2 {
        let (answer, body) = bytes(&world, "/shop/long.css", "Accept-Encoding: gzip\r\n").await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")));
        assert!(answer.header("etag").unwrap().starts_with("w/"), "{}", answer.head);
        assert!(body.len() < text.len() / 10);
        let mut back = String::new();
        GzDecoder::new(body.as_slice()).read_to_string(&mut back).unwrap();
        assert!(back == text);
        let none_match = format!(
            "If-None-Match: {}\r\nAccept-Encoding: gzip\r\n",
            answer.header("etag").unwrap().replace("w/", "W/")
        );
        assert_eq!(bytes(&world, "/shop/long.css", &none_match).await.0.status, 304);
    }
    for (path, length) in [("/shop/long.png", text.len()), ("/shop/own.css", text.len()), ("/shop/app.js", 6)]
    {
        let (answer, body) = bytes(&world, path, "Accept-Encoding: gzip\r\n").await;
        assert_eq!((answer.status, body.len()), (200, length), "{path}");
    }
}

/// Whatever is stored of the site is not what it was.
async fn spoil(world: &World, with: Option<&'static [u8]>) {
    for name in world.blobs.list("", "", 1000).await.unwrap() {
        match with {
            None => world.blobs.delete(&name).await.unwrap(),
            Some(bytes) => {
                let stream = futures_util::stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
                world.blobs.put(&name, Box::pin(stream)).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_release_that_cannot_be_read_is_our_fault_and_a_missing_page_is_not() {
    let world = world(&json!({}), &by_flag()).await;
    assert_eq!(world.get("/shop/nothing", &[]).await.status, 404);
    spoil(&world, Some(b"what")).await;
    let damaged = world.get("/shop/", &[]).await;
    assert_eq!((damaged.status, &damaged.json()["code"]), (502, &json!("object_unreadable")));
    spoil(&world, None).await;
    let gone = world.get("/shop/", &["Authorization: Bearer developer"]).await;
    assert_eq!((gone.status, &gone.json()["code"]), (502, &json!("object_unreadable")));
    assert!(!gone.body.contains("releases/2"), "what is inside is not told: {}", gone.body);
}

#[tokio::test]
async fn a_release_that_was_never_uploaded_is_our_fault_too() {
    let world = World::start(setup(&json!({}), &by_flag())).await;
    for path in ["/shop/", "/shop/app.js"] {
        let answer = world.get(path, &[]).await;
        assert_eq!((answer.status, &answer.json()["code"]), (502, &json!("release_not_found")), "{path}");
        assert_eq!(answer.header("x-flagbase-bucket"), Some("site/releases/1/"), "{path}");
        let said =
            "bucket `site` holds nothing under `releases/1/`, where `releases/1/index.html` is looked for";
        assert!(answer.body.contains(said), "{path}: {}", answer.body);
    }
    world.put("site", ("releases/1/other.js", plain()), "x").await;
    assert_eq!(world.get("/shop/", &[]).await.status, 404);
}
