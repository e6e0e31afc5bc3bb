//! Bodies of any size and pace, trailers, HTTP/2 on both sides.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use super::support::{PATIENCE, Setup, World, backend, reply};

type Outbound = BoxBody<Bytes, Infallible>;

/// A body whose parts are sent one by one.
fn channel() -> (mpsc::Sender<Frame<Bytes>>, Outbound) {
    let (sender, receiver) = mpsc::channel::<Frame<Bytes>>(1);
    let frames = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|frame| (Ok::<_, Infallible>(frame), receiver))
    });
    // The box must be shareable; a mutex makes it so.
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
async fn http1(world: &World) -> conn::http1::SendRequest<Outbound> {
    let (sender, connection) = conn::http1::handshake(TokioIo::new(world.connect().await)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
async fn http2(world: &World) -> conn::http2::SendRequest<Outbound> {
    let io = TokioIo::new(world.connect().await);
    let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(path).header("host", "shop.example.com")
}

fn nothing() -> Outbound {
    Empty::new().boxed()
}

async fn part(body: &mut Incoming) -> Option<Bytes> {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("no part came")?;
    frame.unwrap().into_data().ok()
}

async fn echo(request: Request<Incoming>) -> Response<Outbound> {
    let body = request.into_body().map_err(|error| panic!("{error}"));
    Response::new(BodyExt::boxed(body))
}

#[tokio::test]
async fn parts_pass_in_both_directions_as_they_come() {
    let backend = backend(echo).await;
    let world = World::before(&format!("http://{backend}")).await;
    let (sender, body) = channel();
    let mut client = http1(&world).await;
    sender.send(Frame::data("first".into())).await.unwrap();
    let answer =
        client.send_request(request("/gateway/echo").method("POST").body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut back = answer.into_body();
    assert_eq!(part(&mut back).await.unwrap(), "first");
    // The second part is only sent once the first has come back: nothing waits for the whole body.
    sender.send(Frame::data("second".into())).await.unwrap();
    assert_eq!(part(&mut back).await.unwrap(), "second");
    drop(sender);
    assert_eq!(part(&mut back).await, None);
}

#[tokio::test]
async fn large_bodies_pass_whole_over_connections_that_are_used_again() {
    let backend = backend(echo).await;
    let world = World::before(&format!("http://{backend}")).await;
    let mut client = http1(&world).await;
    let body: Bytes =
        (0..3_000_000_u32).map(|number| number.to_le_bytes()[number as usize % 4]).collect::<Vec<_>>().into();
    for _ in 0..5 {
        client.ready().await.unwrap();
        let sent = request("/gateway/echo").method("POST").body(Full::new(body.clone()).boxed()).unwrap();
        let answer = client.send_request(sent).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test]
async fn small_requests_share_one_upstream_connection() {
    let peers = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let seen = Arc::clone(&peers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tasks = flagbase_core::tasks::Tasks::new();
    let accepting = tasks.clone();
    tasks.spawn("backend", async move {
        while let Ok((stream, peer)) = listener.accept().await {
            seen.lock().insert(peer);
            accepting.spawn("one", async move {
                let service = hyper::service::service_fn(|_| async { Ok::<_, Infallible>(reply(200, "ok")) });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let world = World::before(&url).await;
    let mut client = http1(&world).await;
    for _ in 0..50 {
        client.ready().await.unwrap();
        let answer = client.send_request(request("/gateway/x").body(nothing()).unwrap()).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    }
    assert_eq!(peers.lock().len(), 1);
}

fn with_trailers() -> Response<Outbound> {
    let trailers = HeaderMap::from_iter([("x-checksum".parse().unwrap(), "42".parse().unwrap())]);
    let frames = [Frame::data(Bytes::from("body")), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    let body = StreamBody::new(stream::iter(frames));
    Response::builder().header("trailer", "x-checksum").body(BodyExt::boxed(body)).unwrap()
}

#[tokio::test]
async fn trailers_pass_with_the_answer_over_both_protocols() {
    let backend = backend(|_| async { with_trailers() }).await;
    for scheme in ["http", "h2c"] {
        let world = World::before(&format!("{scheme}://{backend}")).await;
        let mut client = http1(&world).await;
        let sent = request("/gateway/x").header("te", "trailers").body(nothing()).unwrap();
        let answer = client.send_request(sent).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.trailers().unwrap()["x-checksum"], "42", "{scheme}");
        assert_eq!(answer.to_bytes(), "body", "{scheme}");
        let mut client = http2(&world).await;
        let sent = Request::get("http://shop.example.com/gateway/x")
            .header("te", "trailers")
            .body(nothing())
            .unwrap();
        let answer = client.send_request(sent).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.trailers().unwrap()["x-checksum"], "42", "{scheme}");
    }
}

#[tokio::test]
async fn trailers_pass_with_the_request_but_not_those_that_spoof() {
    let (sender, mut received) = mpsc::channel(1);
    let backend = backend(move |request: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            let body = request.into_body().collect().await.unwrap();
            sender.send(body.trailers().cloned()).await.unwrap();
            reply(200, "ok")
        }
    })
    .await;
    let world = World::before(&format!("h2c://{backend}")).await;
    let (parts, body) = channel();
    let mut client = http2(&world).await;
    let sent = Request::post("http://shop.example.com/gateway/x").body(body).unwrap();
    let sending = async {
        parts.send(Frame::data("x".into())).await.unwrap();
        let trailers = [("grpc-status", "0"), ("x-flagbase-user", "admin")];
        let trailers = trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        parts.send(Frame::trailers(HeaderMap::from_iter(trailers))).await.unwrap();
        drop(parts);
    };
    let (answer, ()) = tokio::join!(client.send_request(sent), sending);
    assert_eq!(answer.unwrap().status(), 200);
    let trailers = received.recv().await.unwrap().unwrap();
    assert_eq!(trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"]);
}

#[tokio::test]
async fn http2_clients_and_upstreams_work_with_many_requests_at_once() {
    let backend = backend(|request: Request<Incoming>| async move {
        reply(200, format!("{:?} {}", request.version(), request.uri().path()))
    })
    .await;
    for (scheme, version) in [("http", Version::HTTP_11), ("h2c", Version::HTTP_2)] {
        let world = World::before(&format!("{scheme}://{backend}")).await;
        let client = http2(&world).await;
        let asks = (0..100).map(|number| {
            let mut client = client.clone();
            async move {
                let sent = Request::get(format!("http://shop.example.com/gateway/n/{number}"))
                    .body(nothing())
                    .unwrap();
                let answer = client.send_request(sent).await.unwrap();
                (number, answer.into_body().collect().await.unwrap().to_bytes())
            }
        });
        let answers: Vec<_> = stream::iter(asks).buffer_unordered(100).collect().await;
        assert_eq!(answers.len(), 100);
        for (number, body) in answers {
            assert_eq!(body, format!("{version:?} /n/{number}"));
        }
    }
}

#[tokio::test]
async fn an_answer_without_length_ends_where_the_upstream_ends_it() {
    let backend = backend(|_| async {
        let frames =
            stream::iter(["a", "b", "c"]).map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    })
    .await;
    let world = World::before(&format!("http://{backend}")).await;
    let answer = world.get("/x", &[]).await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert!(answer.body.ends_with("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn heads_without_bodies_pass_for_head_and_not_modified() {
    let backend = backend(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/304" => Response::builder().status(304).header("etag", "x").body(nothing()).unwrap(),
            _ => reply(200, "12345"),
        }
    })
    .await;
    let world = World::before(&format!("http://{backend}")).await;
    let mut client = http1(&world).await;
    let answer =
        client.send_request(request("/gateway/x").method("HEAD").body(nothing()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-length"]), (200, &"5".parse().unwrap()));
    client.ready().await.unwrap();
    let answer = client.send_request(request("/gateway/304").body(nothing()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["etag"]), (304, &"x".parse().unwrap()));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_upstream_request_with_it() {
    let (ended, mut told) = mpsc::channel::<()>(1);
    let ended = Arc::new(Mutex::new(Some(ended)));
    let backend = backend(move |_| {
        let ended = ended.lock().take();
        async move {
            // The stream owns the sender, so dropping the answer is what closes the channel.
            let endless = stream::unfold(ended, |ended| async {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from("more"))), ended))
            });
            Response::new(BodyExt::boxed(StreamBody::new(endless)))
        }
    })
    .await;
    let world = World::before(&format!("http://{backend}")).await;
    let mut client = http1(&world).await;
    let mut body =
        client.send_request(request("/gateway/x").body(nothing()).unwrap()).await.unwrap().into_body();
    assert!(part(&mut body).await.is_some());
    drop((body, client));
    let closed = tokio::time::timeout(PATIENCE, told.recv()).await;
    assert_eq!(closed.expect("the upstream still sends"), None);
}

#[tokio::test]
async fn requests_under_way_end_in_peace_when_the_server_stops() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let backend = backend(move |_| {
        let mut wait = wait.clone();
        async move {
            let _ = wait.wait_for(|go| *go).await;
            reply(200, "late")
        }
    })
    .await;
    let world =
        World::start(Setup::routes([json!({"pattern": "/*", "backend_url": format!("http://{backend}")})]))
            .await;
    let mut client = http1(&world).await;
    let answer = client.send_request(request("/gateway/x").body(nothing()).unwrap());
    let stopping = async {
        // Until the request is under way nothing is known to be in flight.
        while go.receiver_count() < 2 {
            tokio::task::yield_now().await;
        }
        world.stop.cancel();
        go.send(true).unwrap();
    };
    let (answer, ()) = tokio::join!(answer, stopping);
    assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), "late");
}
