use std::sync::Arc;

use flagbase_core::{
    caller::Caller,
    functions::{Deployed, Digest, Settings, Shape},
};
use jiff::Timestamp;

use super::*;

fn visit() -> Visit {
    Visit {
        deployed: Arc::new(Deployed {
            environment: "production".into(),
            function: "hello".into(),
            version: 2,
            digest: Digest::of(b"code"),
            shape: Shape::Binary,
            settings: Arc::new(Settings::default()),
        }),
        caller: Caller::nobody(),
        id: "call-1".into(),
        trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok(),
        attributes: Arc::new([]),
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Answer { status: status.try_into().unwrap(), headers: map, body: body.into() }
}

#[test]
fn a_request_goes_below_the_agents_path_with_its_call_and_trace() {
    let request = Request::put("/orders/7?full=1").header("x-tenant", "a").body(()).unwrap();
    let sent = of_request(&visit(), request, "{}".into()).unwrap();
    assert_eq!(sent.uri(), "/call/orders/7?full=1");
    assert_eq!(sent.method(), Method::PUT);
    assert_eq!(sent.headers()["flagbase-call"], "call-1");
    assert!(sent.headers()["traceparent"].to_str().unwrap().starts_with("00-4bf9"));
    assert_eq!(sent.headers()["x-tenant"], "a");
    assert!(sent.headers().contains_key(HOST));
}

#[test]
fn a_caller_cannot_pretend_to_be_an_event_nor_reach_the_next_neighbour() {
    let request = Request::get("/")
        .header("flagbase-occasion", "event")
        .header("Flagbase-Call", "forged")
        .header("connection", "x-secret, close")
        .header("x-secret", "1")
        .header("transfer-encoding", "chunked")
        .header("content-length", "7")
        .body(())
        .unwrap();
    let sent = of_request(&visit(), request, Bytes::new()).unwrap();
    for gone in ["flagbase-occasion", "connection", "x-secret", "transfer-encoding", "content-length"] {
        assert!(!sent.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(sent.headers()["flagbase-call"], "call-1");
}

#[test]
fn an_event_is_a_cloud_event_in_binary_form() {
    let event = Event {
        id: "e-1".to_owned(),
        subject: "orders.made\r\nevil: 1".to_owned(),
        kind: String::new(),
        time: Timestamp::UNIX_EPOCH,
        content_type: "application/json".to_owned(),
        data: "{}".into(),
        attempt: 3,
    };
    let sent = of_occasion(&visit(), Occasion::Event(event)).unwrap();
    assert_eq!((sent.method(), sent.uri().path()), (&Method::POST, "/call/"));
    let header = |name: &str| sent.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("flagbase-occasion"), "event");
    assert_eq!(header("flagbase-attempt"), "3");
    assert_eq!(header("ce-type"), "message");
    assert_eq!(header("ce-subject"), "orders.madeevil: 1", "a line break ends no header");
    assert_eq!(header("ce-time"), "1970-01-01T00:00:00Z");
    assert_eq!(header("content-type"), "application/json");
}

#[test]
fn a_tick_says_which_moment_of_which_schedule() {
    let tick = Occasion::Tick { schedule: "0 3 * * *".into(), at: Timestamp::UNIX_EPOCH };
    let sent = of_occasion(&visit(), tick).unwrap();
    assert_eq!(sent.headers()["flagbase-occasion"], "tick");
    assert_eq!(sent.headers()["flagbase-schedule"], "0 3 * * *");
    assert_eq!(sent.headers()["flagbase-at"], "1970-01-01T00:00:00Z");
}

#[test]
fn an_occasion_is_done_when_the_answer_says_so() {
    assert_eq!(to_outcome(&answer(204, &[], "")), Ok(()));
    let refused = to_outcome(&answer(500, &[], "no stock")).unwrap_err();
    assert_eq!(refused, Fault::Reported("status 500: no stock".to_owned()));
    assert_eq!(to_outcome(&answer(302, &[], "")).unwrap_err(), Fault::Reported("status 302".to_owned()));
}

#[test]
fn what_the_agent_says_becomes_a_fault_and_what_the_function_says_does_not() {
    let limits = Limits::default();
    assert!(said(&answer(502, &[], "my own 502"), &limits, (2, "events")).is_none());
    let (fault, whole) =
        said(&answer(502, &[(FAULT, "exited")], "it ended"), &limits, (2, "events")).unwrap();
    assert_eq!((fault, whole), (Fault::Trapped("it ended".to_owned()), false));
    let (fault, whole) =
        said(&answer(413, &[(FAULT, "too_large")], "too large"), &limits, (2, "events")).unwrap();
    assert_eq!((fault, whole), (Fault::LimitReached("too large".to_owned()), true));
    let (fault, _) = said(&answer(504, &[(FAULT, "timeout")], "slow"), &limits, (2, "events")).unwrap();
    assert_eq!(fault, Fault::TimedOut(limits.timeout));
    let (fault, whole) = said(&answer(501, &[(FAULT, "not_served")], ""), &limits, (2, "events")).unwrap();
    assert_eq!((fault, whole), (Fault::NotServed { version: 2, what: "events" }, true));
    let (fault, whole) = said(&answer(500, &[(FAULT, "surprise")], "?"), &limits, (2, "events")).unwrap();
    assert_eq!((fault.code(), whole), ("function_bad_answer", false));
}

#[test]
fn an_answer_keeps_its_headers_but_for_those_between_neighbours() {
    let answer =
        answer(201, &[("x-a", "1"), ("connection", "keep-alive"), ("keep-alive", "timeout=5")], "made");
    let response = to_response(answer);
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-a"]);
    assert!(matches!(response.body(), Body::Whole(bytes) if bytes == "made"));
}
