use std::sync::Arc;

use flagbase_engine::{Attributes, Flag, Ruleset};
use serde_json::json;

use super::*;
use crate::environments::{Environment, EnvironmentKind};

fn environment() -> EnvironmentSnapshot {
    let definition = Environment {
        key: "e".into(),
        name: String::new(),
        kind: EnvironmentKind::default(),
        attributes: Vec::new(),
    };
    let mut environment = EnvironmentSnapshot::new(definition);
    let flag =
        Flag::from_json(&json!({"key": "checkout", "name": "c", "enabled": true, "default_value": false}));
    environment.rules = Ruleset::new(Arc::new(Attributes::new([]))).put_flag(&flag.unwrap(), 1).unwrap();
    environment
}

fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn reading(body: &Value) -> Result<(Vec<Event>, bool), Refusal> {
    let environment = environment();
    read(body, &Against { environment: &environment, now: now(), retention: SignedDuration::from_hours(720) })
}

fn event() -> Value {
    json!({"flag_key": "checkout", "variant": "true", "event_type": "error", "value": 1})
}

fn with(name: &str, value: Value) -> Value {
    let mut event = event();
    event.as_object_mut().unwrap().insert(name.into(), value);
    event
}

#[test]
fn the_first_apis_event_is_taken_as_it_is() {
    let (events, single) = reading(&event()).unwrap();
    assert!(single);
    assert_eq!((events[0].value, events[0].at, events[0].unit.is_none()), (Some(1.0), now(), true));
}

#[test]
fn lists_come_bare_or_wrapped() {
    for body in [json!([event(), event()]), json!({"events": [event(), event()]})] {
        let (events, single) = reading(&body).unwrap();
        assert_eq!((events.len(), single), (2, false));
    }
    assert_eq!(reading(&json!([])).unwrap().0.len(), 0);
}

#[test]
fn what_is_missing_is_named_in_the_words_of_the_first_api() {
    let refusal = reading(&json!({"flag_key": "checkout"})).unwrap_err();
    assert_eq!(refusal.message, "flag_key, variant and event_type are required");
    let places: Vec<_> = refusal.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(places, ["/variant", "/event_type"]);
}

#[test]
fn an_unknown_flag_is_not_found_alone_and_a_fault_in_a_list() {
    let wrong = with("flag_key", "chekout".into());
    let alone = reading(&wrong).unwrap_err();
    assert_eq!((alone.class, alone.code), (Class::NotFound, "flag_not_found"));
    assert!(alone.message.contains("did you mean `checkout`"), "{alone}");
    let listed = reading(&json!({"events": [event(), wrong]})).unwrap_err();
    assert_eq!(listed.class, Class::Invalid);
    assert_eq!(listed.faults[0].pointer, "/events/1/flag_key");
}

#[test]
fn each_nonsense_is_told_with_its_place() {
    let long = "x".repeat(201);
    for (name, value, says) in [
        ("variant", json!("blue"), "has no variant `blue`; it has `true`, `false`"),
        ("variant", json!(true), "expected a text"),
        ("event_type", json!("Error"), "cannot be a type"),
        ("event_type", json!("x".repeat(65)), "cannot be a type"),
        ("event_type", json!("request.2xx"), "counted by the gateway"),
        ("value", json!("1"), "expected a number"),
        ("value", json!(1e300), "must be between"),
        ("unit", json!(long), "longer than 200"),
        ("unit", json!(""), "must not be empty"),
        ("unit", json!("a\nb"), "control characters"),
        ("event_id", json!(long), "longer than 128"),
        ("event_id", json!(7), "expected a text"),
        ("time", json!("noon"), "no RFC 3339 time"),
        ("time", json!(12), "expected a time"),
        ("time", json!("2026-03-01T10:05:01Z"), "in the future"),
        ("time", json!("2026-01-01T00:00:00Z"), "older than 720 hours"),
        ("colour", json!(1), "unknown member"),
    ] {
        let refusal = reading(&json!([with(name, value)])).unwrap_err();
        let fault = refusal.faults.first().unwrap();
        assert_eq!(fault.pointer, format!("/0/{name}"), "{says}");
        assert!(fault.message.contains(says), "{fault}: expected {says}");
    }
}

#[test]
fn a_clock_a_little_ahead_is_taken_for_now_and_the_past_for_itself() {
    let ahead = reading(&with("time", json!("2026-03-01T10:04:00Z"))).unwrap().0;
    let past = reading(&with("time", json!("2026-03-01T11:00:00+02:00"))).unwrap().0;
    assert_eq!(ahead[0].at, now());
    assert_eq!(past[0].at.to_string(), "2026-03-01T09:00:00Z");
}

#[test]
fn one_bad_event_among_many_refuses_them_all_and_every_fault_is_told() {
    let body = json!([event(), with("value", json!("x")), 5, with("unit", json!(""))]);
    let refusal = reading(&body).unwrap_err();
    let places: Vec<_> = refusal.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(places, ["/1/value", "/2", "/3/unit"]);
}

#[test]
fn too_many_and_the_wrong_shape_are_refused() {
    let many = Value::Array(vec![event(); MOST_EVENTS + 1]);
    assert!(reading(&many).unwrap_err().message.contains("at most 1000"));
    for body in [json!("x"), json!(null), json!({"events": 1}), json!({"events": [], "more": 1})] {
        assert_eq!(reading(&body).unwrap_err().class, Class::Invalid, "{body}");
    }
}
