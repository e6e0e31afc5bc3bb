//! The newcomer's walk with a site: two releases in a bucket, the new one before some, before developers, before one's own
//! session, and taken back, by hand and by the guard.

use std::{collections::BTreeSet, time::Duration};

use super::{commands::tree, *};

/// A bound for hopeless cases, not a measurement: so many looks, a tenth of a second apart.
const LOOKS: u32 = 1200;

const VISITORS: u32 = 1500;

/// A flag whose variants are releases; everybody gets the first one unless `more` says otherwise.
fn flag(more: &Value) -> Value {
    let mut flag = json!({
        "key": "release", "type": "string", "enabled": true,
        "variants": [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}],
        "default_variant": "one", "off_variant": "one",
    });
    flag.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    flag
}

fn for_developers() -> Value {
    json!({"rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": "two"}]})
}

impl Place {
    /// Both releases are uploaded, as people do it, and `/shop` shows what the flag gives.
    async fn with_site(more: &Value, environment: &[(&str, &str)]) -> Self {
        let server = TestServer::start_with(PROGRAM, environment).await;
        let token = server.join("dev@example.com", "developer").await;
        let place = Self { server, token };
        place.release(1);
        place.release(2);
        place.ok("bucket create files");
        place.ok("bucket sync ./release-1 files/releases/1/");
        place.server.post("/api/v1/flags", &place.token, &flag(more)).await.expect_status(201);
        let said = place.said(
            "route add /shop/* bucket:files/releases/1/ --strip-prefix --flag release --variant two=bucket:files/releases/2/",
        );
        assert!(said.contains("warning:") && said.contains("releases/2/"), "nothing is there yet: {said}");
        place
    }

    fn release(&self, number: u32) {
        let page = format!("<!doctype html><title>Shop</title><h1>Release {number}</h1>");
        self.write(&format!("release-{number}/index.html"), page.as_bytes());
        self.write(&format!("release-{number}/app.js"), format!("show({number})").as_bytes());
    }

    fn sync_second(&self) {
        self.ok("bucket sync ./release-2 files/releases/2/");
    }

    async fn seen(&self, token: Option<&str>) -> Reply {
        self.server.send(Method::GET, "/gateway/shop/", token, None).await
    }

    /// The release that is seen.
    async fn shown(&self, token: Option<&str>) -> char {
        let page = self.seen(token).await.expect_status(200);
        match page.text {
            text if text.contains("Release 1") => '1',
            text if text.contains("Release 2") => '2',
            text => unreachable!("no release: {text}"),
        }
    }

    /// Looks until so many requests were counted for a variant.
    async fn measured(&self, variant: &str, requests: u64) {
        let mut last = String::new();
        for _ in 0..LOOKS {
            let figures =
                self.server.get("/api/v1/flags/release/metrics", &self.token).await.expect_status(200);
            let variants = figures.json["variants"].as_array().unwrap();
            let found = variants.iter().find(|it| it["variant"] == variant);
            if found.is_some_and(|found| found["requests"] == requests) {
                return;
            }
            last = figures.text;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("never counted: {last}")
    }

    async fn put_back(&self) {
        self.server
            .patch("/api/v1/flags/release", &self.token, &json!({"enabled": false}))
            .await
            .expect_status(200);
    }

    /// Files below the place of blobs.
    fn blobs(&self) -> BTreeSet<String> {
        let root = self.server.directory().join("data/storage/objects");
        tree(&root).into_iter().map(|(name, _)| name).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_all_visitors_sees_the_new_release_until_it_is_taken_back() {
    let place = Place::with_site(&json!({}), &[]).await;
    let administrator = place.server.administrator().await;
    let default = json!({"key": "default", "name": "Default", "kind": "development",
        "attributes": [{"name": "visitor", "header": "X-Visitor"}]});
    place.server.put("/api/v1/environments/default", &administrator, &default).await.expect_status(200);
    let rollout = json!({"rollout": {"bucket_by": "visitor", "weights": [
        {"variant": "one", "weight": 90}, {"variant": "two", "weight": 10}]}});
    place.server.patch("/api/v1/flags/release", &place.token, &rollout).await.expect_status(200);
    place.sync_second();
    let ask = async |visitor: u32| {
        let request = place.server.client().get(place.server.url("/gateway/shop/"));
        let page =
            place.server.reply(request.header("x-visitor", visitor.to_string())).await.expect_status(200);
        page.text.contains("Release 2")
    };
    let mut lucky = Vec::new();
    for visitor in 0..VISITORS {
        if ask(visitor).await {
            lucky.push(visitor);
        }
    }
    let share = lucky.len() * 1000 / VISITORS as usize;
    assert!((75..=125).contains(&share), "about 100 of 1000 visitors: {share}");
    for visitor in lucky.iter().take(20) {
        assert!(ask(*visitor).await, "who has it keeps it");
    }
    place.measured("two", lucky.len() as u64 + 20).await;
    place.put_back().await;
    for visitor in lucky {
        assert!(!ask(visitor).await, "from the next request on nobody sees it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_takes_the_place_of_one_with_a_flag_says_so() {
    let place = Place::with_site(&json!({}), &[]).await;
    let again = "route add /shop/* bucket:files/releases/1/ --strip-prefix";
    let said = place.said(again);
    assert!(said.contains("replaced route") && said.contains("flag `release` chose"), "{said}");
    let said = place.said(again);
    assert!(said.contains("replaced route") && !said.contains("warning:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn developers_try_a_release_and_one_session_has_one_of_its_own() {
    let place = Place::with_site(&for_developers(), &[]).await;
    place.sync_second();
    let customer = place.server.join("customer@example.com", "user").await;
    assert_eq!(place.shown(Some(&place.token)).await, '2');
    assert_eq!((place.shown(Some(&customer)).await, place.shown(None).await), ('1', '1'));
    let page = place.seen(Some(&place.token)).await;
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    assert_eq!(page.header("x-flagbase-bucket"), Some("files/releases/2/"));
    let preview = place.ok("route test /gateway/shop/ -o json");
    let preview: Value = serde_json::from_str(&preview).unwrap();
    assert_eq!(
        (&preview["decision"], &preview["bucket"], &preview["key"]),
        (&json!("bucket"), &json!("files/releases/2/"), &json!("releases/2/index.html")),
        "{preview}"
    );

    place.server.patch("/api/v1/flags/release", &place.token, &json!({"rules": []})).await.expect_status(200);
    assert_eq!(place.shown(Some(&place.token)).await, '1');
    place.ok("override set release two");
    assert_eq!(place.shown(Some(&place.token)).await, '2');
    let other_session = place.server.login("dev@example.com").await;
    assert_eq!((place.shown(Some(&other_session)).await, place.shown(None).await), ('1', '1'));
    place.put_back().await;
    place.ok("override remove release");
    assert_eq!(place.shown(Some(&place.token)).await, '1');
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_bytes_have_rotted_is_taken_back_by_the_guard() {
    let place = Place::with_site(&for_developers(), &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
    let first = place.blobs();
    place.sync_second();
    assert_eq!(place.shown(Some(&place.token)).await, '2');
    let root = place.server.directory().join("data/storage/objects");
    let second: Vec<_> = place.blobs().difference(&first).cloned().collect();
    assert!(second.len() >= 2, "each object has a file of its own: {second:?}");
    for blob in second {
        let path = root.join(blob);
        let rotten: Vec<u8> = std::fs::read(&path).unwrap().iter().map(|byte| byte ^ 1).collect();
        std::fs::write(path, rotten).unwrap();
    }
    for _ in 0..11 {
        let broken = place.seen(Some(&place.token)).await.expect_status(502);
        assert_eq!(broken.json["code"], json!("object_unreadable"));
        assert_eq!(place.shown(None).await, '1', "nobody else notices");
    }
    place.healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_never_uploaded_is_taken_back_and_missing_pages_are_not_held_against_one() {
    let place = Place::with_site(&for_developers(), &[("FLAGBASE_GUARD__INTERVAL", "1s")]).await;
    place.sync_second();
    for _ in 0..100 {
        place.server.get("/gateway/shop/nothing.js", &place.token).await.expect_status(404);
    }
    place.ok("bucket rm -r files/releases/2/ --yes");
    for _ in 0..11 {
        let broken = place.seen(Some(&place.token)).await.expect_status(502);
        assert_eq!(broken.json["code"], json!("release_not_found"));
    }
    place.healed().await;
    let changes = place.server.get("/api/v1/changes?type=flagbase.flag.disabled", &place.token).await;
    let changes = changes.expect_status(200).json;
    let counted = changes[0]["detail"]["count"].as_u64().unwrap();
    assert!((11..100).contains(&counted), "only what the release failed at counts: {changes}");
}

impl Place {
    /// Looks until the guard has turned the flag off.
    async fn healed(&self) {
        for _ in 0..LOOKS {
            if self.seen(Some(&self.token)).await.status == 200 {
                assert_eq!(self.shown(Some(&self.token)).await, '1');
                let flag = self.server.get("/api/v1/flags/release", &self.token).await.expect_status(200);
                assert_eq!(flag.json["enabled"], json!(false), "{}", flag.text);
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("the guard never took it back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_leads_only_to_buckets_that_there_are_and_that_its_writer_may_read() {
    let place = Place::new(json!({})).await;
    let route = |bucket: &str| json!({"id": "shop", "path": "/shop", "match": "prefix", "bucket": bucket});
    let unknown = place.server.post("/api/v1/gateway/routes", &place.token, &route("filess")).await;
    assert!(unknown.expect_status(422).text.contains("did you mean `files`?"));
    let added = place.server.post("/api/v1/gateway/routes", &place.token, &route("files/r/1")).await;
    let shown = added.expect_status(201).json;
    assert_eq!(shown["bucket"], json!({"name": "files", "prefix": "r/1/"}));
    let warning = shown["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("bucket `files` holds nothing under `r/1/`, where `r/1/index.html`"),
        "{warning}"
    );
    let again = place.server.put("/api/v1/gateway/routes/shop", &place.token, &shown).await;
    assert_eq!(again.expect_status(200).json["bucket"], shown["bucket"], "what was read can be sent back");
    place.put("r/1/index.html", "<h1>1").await.expect_status(200);
    let filled =
        place.server.put("/api/v1/gateway/routes/shop", &place.token, &shown).await.expect_status(200);
    assert_eq!(filled.json.get("warnings"), None, "there is something now");
    let used = place.server.delete("/api/v1/buckets/files", &place.token).await.expect_status(409);
    assert_eq!(used.json["code"], json!("bucket_in_use"));

    let administrator = place.server.administrator().await;
    let key = json!({"name": "routes", "permissions": ["route.read", "route.write"]});
    let key = place.server.post("/api/v1/keys", &administrator, &key).await.expect_status(201);
    let token = key.json["token"].as_str().unwrap();
    let refused = place.server.put("/api/v1/gateway/routes/shop", token, &route("files/r/2")).await;
    assert_eq!(
        refused.status, 403,
        "who may not read a release cannot show it to everybody: {}",
        refused.text
    );
}
