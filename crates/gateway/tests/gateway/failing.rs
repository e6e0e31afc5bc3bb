//! Backends that are down, slow, broken or dying, and clients that are slow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flagbase_core::gateway::GatewayConfig;
use flagbase_gateway::Limits;
use http::Request;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    raw::{OK, head, raw},
    support::{Answer, PATIENCE, Recording, Setup, World, backend, reply},
};

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_backend_that_is_down_is_502_and_one_that_talks_nonsense_too() {
    let world = World::before(&nobody().await).await;
    let answer = world.get("/x", &[]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (502, &"upstream_unavailable".into()));
    assert!(answer.json()["error"].as_str().unwrap().contains("unavailable"), "{answer:?}");
    let (url, _) = raw(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"what?\r\n\r\n").await;
    })
    .await;
    assert_eq!(World::before(&url).await.get("/x", &[]).await.status, 502);
    let (url, _) = raw(|mut stream, _| async move {
        head(&mut stream).await;
    })
    .await;
    assert_eq!(World::before(&url).await.get("/x", &[]).await.status, 502);
}

#[tokio::test]
async fn a_backend_that_answers_too_late_is_504() {
    let slow = backend(|_| async {
        std::future::pending::<()>().await;
        reply(200, "never")
    })
    .await;
    for scheme in ["http", "h2c"] {
        let route = json!({"pattern": "/x", "backend_url": format!("{scheme}://{slow}"), "timeouts": {"request": "50ms"}});
        let answer = World::start(Setup::routes([route])).await.get("/x", &[]).await;
        assert_eq!((answer.status, &answer.json()["code"]), (504, &"upstream_timeout".into()), "{scheme}");
        assert!(answer.json()["error"].as_str().unwrap().contains("50 ms"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_off() {
    let (url, _) = raw(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let route = json!({"pattern": "/x", "backend_url": url, "timeouts": {"idle": "50ms"}});
    let answer = World::start(Setup::routes([route])).await.get("/x", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "half"));
}

#[tokio::test]
async fn a_target_that_is_down_is_passed_over_for_any_request() {
    let (recording, up) = Recording::start().await;
    let route = json!({"path": "/", "match": "prefix", "backend_url": [nobody().await, up]});
    let world = World::start(Setup::routes([route])).await;
    for _ in 0..4 {
        let post = "POST /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(world.send(post).await.status, 200);
    }
    assert_eq!(recording.take().len(), 4);
}

#[tokio::test]
async fn an_idle_connection_that_dies_costs_an_idempotent_request_nothing() {
    // The first connection serves one request and breaks at the second; others serve on.
    let (url, connections) = raw(|mut stream, number| async move {
        head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        head(&mut stream).await;
        if number == 0 {
            return;
        }
        let _ = stream.write_all(OK).await;
        while head(&mut stream).await {
            let _ = stream.write_all(OK).await;
        }
    })
    .await;
    let world = World::before(&url).await;
    assert_eq!(world.get("/one", &[]).await.status, 200);
    assert_eq!(world.get("/two", &[]).await.status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_must_not_be_repeated_is_sent_once() {
    let (url, connections) = raw(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        head(&mut stream).await;
    })
    .await;
    let world = World::before(&url).await;
    assert_eq!(world.get("/one", &[]).await.status, 200);
    let post = "POST /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(world.send(post).await.status, 502);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_fresh_connection_that_breaks_is_not_tried_for_ever() {
    let (url, connections) = raw(|mut stream, _| async move {
        head(&mut stream).await;
    })
    .await;
    let world = World::before(&url).await;
    assert_eq!(world.get("/x", &[]).await.status, 502);
    assert!(connections.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn an_idle_connection_that_the_backend_closed_is_not_used() {
    let (url, connections) = raw(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream.write_all(OK).await;
    })
    .await;
    let route = json!({"path": "/", "match": "prefix", "backend_url": url, "retries": 0});
    let world = World::start(Setup::routes([route])).await;
    for _ in 0..5 {
        let answer = world.get("/x", &[]).await;
        // Without retries, only noticing the close in time makes this hold; it may still be on its way.
        assert!(matches!(answer.status, 200 | 502), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connections.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn health_checks_take_a_sick_target_out_and_bring_it_back() {
    let well = Arc::new(AtomicUsize::new(1));
    let state = Arc::clone(&well);
    let sick = backend(move |request: Request<Incoming>| {
        let status = if state.load(Ordering::SeqCst) == 1 { 200 } else { 503 };
        async move { reply(if request.uri().path() == "/health" { status } else { 200 }, "first") }
    })
    .await;
    let other = backend(|_| async { reply(200, "second") }).await;
    let route = json!({"pattern": "/x", "backend_url": [format!("http://{sick}"), format!("http://{other}")],
        "health_check": {"path": "/health", "interval": "10ms", "timeout": "5s", "unhealthy_threshold": 2}});
    let world = World::start(Setup::routes([route])).await;
    // Twice in a row the same backend answers only while the other is out.
    let only = async |body: &str| {
        let mut row = 0;
        while row < 6 {
            row = if world.get("/x", &[]).await.body == body { row + 1 } else { 0 };
        }
    };
    well.store(0, Ordering::SeqCst);
    tokio::time::timeout(PATIENCE, only("second")).await.expect("the sick backend still gets requests");
    well.store(1, Ordering::SeqCst);
    let both = async { while world.get("/x", &[]).await.body != "first" {} };
    tokio::time::timeout(PATIENCE, both).await.expect("the backend that is well again gets no requests");
}

#[tokio::test]
async fn an_upstream_where_policy_allows_none_is_502_and_says_why() {
    let (_, url) = Recording::start().await;
    // Registered while it was allowed, or by a name that now means this machine.
    let url = url.replace("127.0.0.1", "localhost");
    let world = World::before(&url).await;
    assert_eq!(world.get("/x", &[]).await.status, 200);
    let strict = GatewayConfig { allow_loopback_upstreams: false, ..GatewayConfig::default() };
    let refused = flagbase_core::gateway::UpstreamUrl::parse(&url, strict.addresses()).unwrap_err();
    assert!(refused.contains("allow_loopback_upstreams"), "{refused}");
}

fn impatient() -> Limits {
    let limit = Duration::from_millis(100);
    Limits { header_timeout: limit, idle_timeout: limit, ..Limits::default() }
}

#[tokio::test]
async fn clients_that_send_their_heads_too_slowly_are_cut_off() {
    let (recording, url) = Recording::start().await;
    let setup =
        Setup { limits: impatient(), ..Setup::routes([json!({"pattern": "/*", "backend_url": url})]) };
    let world = World::start(setup).await;
    for bytes in ["", "GET /gateway/x HT", "GET /gateway/x HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut stream = world.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "`{bytes}` is still waited for");
    }
    assert!(recording.take().is_empty());
}

#[tokio::test]
async fn an_idle_client_is_let_go_after_its_answer() {
    let (_, url) = Recording::start().await;
    let setup =
        Setup { limits: impatient(), ..Setup::routes([json!({"pattern": "/*", "backend_url": url})]) };
    let world = World::start(setup).await;
    let mut stream = world.connect().await;
    stream.write_all(b"GET /gateway/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 200);
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("still open").unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let (recording, url) = Recording::start().await;
    let route = json!({"pattern": "/x", "backend_url": url, "timeouts": {"idle": "50ms"}});
    let world = World::start(Setup::routes([route])).await;
    let answer = world.send("POST /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await;
    assert_eq!((answer.status, &answer.json()["code"]), (408, &"request_timeout".into()));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(recording.take().is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_on_a_hanging_backend_and_one_that_is_refused_are_counted() {
    let slow = backend(|_| async {
        std::future::pending::<()>().await;
        reply(200, "never")
    })
    .await;
    let hanging = json!({"id": "hanging", "pattern": "/x", "backend_url": format!("http://{slow}")});
    let closed = json!({"id": "closed", "path": "/y", "backend_url": format!("http://{slow}"), "require": "authenticated"});
    let world = World::start(Setup::routes([hanging, closed])).await;
    assert_eq!(world.get("/y", &[]).await.status, 401);
    let mut stream = world.connect().await;
    stream.write_all(b"GET /gateway/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    for route in ["hanging", "closed"] {
        let line = format!("route=\"{route}\"");
        let mut told = String::new();
        for _ in 0..200 {
            told = world.metrics.prometheus();
            if told.contains(&line) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(told.lines().any(|l| l.contains(&line) && l.contains("4xx")), "{route}: {told}");
    }
}

#[tokio::test]
async fn who_calls_does_not_learn_where_the_backend_is() {
    let backend = nobody().await;
    let answer = World::before(&backend).await.get("/x", &[]).await;
    let place = backend.trim_start_matches("http://");
    assert!(answer.status == 502 && !format!("{answer:?}").contains(place), "{answer:?}");
}
