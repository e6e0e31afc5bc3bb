//! Gateway routes through their use cases, on the fakes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;

use flagbase_core::{
    buckets::{Buckets, BucketsParts, Signer},
    caller::{Caller, Principal},
    catalog::Page,
    environments::{Environment, EnvironmentKind, Environments},
    feed::Feed,
    flags::{Asked, Flags},
    gateway::{AddressPolicy, Question, Routes, view},
    refusal::{Class, Precondition, Refusal},
};
use flagbase_testkit::{FixedClock, Memory, MemoryBlobs, SeededRandom};
use serde_json::{Value, json};

const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

struct Product {
    memory: Memory,
    feed: Arc<Feed>,
    routes: Routes,
    flags: Flags,
}

fn caller(role: &str) -> Caller {
    Caller {
        principal: Principal::User,
        id: format!("id-of-{role}").as_str().into(),
        role: role.into(),
        ..Caller::clone(&Caller::nobody())
    }
}

fn asks<'a>(caller: &'a Caller, environment: &'a str) -> Asked<'a> {
    Asked { caller, environment, reason: "because" }
}

async fn product() -> Product {
    let memory = Memory::new();
    let (clock, random) = (Arc::new(FixedClock::default()), Arc::new(SeededRandom::new(1)));
    let feed = Feed::open(Arc::new(memory.clone()), clock, random);
    let feed = Arc::new(feed.await.unwrap());
    Environments::new(Arc::clone(&feed)).ensure_default(EnvironmentKind::Development).await.unwrap();
    let flags = Flags::new(Arc::clone(&feed));
    let flag = json!({"key": "checkout", "enabled": true, "default_value": false,
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": true}]});
    flags.create(asks(&caller("developer"), "default"), &flag).await.unwrap();
    Product { routes: Routes::new(Arc::clone(&feed), OPEN), flags, feed, memory }
}

async fn register(product: &Product, body: Value) -> Result<Value, Refusal> {
    let developer = caller("developer");
    let registered = product.routes.register(asks(&developer, "default"), &body).await?;
    Ok(view(&registered.document))
}

fn seed() -> Value {
    json!({"pattern": "/checkout", "backend_url": "http://127.0.0.1:9000", "flag_key": "checkout"})
}

#[tokio::test]
async fn the_first_apis_form_gets_an_id_and_replaces_the_route_of_its_pattern() {
    let product = product().await;
    let first = register(&product, seed()).await.unwrap();
    let id = first["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(
        (&first["pattern"], &first["backend_url"]),
        (&json!("/checkout"), &json!("http://127.0.0.1:9000"))
    );
    let mut again = seed();
    again["backend_url"] = json!("http://127.0.0.1:9001");
    let second = register(&product, again).await.unwrap();
    assert_eq!((second["id"].as_str(), &second["backend_url"]), (Some(id), &json!("http://127.0.0.1:9001")));
    assert!(second["revision"].as_u64() > first["revision"].as_u64());
    let all = product
        .routes
        .list(&caller("developer"), "default", Page { limit: 10, ..Page::default() })
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
}

#[tokio::test]
async fn two_routes_for_the_same_requests_are_a_conflict() {
    let product = product().await;
    let full = |id: &str| json!({"id": id, "path": "/x", "methods": ["GET"], "backend_url": "http://a"});
    register(&product, full("one")).await.unwrap();
    let refusal = register(&product, full("two")).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "route_exists"));
    assert!(refusal.message.contains("`one`"), "{refusal}");
    let other = json!({"id": "one", "path": "/y", "backend_url": "http://a"});
    assert_eq!(register(&product, other).await.unwrap_err().class, Class::Conflict);
    let narrower = json!({"id": "three", "path": "/x", "methods": ["POST"], "backend_url": "http://a"});
    register(&product, narrower).await.unwrap();
    let developer = caller("developer");
    let put =
        product.routes.put(asks(&developer, "default"), "three", full("three"), Precondition::None).await;
    assert_eq!(put.unwrap_err().class, Class::Conflict);
}

#[tokio::test]
async fn a_route_asks_a_flag_that_exists_for_variants_that_it_has() {
    let product = product().await;
    for (change, expected) in [
        (
            json!({"flag_key": "chekout"}),
            "/flag_key: flag `chekout` does not exist in environment `default`; did you mean `checkout`?",
        ),
        (
            json!({"flag_key": "other-thing"}),
            "/flag_key: flag `other-thing` does not exist in environment `default`; create it first",
        ),
        (
            json!({"variants": {"maybe": "http://a"}}),
            "/variants/maybe: flag `checkout` has no variant `maybe`",
        ),
        (json!({"backend_url": "http://169.254.169.254/"}), "/backend_url: `169.254.169.254`"),
    ] {
        let mut body = seed();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refusal = register(&product, body).await.unwrap_err();
        assert_eq!(refusal.class, Class::Invalid);
        assert!(refusal.message.starts_with(expected), "{refusal}");
    }
    let all = product
        .routes
        .list(&caller("developer"), "default", Page { limit: 10, ..Page::default() })
        .await
        .unwrap();
    assert!(all.is_empty(), "a refused route was stored");
}

#[tokio::test]
async fn every_variant_of_a_flag_needs_somewhere_to_go() {
    let product = product().await;
    let flag = json!({"key": "ui", "enabled": true, "type": "string", "default_variant": "a", "off_variant": "a",
        "variants": [{"name": "a", "value": "a"}, {"name": "b", "value": "b"}]});
    product.flags.create(asks(&caller("developer"), "default"), &flag).await.unwrap();
    let body = json!({"pattern": "/ui", "flag_key": "ui", "variants": {"a": "http://a"}});
    let refusal = register(&product, body).await.unwrap_err();
    assert!(refusal.message.contains("variant `b` of flag `ui` goes nowhere"), "{refusal}");
    let body = json!({"pattern": "/ui", "flag_key": "ui", "variants": {"a": "http://a", "b": "http://b"}});
    register(&product, body).await.unwrap();
}

#[tokio::test]
async fn only_those_who_may_change_routes_change_them() {
    let product = product().await;
    register(&product, json!({"id": "r", "path": "/x", "backend_url": "http://a"})).await.unwrap();
    let (user, nobody) = (caller("user"), Caller::nobody());
    let refused = |outcome: Result<(), Refusal>| outcome.unwrap_err().class;
    for (who, class) in [(&user, Class::Forbidden), (&*nobody, Class::Unauthenticated)] {
        let asked = asks(who, "default");
        assert_eq!(refused(product.routes.register(asked, &seed()).await.map(drop)), class);
        assert_eq!(
            refused(product.routes.put(asked, "r", seed(), Precondition::None).await.map(drop)),
            class
        );
        assert_eq!(refused(product.routes.delete(asked, "r", Precondition::None).await), class);
        assert_eq!(refused(product.routes.get(who, "default", "r").await.map(drop)), class);
    }
    let developer = caller("developer");
    let unknown = product.routes.register(asks(&developer, "nowhere"), &seed()).await;
    assert_eq!(unknown.unwrap_err().code, "environment_not_found");
}

#[tokio::test]
async fn developers_only_look_at_routes_in_production() {
    let product = product().await;
    let production = Environment {
        key: "live".into(),
        name: String::new(),
        kind: EnvironmentKind::Production,
        attributes: Vec::new(),
    };
    let environments = Environments::new(Arc::clone(&product.feed));
    let admin = caller("admin");
    environments.put(asks(&admin, "live"), production, Precondition::None).await.unwrap();
    let developer = caller("developer");
    assert!(
        product
            .routes
            .list(&developer, "live", Page { limit: 10, ..Page::default() })
            .await
            .unwrap()
            .is_empty()
    );
    let body = json!({"pattern": "/x", "backend_url": "http://a"});
    let refused = product.routes.register(asks(&developer, "live"), &body).await;
    assert_eq!(refused.unwrap_err().class, Class::Forbidden);
}

#[tokio::test]
async fn a_stale_edit_changes_nothing() {
    let product = product().await;
    register(&product, json!({"id": "r", "path": "/x", "backend_url": "http://a"})).await.unwrap();
    let developer = caller("developer");
    let asked = asks(&developer, "default");
    let before = product.routes.get(&developer, "default", "r").await.unwrap();
    let body = json!({"path": "/y", "backend_url": "http://b"});
    let stale = Precondition::Match(before.revision - 1);
    assert_eq!(product.routes.put(asked, "r", body.clone(), stale).await.unwrap_err().class, Class::Stale);
    assert_eq!(product.routes.delete(asked, "r", stale).await.unwrap_err().class, Class::Stale);
    assert_eq!(
        product.routes.put(asked, "r", body.clone(), Precondition::Absent).await.unwrap_err().class,
        Class::Stale
    );
    assert_eq!(product.routes.get(&developer, "default", "r").await.unwrap(), before);
    let now = Precondition::Match(before.revision);
    assert!(!product.routes.put(asked, "r", body, now).await.unwrap().new);
    product.routes.delete(asked, "r", Precondition::None).await.unwrap();
    let gone = product.routes.get(&developer, "default", "r").await.unwrap_err();
    assert_eq!((gone.class, gone.code), (Class::NotFound, "route_not_found"));
    assert_eq!(
        product.routes.delete(asked, "r", Precondition::None).await.unwrap_err().class,
        Class::NotFound
    );
}

#[tokio::test]
async fn a_body_cannot_rename_the_route_its_address_names() {
    let product = product().await;
    let developer = caller("developer");
    let body = json!({"id": "other", "path": "/y", "backend_url": "http://b"});
    let refusal =
        product.routes.put(asks(&developer, "default"), "r", body, Precondition::None).await.unwrap_err();
    assert!(refusal.message.starts_with("/id: the body says `other`"), "{refusal}");
    let body = json!({"path": "/y", "backend_url": "http://b"});
    assert!(
        product.routes.put(asks(&developer, "default"), "r", body, Precondition::None).await.unwrap().new
    );
}

#[tokio::test]
async fn what_becomes_of_a_request_can_be_asked_beforehand() {
    let product = product().await;
    let mut body = seed();
    body["id"] = json!("r");
    register(&product, body).await.unwrap();
    let developer = caller("developer");
    let ask = |question: Value| {
        let question: Question = serde_json::from_value(question).unwrap();
        product
            .routes
            .test(asks(&developer, "default"), &question)
            .map(|told| serde_json::to_value(told).unwrap())
    };
    let told = ask(json!({"path": "/gateway/checkout?a=b"})).unwrap();
    assert_eq!(
        (&told["decision"], &told["route"], &told["variant"]),
        (&json!("forward"), &json!("r"), &json!("true"))
    );
    assert_eq!(told["upstreams"], json!(["http://127.0.0.1:9000"]));
    assert!(
        told["explanation"].is_object() && told["why"].as_str().unwrap().contains("TARGETING_MATCH"),
        "{told}"
    );
    let told = ask(json!({"path": "/checkout", "caller": {"user_id": "u", "role": "user"}})).unwrap();
    assert_eq!((&told["decision"], &told["status"]), (&json!("off"), &json!(404)));
    let told = ask(json!({"path": "/nowhere", "method": "post"})).unwrap();
    assert_eq!((&told["decision"], &told["status"]), (&json!("no_route"), &json!(404)));
    for (question, place) in [
        (json!({"path": "/a%2fb"}), "/path"),
        (json!({"path": "/x", "method": "G T"}), "/method"),
        (json!({"path": "/x", "headers": {"a b": "c"}}), "/headers"),
    ] {
        assert_eq!(ask(question).unwrap_err().faults[0].pointer, place);
    }
}

/// The buckets of the product, with one called `site`.
async fn buckets(product: &Product) -> Buckets {
    let buckets = Buckets::new(BucketsParts {
        feed: Arc::clone(&product.feed),
        index: Arc::new(product.memory.clone()),
        uploads: Arc::new(product.memory.clone()),
        blobs: Arc::new(MemoryBlobs::new()),
        signer: Signer::new(b"a secret of tests"),
    });
    let developer = caller("developer");
    let site = json!({"site": {"index": "start.html"}});
    buckets.put(asks(&developer, "default"), "site", &site, Precondition::None).await.unwrap();
    buckets
}

#[tokio::test]
async fn a_route_leads_to_a_bucket_that_exists_and_keeps_it_from_being_deleted() {
    let product = product().await;
    let buckets = buckets(&product).await;
    let route = |bucket: &str| json!({"id": "shop", "path": "/shop", "match": "prefix", "strip_prefix": true, "bucket": bucket});
    let refusal = register(&product, route("sites")).await.unwrap_err();
    let expected = "/bucket: bucket `sites` does not exist in environment `default`; did you mean `site`?";
    assert_eq!(refusal.message, expected);
    let shown = register(&product, route("site/r/1")).await.unwrap();
    assert_eq!(shown["bucket"], json!({"name": "site", "prefix": "r/1/"}));

    let developer = caller("developer");
    for (path, decision, key) in [
        ("/shop/", "bucket", json!("r/1/start.html")),
        ("/gateway/shop/a%20b.js", "bucket", json!("r/1/a b.js")),
        ("/shop/%FF", "bucket", json!(null)),
    ] {
        let question: Question = serde_json::from_value(json!({"path": path})).unwrap();
        let told = product.routes.test(asks(&developer, "default"), &question).unwrap();
        let told = serde_json::to_value(told).unwrap();
        assert_eq!((&told["decision"], &told["key"]), (&json!(decision), &key), "{told}");
        assert_eq!(
            (&told["bucket"], told["status"].as_u64()),
            (&json!("site/r/1/"), key.is_null().then_some(404))
        );
    }
    let delete = || buckets.delete(asks(&developer, "default"), "site", Precondition::None);
    let refusal = delete().await.unwrap_err();
    assert_eq!((refusal.class, refusal.code), (Class::Conflict, "bucket_in_use"));
    product.routes.delete(asks(&developer, "default"), "shop", Precondition::None).await.unwrap();
    delete().await.unwrap();
}

#[tokio::test]
async fn who_may_not_read_a_release_cannot_show_it_to_others() {
    let product = product().await;
    let buckets = buckets(&product).await;
    let developer = caller("developer");
    let locked = json!({"policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Deny",
        "Principal": {"AWS": ["role:developer"]}, "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::site/secret/*"}]}});
    buckets.patch(asks(&developer, "default"), "site", &locked, Precondition::None).await.unwrap();
    let body = |prefix: &str| {
        json!({"id": "r", "path": "/x", "flag_key": "checkout", "backend_url": "http://a",
            "variants": {"true": format!("bucket:site/{prefix}")}})
    };
    assert_eq!(register(&product, body("secret/1")).await.unwrap_err().class, Class::Forbidden);
    register(&product, body("open/1")).await.unwrap();
    let put =
        product.routes.put(asks(&developer, "default"), "r", body("secret/1"), Precondition::None).await;
    assert_eq!(put.unwrap_err().class, Class::Forbidden);
}
