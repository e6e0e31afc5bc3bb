//! Guests of our own interfaces.

use bytes::Bytes;
use flagbase_core::functions::{Body, BodyFault, Event, Fault, Occasion};
use jiff::Timestamp;

use crate::world::{World, parts, settings};

pub(crate) fn event(subject: &str) -> Occasion {
    Occasion::Event(Event {
        id: "e1".to_owned(),
        subject: subject.to_owned(),
        kind: String::new(),
        time: Timestamp::UNIX_EPOCH,
        content_type: "application/json".to_owned(),
        data: Bytes::from_static(b"{\"order\":7}"),
        attempt: 1,
    })
}

pub(crate) fn tick(schedule: &str) -> Occasion {
    Occasion::Tick { schedule: schedule.into(), at: Timestamp::UNIX_EPOCH }
}

#[tokio::test]
async fn requests_are_answered_with_what_they_bring() {
    let native = World::new().deploy("native", settings()).await;
    assert_eq!(native.get("/hello").await.unwrap().text(), "Hello from a function.\n");
    assert_eq!(native.get("/variable").await.unwrap().text(), "hi");
    assert_eq!(native.get("/flag").await.unwrap().text(), "none");
    let every: Vec<u8> = (0..=255).collect();
    let echo = native.post("/echo?x=1", Body::Whole(every.clone().into())).await.unwrap();
    assert_eq!((echo.header("x-method"), echo.header("x-target")), ("POST", "/echo?x=1"));
    assert_eq!(echo.body, every);
}

#[tokio::test]
async fn what_it_logs_is_kept() {
    let native = World::new().deploy("native", settings()).await;
    assert_eq!(native.get("/log").await.unwrap().status, 204);
    assert_eq!(native.lines(), ["something happened"]);
}

#[tokio::test]
async fn events_and_ticks_arrive_and_may_be_refused() {
    let native = World::new().deploy("native", settings()).await;
    assert_eq!(native.deliver(event("orders.created")).await, Ok(()));
    assert_eq!(native.deliver(tick("0 3 * * *")).await, Ok(()));
    assert_eq!(native.lines(), ["orders.created", "1970-01-01T00:00:00Z"]);
    let refused = native.deliver(event("fail.always")).await;
    assert_eq!(refused, Err(Fault::Reported("this subject is not liked".to_owned())));
    assert!(matches!(native.deliver(tick("never")).await, Err(Fault::Reported(_))));
}

#[tokio::test]
async fn a_body_that_is_too_large_or_breaks_off_never_reaches_a_guest() {
    let native = World::new().deploy("native", settings()).await;
    let most = native.deployed.settings.limits.request_body;
    let large = Body::Whole(vec![0; 3 << 20].into());
    assert_eq!(native.post("/", large).await.unwrap_err(), Fault::Body(BodyFault::TooLarge(most)));
    let broken = parts(vec![Ok(Bytes::from_static(b"x")), Err(BodyFault::TooSlow)]);
    assert_eq!(native.post("/", broken).await.unwrap_err(), Fault::Body(BodyFault::TooSlow));
}
