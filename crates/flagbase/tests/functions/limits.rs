//! Bad input and bad code: limits hold, callers are told why, and neighbours keep being answered.

use std::time::Instant;

use flagbase_testkit::Backend;
use futures_util::future::join_all;

use super::*;

async fn problem(server: &TestServer, name: &str, status: u16, code: &str) -> Reply {
    let answer = call(server, name).await.expect_status(status);
    assert_eq!(answer.json["code"], json!(code), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    answer
}

#[tokio::test]
async fn code_that_misbehaves_is_stopped_and_the_caller_is_told_why() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    for (name, code, limits) in [
        ("loops", guests::loops(), json!({"timeout": "300ms"})),
        ("sleeps", guests::sleeps(), json!({"timeout": "300ms"})),
        ("traps", guests::traps(), json!({})),
        ("hoards", guests::hoards(), json!({"memory": "2MiB"})),
        ("floods", guests::floods(), json!({"response_body": "1MiB"})),
    ] {
        deploy(&server, &developer, name, code).await.expect_status(201);
        set(&server, &developer, name, json!({"limits": limits})).await.expect_status(200);
    }
    problem(&server, "loops", 504, "function_timeout").await;
    problem(&server, "sleeps", 504, "function_timeout").await;
    problem(&server, "traps", 502, "function_failed").await;
    // Memory that is not given is a limit or a trap, as the code takes it.
    call(&server, "hoards").await.expect_status(502);
    // A flood ends before its head is sent, or breaks off.
    let flood = server.client().get(server.url("/functions/floods")).send().await.unwrap();
    let status = flood.status().as_u16();
    let broken = flood.bytes().await.map(|bytes| bytes.len());
    assert!(status == 502 || broken.is_err(), "{status} {broken:?}");
    problem(&server, "nothing", 404, "function_not_found").await;
}

#[tokio::test]
async fn bodies_are_held_to_their_limit_with_and_without_a_length() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "echo", guests::echoes()).await.expect_status(201);
    set(&server, &developer, "echo", json!({"limits": {"request_body": "200KiB"}})).await.expect_status(200);
    let send = async |body: reqwest::Body| {
        server.reply(server.client().post(server.url("/functions/echo")).body(body)).await
    };
    let streamed = |size: usize| {
        let parts = (0..size / 1024).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1024]));
        reqwest::Body::wrap_stream(futures_util::stream::iter(parts))
    };
    for size in [0, 10, 70_000, 200 << 10] {
        let answer = send(vec![b'x'; size].into()).await.expect_status(200);
        assert_eq!(answer.text.len(), size);
    }
    assert_eq!(send(streamed(150 << 10)).await.expect_status(200).text.len(), 150 << 10);
    let refused = send(vec![b'x'; (200 << 10) + 1].into()).await.expect_status(413);
    assert_eq!(refused.json["code"], json!("body_too_large"));
    send(streamed(300 << 10)).await.expect_status(413);
    send("fine again".into()).await.expect_status(200);
}

#[tokio::test]
async fn more_calls_than_there_are_places_wait_and_then_are_sent_away() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "sleeps", guests::sleeps()).await.expect_status(201);
    let limits = json!({"limits": {"timeout": "2s", "concurrency": 2, "queue": 1}});
    set(&server, &developer, "sleeps", limits).await.expect_status(200);
    let answers = join_all((0..10).map(|_| call(&server, "sleeps"))).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(429) + count(504), 10, "{answers:?}");
    assert!(count(429) >= 5 && count(504) >= 2, "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.json["code"], json!("function_busy"));
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn uploads_are_held_to_their_limit_while_they_come() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_FUNCTIONS__MAX_CODE", "64KiB")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "big", vec![0; (64 << 10) + 1]).await.expect_status(413);
    let endless = futures_util::stream::iter((0..4096).map(|_| Ok::<_, std::io::Error>(vec![0; 1024])));
    let request = server.client().post(server.url("/api/v1/functions/big/versions")).bearer_auth(&developer);
    let answer = server.reply(request.body(reqwest::Body::wrap_stream(endless))).await.expect_status(413);
    assert_eq!(answer.json["code"], json!("body_too_large"), "{}", answer.text);
    for code in [&b""[..], b"not code", b"\0asm\x01\0\0\0\xff\xff"] {
        let answer = deploy(&server, &developer, "bad", code.to_vec()).await.expect_status(422);
        assert!(answer.json["detail"].as_str().unwrap().len() > 10, "{}", answer.text);
    }
    server.get("/api/v1/functions/bad", &developer).await.expect_status(404);
    deploy(&server, &developer, "Not-A-Name", guests::says(200, "")).await.expect_status(422);
}

#[tokio::test]
async fn neighbours_are_answered_while_twenty_endless_loops_run() {
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let backend = Backend::start().await;
    backend.answer(200, "from the backend");
    let route = json!({"id": "plain", "path": "/plain", "backend_url": backend.url()});
    server.post("/api/v1/gateway/routes", &developer, &route).await.expect_status(201);
    deploy(&server, &developer, "loops", guests::loops()).await.expect_status(201);
    set(&server, &developer, "loops", json!({"limits": {"timeout": "5s"}})).await.expect_status(200);
    let loops = join_all((0..20).map(|_| call(&server, "loops")));
    let neighbours = async {
        // Until all loops are there, and while they run.
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(
                server.get("/gateway/plain", &developer).await.expect_status(200).text,
                "from the backend"
            );
            server.get("/health", &developer).await.expect_status(200);
            eprintln!("both answered within {:?}", begun.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (loops, ()) = tokio::join!(loops, neighbours);
    assert!(loops.iter().all(|answer| answer.status == 504), "{loops:?}");
}

#[tokio::test]
async fn no_place_in_the_pool_is_said_and_nothing_hangs() {
    let server = TestServer::start_with(PROGRAM, &[("FLAGBASE_FUNCTIONS__INSTANCES", "4")]).await;
    let developer = server.join("dev@example.com", "developer").await;
    deploy(&server, &developer, "sleeps", guests::sleeps()).await.expect_status(201);
    set(&server, &developer, "sleeps", json!({"limits": {"timeout": "2s"}})).await.expect_status(200);
    let answers = join_all((0..40).map(|_| call(&server, "sleeps"))).await;
    assert!(answers.iter().all(|answer| [429, 503, 504].contains(&answer.status)), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.status == 503), "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert!(refused.header("retry-after").is_some(), "{}", refused.text);
}
