//! Components of `wasi:http`.

use bytes::Bytes;
use flagbase_core::functions::{Body, BodyFault, Fault};
use futures_util::StreamExt as _;
use http::Request;

use crate::{
    own::event,
    world::{World, hasty, parts, settings},
};

#[tokio::test]
async fn a_proxy_component_answers_at_once() {
    let proxy = World::new().deploy("proxy", settings()).await;
    let answer = proxy.get("/").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "Hello from wasi:http.\n"));
    assert_eq!(answer.header("content-type"), "text/plain");
    let response = proxy.serve(Request::get("/").body(Body::Empty).unwrap()).await.unwrap();
    assert!(matches!(response.body(), Body::Whole(_)), "{response:?}");
}

#[tokio::test]
async fn bodies_go_through_it_in_parts() {
    let proxy = World::new().deploy("proxy", settings()).await;
    let part = Bytes::from(vec![7; 64 << 10]);
    let sent = parts((0..16).map(|_| Ok(part.clone())).collect());
    let echo = proxy.post("/echo", sent).await.unwrap();
    assert_eq!(echo.body.len(), 1 << 20);
    assert!(echo.body.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn headers_reach_it_as_they_came() {
    let proxy = World::new().deploy("proxy", settings()).await;
    let request =
        Request::get("/names").header("host", "example.com").header("x-one", "1").header("x-one", "2");
    let answer = proxy.ask(request.body(Body::Empty).unwrap()).await.unwrap();
    assert!(answer.text().contains("x-one: 1\nx-one: 2\n"), "{}", answer.text());
}

#[tokio::test]
async fn an_answer_begins_before_its_guest_has_ended() {
    let proxy = World::new().deploy("proxy", settings()).await;
    let response = proxy.serve(Request::get("/slow").body(Body::Empty).unwrap()).await.unwrap();
    let Body::Stream(mut body, None) = response.into_body() else { panic!("it was there at once") };
    assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"begun"))));
    assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b" and ended"))));
    assert_eq!(body.next().await, None);
}

#[tokio::test]
async fn a_guest_that_breaks_midway_breaks_off_the_body() {
    let proxy = World::new().deploy("proxy", settings()).await;
    // Nobody has seen the head yet when everything happens at once; then it is a fault of the call.
    assert!(matches!(proxy.get("/midway").await, Err(Fault::Trapped(_) | Fault::Body(BodyFault::Broken(_)))));
    let stuck = World::new().deploy("proxy", hasty()).await;
    assert!(matches!(stuck.get("/stuck").await, Err(Fault::Body(BodyFault::Broken(_)))));
    assert!(stuck.lines().iter().any(|line| line.contains("broke off")), "{:?}", stuck.lines());
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let proxy = World::new().deploy("proxy", settings()).await;
    assert!(matches!(proxy.get("/silent").await, Err(Fault::BadAnswer(_))));
    assert!(matches!(proxy.get("/error").await, Err(Fault::Reported(_))));
    assert!(matches!(proxy.get("/trap").await, Err(Fault::Trapped(_))));
    assert!(matches!(proxy.get("/short").await, Err(Fault::BadAnswer(_) | Fault::Body(_))));
    assert_eq!(proxy.deliver(event("orders")).await, Err(Fault::NotServed { version: 1, what: "events" }));
}

#[tokio::test]
async fn a_flood_ends_at_the_limit_and_a_loop_at_the_deadline() {
    let proxy = World::new().deploy("proxy", hasty()).await;
    assert!(matches!(proxy.get("/loop").await, Err(Fault::TimedOut(_))));
    let flood = proxy.get("/flood").await.unwrap_err();
    assert!(matches!(flood, Fault::LimitReached(_) | Fault::Body(_) | Fault::TimedOut(_)), "{flood}");
    for path in ["/headers", "/leak"] {
        let fault = proxy.get(path).await.unwrap_err();
        let stopped = matches!(fault, Fault::Trapped(_) | Fault::LimitReached(_) | Fault::TimedOut(_));
        assert!(stopped, "{path}: {fault}");
    }
    assert_eq!(proxy.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_guest_along() {
    let world = World::with(crate::world::CLOSED, 1, std::time::Duration::from_mins(1));
    let proxy = world.deploy("proxy", settings()).await;
    let response = proxy.serve(Request::get("/stuck").body(Body::Empty).unwrap()).await.unwrap();
    assert!(matches!(proxy.get("/").await, Err(Fault::Exhausted)));
    drop(response);
    assert_eq!(proxy.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_the_guests_fault() {
    let proxy = World::new().deploy("proxy", settings()).await;
    let most = proxy.deployed.settings.limits.request_body;
    let known = Body::Whole(vec![0; 3 << 20].into());
    assert_eq!(proxy.post("/echo", known).await.unwrap_err(), Fault::Body(BodyFault::TooLarge(most)));
    let part = Bytes::from(vec![0; 1 << 20]);
    let unknown = parts((0..3).map(|_| Ok(part.clone())).collect());
    assert!(matches!(proxy.post("/echo", unknown).await, Err(Fault::Body(_)) | Ok(_)));
    // A guest that does not read its input answers as always.
    let endless = Body::Stream(Box::pin(futures_util::stream::repeat(Ok(part))), None);
    assert_eq!(proxy.post("/", endless).await.unwrap().status, 200);
}
