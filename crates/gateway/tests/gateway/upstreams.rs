//! HTTP/1.1 as upstreams speak it: framing, reuse of connections, and what must never be taken for an answer.

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    raw::{OK, head, raw, read_head},
    support::{Setup, World},
};

/// A backend that gives the same `answer` to every request, and closes after the first when told to.
async fn answering(
    answer: &'static [u8],
    close: bool,
) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    raw(move |mut stream, _| async move {
        while head(&mut stream).await {
            let _ = stream.write_all(answer).await;
            if close {
                return;
            }
        }
    })
    .await
}

/// The body of `answer`, joined from its chunks when it came in chunks.
fn unchunked(answer: &super::support::Answer) -> String {
    match answer.header("transfer-encoding") {
        Some(_) => answer.body.split("\r\n").skip(1).step_by(2).collect(),
        None => answer.body.clone(),
    }
}

#[tokio::test]
async fn every_framing_of_an_answer_is_understood_and_connections_are_used_again_where_that_is_safe() {
    for (answer, close, body, connections) in [
        (OK, false, "ok", 1),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            false,
            "ok",
            1,
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            false,
            "ok",
            1,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", false, "", 1),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", false, "ok", 1),
        (b"HTTP/1.1 200 OK\r\n\r\nok", true, "ok", 3),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", true, "ok", 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "ok", 3),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", false, "ok", 1),
    ] as [(&'static [u8], bool, &str, usize); 9]
    {
        let shown = answer.escape_ascii();
        let (url, count) = answering(answer, close).await;
        let world = World::before(&url).await;
        for _ in 0..3 {
            let got = world.get("/x", &[]).await;
            assert_eq!((got.status / 100, unchunked(&got).as_str()), (2, body), "{shown}");
            assert!(got.header("keep-alive").is_none(), "{shown}");
        }
        assert_eq!(count.load(Ordering::SeqCst), connections, "{shown}");
    }
}

#[tokio::test]
async fn what_an_upstream_says_beyond_its_answer_is_never_the_next_ones_answer() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nforged",
        b"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    ] {
        let (url, connections) = answering(answer, false).await;
        let world = World::before(&url).await;
        for _ in 0..3 {
            let got = world.get("/x", &[]).await;
            assert!(!got.body.contains("forged"), "{}: {got:?}", answer.escape_ascii());
        }
        assert_eq!(connections.load(Ordering::SeqCst), 3, "{}", answer.escape_ascii());
    }
}

#[tokio::test]
async fn an_answer_that_says_two_things_is_502() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    ] {
        let (url, _) = answering(answer, false).await;
        let got = World::before(&url).await.get("/x", &[]).await;
        assert_eq!(
            (got.status, &got.json()["code"]),
            (502, &"upstream_unavailable".into()),
            "{}",
            answer.escape_ascii()
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_in_a_chunk_breaks_off_for_the_client_too() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\nnonsense\r\n",
    ] {
        let (url, _) = answering(answer, true).await;
        let world = World::before(&url).await;
        let mut stream = world.connect().await;
        stream.write_all(b"GET /gateway/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen).await;
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.starts_with("HTTP/1.1 200") && seen.contains("hal"), "{seen}");
        assert!(!seen.ends_with("0\r\n\r\n"), "the client takes it for whole: {seen}");
    }
}

#[tokio::test]
async fn a_backend_that_answers_before_it_has_read_the_body_is_heard() {
    let (url, _) = raw(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream
            .write_all(
                b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch",
            )
            .await;
        let _ = stream.shutdown().await;
        let mut sink = [0; 4096];
        while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let world = World::before(&url).await;
    let mut stream = world.connect().await;
    let head = "POST /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; 1000]).await.unwrap();
    let got = super::support::Answer::read(&mut stream).await;
    assert_eq!((got.status, got.body.as_str()), (413, "much"));
}

#[tokio::test]
async fn the_length_of_a_body_is_told_to_the_upstream_once_and_truly() {
    for (request, told, untold) in [
        (
            "GET /gateway/x HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nhost: ",
            &["content-length", "transfer-encoding"][..],
        ),
        (
            "POST /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "content-length: 0\r\n",
            &["transfer-encoding"],
        ),
        (
            "PUT /gateway/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            "content-length: 2\r\n",
            &["transfer-encoding"],
        ),
        (
            "POST /gateway/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n",
            &["content-length"],
        ),
    ] {
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let (url, _) = raw(move |mut stream, _| {
            let sender = sender.clone();
            async move {
                while let Some(head) = read_head(&mut stream).await {
                    let _ = sender.send(head);
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        .await;
                }
            }
        })
        .await;
        let world = World::before(&url).await;
        assert_eq!(world.send(request).await.status, 200, "{request}");
        let head = seen.recv().await.unwrap();
        assert_eq!(head.matches(told).count(), 1, "{head}");
        assert!(untold.iter().all(|text| !head.contains(text)), "{head}");
    }
}

#[tokio::test]
async fn first_requests_at_the_same_time_share_one_connection_over_http2() {
    let peers = std::sync::Arc::new(parking_lot::Mutex::new(std::collections::HashSet::new()));
    let seen = std::sync::Arc::clone(&peers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = flagbase_core::tasks::Tasks::new();
    let accepting = tasks.clone();
    tasks.spawn("backend", async move {
        while let Ok((stream, peer)) = listener.accept().await {
            seen.lock().insert(peer);
            accepting.spawn("one", async move {
                let service = hyper::service::service_fn(|_| async {
                    Ok::<_, std::convert::Infallible>(super::support::reply(200, "ok"))
                });
                let executor = hyper_util::rt::TokioExecutor::new();
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ =
                    hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
            });
        }
    });
    let route = json!({"path": "/", "match": "prefix", "backend_url": format!("h2c://{address}")});
    let world = World::start(Setup::routes([route])).await;
    let answers = futures_util::future::join_all((0..20).map(|_| world.get("/x", &[]))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(peers.lock().len(), 1);
}
