//! Functions behind the gateway: found by name or by a route, chosen by a flag, answered for as HTTP wants it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flagbase_core::{environments::EnvironmentKind, functions::BodyFault};
use futures_util::{StreamExt as _, stream};
use http::Response;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{
    code::{Body, Code, Fault},
    support::{Answer, PATIENCE, Setup, World},
};

/// A function called `hello` with two versions, of which the first is current.
fn hello(more: &Value) -> Value {
    let version = |number: u32| {
        json!({"number": number, "digest": format!("sha256:{:064x}", number), "shape": "component", "file": "", "size": 1,
            "serves": ["requests"], "imports": [], "created_at": "2026-01-01T00:00:00Z", "created_by": "", "note": ""})
    };
    let mut function = json!({"name": "hello", "current": 1, "before": [], "last_number": 2,
        "versions": [version(1), version(2)]});
    function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    function
}

fn by_role() -> Value {
    json!({"key": "which", "type": "string", "enabled": true,
        "variants": [{"name": "old", "value": "v1"}, {"name": "new", "value": "v2"}],
        "default_variant": "old", "off_variant": "old",
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": "new"}]})
}

async fn world(code: Code, function: &Value) -> World {
    World::start(Setup { functions: vec![hello(function)], code, ..Setup::routes([]) }).await
}

fn answer(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Body::Whole(body.into()))
}

/// Answers with what it was asked: version, method, target, headers, body.
fn tells() -> Code {
    Code::new(|visit, request| {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect(1 << 30).await?;
            let headers: Vec<_> = head
                .headers
                .iter()
                .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
                .collect();
            let told = json!({"version": visit.deployed.version, "method": head.method.as_str(),
                "target": head.uri.to_string(), "headers": headers, "length": body.len(), "role": &*visit.caller.role,
                "id": &*visit.id, "attributes": visit.attributes.iter().collect::<Vec<_>>(),
                "trace": visit.trace.map(|trace| trace.as_str().to_owned())});
            Ok(answer(told.to_string()))
        })
    })
}

fn request(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.example.com\r\n{lines}\r\n")
}

fn told<'a>(seen: &'a Value, name: &str) -> Option<&'a str> {
    let headers = seen["headers"].as_array().unwrap();
    headers.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str())
}

#[tokio::test]
async fn a_function_is_found_by_name_and_sees_what_is_below_it() {
    let world = world(tells(), &json!({})).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = format!(
        "Authorization: Bearer developer\r\nX-Flagbase-Role: admin\r\nX-Custom: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
         traceparent: {trace}\r\nX-Request-Id: call-1\r\n"
    );
    let answer = world.send(request("/functions/hello/a/./b?q=%2F", &lines)).await;
    assert_eq!((answer.status, answer.header("x-flagbase-function")), (200, Some("hello@1")));
    assert_eq!(answer.header("x-request-id"), Some("call-1"));
    let seen = answer.json();
    assert_eq!((&seen["target"], &seen["role"]), (&json!("/a/b?q=%2F"), &json!("developer")));
    assert_eq!((&seen["id"], &seen["trace"]), (&json!("call-1"), &json!(trace)));
    assert_eq!(seen["attributes"], json!([["ip", "127.0.0.1"]]));
    for (name, value) in [
        ("host", Some("shop.example.com")),
        ("x-flagbase-role", Some("developer")),
        ("x-flagbase-environment", Some("default")),
        ("x-flagbase-flag", None),
        ("x-custom", Some("1")),
        ("x-hop", None),
        ("authorization", None),
        ("x-request-id", Some("call-1")),
    ] {
        assert_eq!(told(&seen, name), value, "{name}");
    }
    for (path, status) in [("/functions/nobody", 404), ("/functions/hello@2", 404), ("/functions/a%2fb", 400)]
    {
        assert_eq!(world.send(request(path, "")).await.status, status, "{path}");
    }
    assert_eq!(world.send(request("/functions/", "")).await.body, "fallback: /functions/");
}

#[tokio::test]
async fn the_flag_chooses_the_version_and_is_counted() {
    let setup = Setup {
        functions: vec![hello(&json!({"flag_key": "which", "forward_token": true}))],
        flags: vec![by_role()],
        code: tells(),
        ..Setup::routes([])
    };
    let world = World::start(setup).await;
    let seen = world.send(request("/functions/hello", "Authorization: Bearer developer\r\n")).await.json();
    assert_eq!((&seen["version"], &seen["target"]), (&json!(2), &json!("/")));
    assert_eq!(
        (told(&seen, "x-flagbase-flag"), told(&seen, "x-flagbase-variant")),
        (Some("which"), Some("new"))
    );
    assert_eq!(told(&seen, "authorization"), Some("Bearer developer"));
    let seen = world.send(request("/functions/hello", "Authorization: Bearer user\r\n")).await.json();
    assert_eq!(seen["version"], json!(1));
    let text = world.metrics.prometheus();
    let counted =
        |line: &str| text.lines().any(|counted| counted.contains("function:hello") && counted.contains(line));
    assert!(counted(r#"variant="new""#) && counted(r#"variant="old""#), "{text}");
}

#[tokio::test]
async fn who_is_not_admitted_runs_nothing() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let code = Code::new(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(answer("ran")) })
    });
    let world = world(code, &json!({"require": {"roles": ["developer"]}})).await;
    assert_eq!(world.send(request("/functions/hello", "")).await.status, 401);
    assert_eq!(world.send(request("/functions/hello", "Authorization: Bearer user\r\n")).await.status, 403);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    assert_eq!(
        world.send(request("/functions/hello", "Authorization: Bearer developer\r\n")).await.body,
        "ran"
    );
}

#[tokio::test]
async fn a_route_leads_to_a_function_by_its_own_terms() {
    let route = json!({"id": "shop", "path": "/shop", "match": "prefix", "strip_prefix": true, "function": "hello",
        "forward_token": true});
    let pinned =
        json!({"id": "pinned", "path": "/pinned", "function": "hello@2", "timeouts": {"request": "50ms"}});
    let code = Code::new(|visit, request| {
        let ((head, _), run) = (request.into_parts(), tells());
        Box::pin(async move {
            if visit.deployed.version == 2 {
                std::future::pending::<()>().await;
            }
            flagbase_core::functions::Compute::serve(
                &run,
                visit,
                http::Request::from_parts(head, Body::Empty),
            )
            .await
        })
    });
    let setup = Setup { functions: vec![hello(&json!({}))], code, ..Setup::routes([route, pinned]) };
    let world = World::start(setup).await;
    let seen = world.get("/shop/cart?x=1", &["Authorization: Bearer user"]).await.json();
    assert_eq!((&seen["target"], &seen["version"]), (&json!("/cart?x=1"), &json!(1)));
    assert_eq!(told(&seen, "authorization"), Some("Bearer user"));
    let slow = world.get("/pinned", &[]).await;
    assert_eq!((slow.status, &slow.json()["code"]), (504, &json!("function_timeout")));
}

#[tokio::test]
async fn bodies_arrive_whole_whatever_their_size_and_framing() {
    let world = world(tells(), &json!({"limits": {"request_body": "100KiB"}})).await;
    for size in [0, 1, 65_536, 65_537, 100 << 10] {
        let head = format!("POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        let seen = world.send([head.as_bytes(), &vec![b'x'; size]].concat()).await.json();
        assert_eq!(seen["length"], json!(size));
        let declared = (size > 0).then(|| size.to_string());
        assert_eq!(told(&seen, "content-length"), declared.as_deref());
    }
    let chunked = "POST /functions/hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let seen = world.send(chunked).await.json();
    assert_eq!((&seen["length"], told(&seen, "content-length")), (&json!(5), None));
    let large =
        format!("POST /functions/hello HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", (100 << 10) + 1);
    let refused = world.send(large).await;
    assert_eq!((refused.status, &refused.json()["code"]), (413, &json!("body_too_large")));
    assert_eq!(refused.header("connection"), Some("close"), "nobody reads what is left of the body");
    let mut endless =
        b"POST /functions/hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..101 {
        endless.extend_from_slice(b"400\r\n");
        endless.extend_from_slice(&[b'x'; 1024]);
        endless.extend_from_slice(b"\r\n");
    }
    endless.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(world.send(endless).await.status, 413);
}

#[tokio::test]
async fn answers_keep_their_cookies_and_lose_what_is_not_theirs_to_say() {
    let code = Code::new(|_, _| {
        let mut answer = answer("hello");
        let headers = answer.headers_mut();
        for (name, value) in [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("content-length", "99"),
            ("transfer-encoding", "chunked"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        Box::pin(async move { Ok(answer) })
    });
    let world = world(code, &json!({})).await;
    let answer = world.send(request("/functions/hello", "")).await;
    assert_eq!((answer.header("content-length"), answer.body.as_str()), (Some("5"), "hello"));
    assert_eq!(answer.head.matches("set-cookie: ").count(), 2);
    assert!(!answer.head.contains("x-hop") && !answer.head.contains("transfer-encoding"), "{}", answer.head);
    let head = world.send("HEAD /functions/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.header("content-length"), head.body.as_str()), (Some("5"), ""));
}

#[tokio::test]
async fn answers_are_streamed_and_break_off_where_the_function_does() {
    let code = Code::new(|_, _| {
        let parts =
            stream::iter([Ok(Bytes::from_static(b"begun")), Err(BodyFault::Broken("it broke".to_owned()))]);
        Box::pin(async { Ok(Response::new(Body::Stream(parts.boxed(), None))) })
    });
    let world = world(code, &json!({})).await;
    let answer = world.send(request("/functions/hello", "")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("begun") && !answer.body.ends_with("0\r\n\r\n"), "{}", answer.body);
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_the_work() {
    struct Told(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.take().unwrap().send(()).unwrap();
        }
    }
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (stopped, has_stopped) = tokio::sync::oneshot::channel();
    let once = parking_lot::Mutex::new(Some((begun, Told(Some(stopped)))));
    let code = Code::new(move |_, _| {
        let (begun, told) = once.lock().take().unwrap();
        begun.send(()).unwrap();
        Box::pin(async move {
            let _told = told;
            std::future::pending().await
        })
    });
    let world = world(code, &json!({})).await;
    let mut client = world.connect().await;
    client.write_all(request("/functions/hello", "").as_bytes()).await.unwrap();
    tokio::time::timeout(PATIENCE, has_begun).await.unwrap().unwrap();
    drop(client);
    tokio::time::timeout(PATIENCE, has_stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn faults_are_problems_and_what_they_say_inside_stays_there_in_production() {
    for (kind, detail) in [
        (EnvironmentKind::Development, "the function failed: hunter2"),
        (EnvironmentKind::Production, "the function failed"),
    ] {
        let code = Code::new(|_, _| Box::pin(async { Err(Fault::Trapped("hunter2".to_owned())) }));
        let setup = Setup { functions: vec![hello(&json!({}))], code, kind, ..Setup::routes([]) };
        let world = World::start(setup).await;
        let answer = world.send(request("/functions/hello", "")).await;
        assert_eq!((answer.status, &answer.json()["detail"]), (502, &json!(detail)));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let trusted = world.send(request("/functions/hello", "Authorization: Bearer admin\r\n")).await;
        assert_eq!(trusted.json()["detail"], json!("the function failed: hunter2"));
    }
}

#[tokio::test]
async fn too_many_calls_are_told_when_to_come_back() {
    let code = Code::new(|_, _| Box::pin(std::future::pending()));
    let world = world(code, &json!({"limits": {"concurrency": 1, "queue": 1}})).await;
    let mut waiting = Vec::new();
    let mut refused = Answer::default();
    while refused.status == 0 {
        let mut client = world.connect().await;
        client.write_all(request("/functions/hello", "").as_bytes()).await.unwrap();
        let answered = tokio::time::timeout(Duration::from_millis(500), Answer::read(&mut client)).await;
        refused = answered.unwrap_or_default();
        waiting.push(client);
        assert!(waiting.len() < 10, "only two fit");
    }
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(refused.json()["code"], json!("function_busy"));
}

#[tokio::test]
async fn websockets_are_refused_with_a_reason() {
    let world = world(tells(), &json!({})).await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let refused = world.send(request("/functions/hello", handshake)).await;
    assert_eq!((refused.status, &refused.json()["code"]), (501, &json!("function_no_websocket")));
}
