use serde_json::json;

use super::*;

const OPEN: AddressPolicy = AddressPolicy { loopback: true, private: true };

#[expect(clippy::needless_pass_by_value, reason = "a test reads better when it gives the JSON away")]
fn read(body: Value) -> Result<Route, Vec<Fault>> {
    Route::from_json(&body, OPEN)
}

fn faults(body: Value) -> Vec<String> {
    read(body).unwrap_err().iter().map(ToString::to_string).collect()
}

fn full() -> Value {
    json!({
        "id": "r1", "name": "Shop", "host": "Shop.Example.com", "path": "/shop", "match": "prefix",
        "methods": ["post", "GET", "GET"],
        "headers": [{"name": "X-Beta", "present": true}, {"name": "accept", "value": "text/html"}],
        "strip_prefix": true, "flag_key": "new-shop",
        "backend_url": ["http://127.0.0.1:9000", "http://127.0.0.1:9001"],
        "variants": {"v2": "http://127.0.0.1:9100/base"},
        "when_off": {"status": 503, "body": "later", "content_type": "text/plain"},
        "forward_token": true, "require": {"roles": ["developer"]},
        "timeouts": {"connect": "500ms", "request": "5s", "idle": "1m"}, "retries": 2,
        "health_check": {"path": "/health", "interval": "5s"}, "preserve_host": true
    })
}

#[test]
fn a_full_route_reads_back_as_it_was_written() {
    let route = read(full()).unwrap();
    assert_eq!(route.host.as_deref(), Some("shop.example.com"));
    assert_eq!(route.methods, ["GET", "POST"]);
    assert_eq!(route.timeouts.connect, Some(Duration::from_millis(500)));
    assert_eq!(route.variants["v2"], ["http://127.0.0.1:9100/base"]);
    assert_eq!(read(route.to_json()).unwrap(), route);
    assert_eq!(serde_json::from_value::<Route>(route.to_json()).unwrap(), route);
}

#[test]
fn the_first_apis_form_still_works() {
    let route =
        read(json!({"pattern": "/hello", "backend_url": "http://localhost:9000", "flag_key": "x"})).unwrap();
    assert_eq!((route.path.as_str(), route.matching), ("/hello", PathMatch::Exact));
    assert_eq!(route.to_json()["backend_url"], "http://localhost:9000");
    assert!(route.is_plain() && !route.forward_token && route.require == Require::Anyone);
    let below = read(json!({"pattern": "/hello/*", "backend_url": "http://localhost:9000"})).unwrap();
    assert_eq!((below.path.as_str(), below.matching), ("/hello", PathMatch::Prefix));
    assert_eq!((route.pattern(), below.pattern()), ("/hello".to_owned(), "/hello/*".to_owned()));
    let all = read(json!({"pattern": "/*", "backend_url": "http://localhost:9000"})).unwrap();
    assert_eq!((all.path.as_str(), all.pattern().as_str()), ("/", "/*"));
}

#[test]
fn a_bucket_stands_where_an_upstream_does() {
    for (bucket, kept) in [
        (json!("site"), json!("site")),
        (json!({"name": "site"}), json!("site")),
        (json!("site/r/1"), json!({"name": "site", "prefix": "r/1/"})),
        (json!({"name": "site", "prefix": "r/1"}), json!({"name": "site", "prefix": "r/1/"})),
    ] {
        let route = read(json!({"path": "/x", "bucket": bucket})).unwrap();
        assert_eq!(route.to_json()["bucket"], kept);
        assert_eq!(read(route.to_json()).unwrap(), route);
    }
    let many = read(json!({"path": "/x", "flag_key": "f", "backend_url": "bucket:a",
        "variants": {"true": "bucket:b/2/", "false": ["http://c"]}}));
    let names: Vec<_> = many.unwrap().buckets().map(|target| target.to_string()).collect();
    assert_eq!(names, ["b/2/", "a"]);
    for (change, expected) in [
        (json!({"bucket": "Site"}), "/bucket: `Site` names no bucket"),
        (json!({"bucket": {"name": "site", "prefx": "r/"}}), "/bucket/prefx: unknown member `prefx`"),
        (json!({"bucket": 3}), "/bucket: "),
        (json!({"bucket": "site", "function": "hello"}), "/bucket: requests go to a `backend_url`"),
        (json!({"bucket": "site", "backend_url": "http://a"}), "/bucket: requests go to a `backend_url`"),
        (json!({"backend_url": ["bucket:a", "http://a"]}), "/backend_url/0: a bucket stands alone"),
        (json!({"backend_url": "bucket:a/x\u{7}"}), "/backend_url: a prefix has at most"),
        (json!({}), "/backend_url: a route needs a `backend_url`, a `function`, a `bucket`"),
    ] {
        let mut route = json!({"path": "/x"});
        route.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let found = faults(route);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{change}: {found:?}");
    }
}

#[test]
fn every_member_that_makes_no_sense_is_named_at_its_place() {
    for (change, expected) in [
        (json!({"hots": "x"}), "/hots: unknown member `hots`; did you mean `host`?"),
        (json!({"id": "a b"}), "/id: use letters"),
        (json!({"name": 7}), "/name: must be a string"),
        (json!({"name": "x".repeat(201)}), "/name: at most 200"),
        (json!({"host": "http://x"}), "/host: write a host name"),
        (json!({"host": "x:80"}), "/host: write a host name"),
        (json!({"path": "/gateway/x"}), "/path: paths are written without"),
        (json!({"path": "/a/../b"}), "/path: write it as `/b`"),
        (json!({"path": "/a%2fb"}), "/path: the path holds an encoded slash"),
        (json!({"path": "x"}), "/path: the path must begin"),
        (json!({"path": "/x?y"}), "/path: a path holds no"),
        (json!({"match": "regex"}), "/match: is `exact` or `prefix`"),
        (json!({"methods": ["CONNECT"]}), "/methods/0: `CONNECT` is never forwarded"),
        (json!({"methods": "GET"}), "/methods: must be an array"),
        (json!({"methods": ["G T"]}), "/methods/0: is no HTTP method"),
        (json!({"headers": [{"name": "a"}]}), "/headers/0: needs either"),
        (json!({"headers": [{"name": "X-Flagbase-User", "present": true}]}), "/headers/0/name: is no header"),
        (json!({"headers": [{"name": "a_b", "present": true}]}), "/headers/0/name: is no header"),
        (json!({"strip_prefix": "/other"}), "/strip_prefix: is true, or a prefix"),
        (json!({"strip_prefix": 1}), "/strip_prefix: is true, false"),
        (json!({"backend_url": "127.0.0.1:80"}), "/backend_url: `127.0.0.1:80` is no upstream"),
        (json!({"backend_url": ["http://a", "http://169.254.169.254"]}), "/backend_url/1: `169.254.169.254`"),
        (json!({"variants": {"a/b": []}}), "/variants/a~1b: needs at least one"),
        (json!({"flag_key": null}), "/variants: upstreams per variant need a `flag_key`"),
        (json!({"when_off": {"status": 99}}), "/when_off/status: must be a whole number from 200"),
        (json!({"when_off": {"content_type": "a\nb"}}), "/when_off/content_type: is no media type"),
        (json!({"forward_token": "yes"}), "/forward_token: must be true or false"),
        (json!({"require": "admins"}), "/require: is `anyone`"),
        (json!({"require": {"roles": []}}), "/require: is `anyone`"),
        (json!({"timeouts": {"request": 5}}), "/timeouts/request: must be a duration"),
        (json!({"timeouts": {"connect": "0s"}}), "/timeouts/connect: must be a duration"),
        (json!({"retries": 11}), "/retries: must be a whole number from 0 to 10"),
        (json!({"health_check": {"path": "health"}}), "/health_check/path: is a path"),
        (json!({"health_check": {"interval": "x"}}), "/health_check/interval: must be"),
    ] {
        let mut body = full();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let found = faults(body);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_route_without_path_or_upstream_is_told_what_it_needs() {
    assert!(faults(json!({}))[0].contains("pattern and backend_url are required"));
    assert!(faults(json!({"pattern": "/x"}))[0].starts_with("/backend_url: a route needs"));
    assert_eq!(faults(json!([])), ["must be an object"]);
}

#[test]
fn what_an_answer_holds_besides_can_be_sent_back() {
    let mut body = full();
    for (name, value) in
        [("environment", json!("default")), ("revision", json!(7)), ("pattern", json!("/shop/*"))]
    {
        body[name] = value;
    }
    assert_eq!(read(body).unwrap().path, "/shop");
}

#[test]
fn a_hostile_body_gets_no_endless_answer() {
    let many: serde_json::Map<_, _> = (0..1000).map(|n| (format!("m{n}"), Value::Null)).collect();
    assert!(read(Value::Object(many)).unwrap_err().len() <= 100);
}
