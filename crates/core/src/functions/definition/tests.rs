use proptest::prelude::*;
use serde_json::json;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "a test reads better when it gives the JSON away")]
fn read(body: Value) -> Result<Definition, Vec<Fault>> {
    Definition::named("hello").with_settings(&body)
}

fn version(number: u32) -> Version {
    Version {
        number,
        digest: Digest::of(&number.to_le_bytes()),
        shape: Shape::Component,
        file: "hello.wasm".into(),
        size: 4,
        serves: vec![Serves::Requests],
        imports: vec!["flagbase:faas/log".into()],
        created_at: Timestamp::UNIX_EPOCH,
        created_by: "alice@example.com".into(),
        note: String::new(),
    }
}

#[test]
fn a_function_of_which_nothing_is_said_may_evaluate_flags_and_keep_values() {
    let hello = read(json!({})).unwrap();
    assert_eq!(hello, Definition::named("hello"));
    assert!(hello.settings.grants.flags && hello.settings.grants.keyvalue == ["default"]);
    assert!(hello.settings.grants.outbound.is_empty() && !hello.settings.grants.secrets);
    assert_eq!(hello.settings.limits, Limits::default());
    assert_eq!(hello.settings_json()["limits"], json!({}), "only what differs is written");
}

#[test]
fn what_is_said_is_kept_and_reads_back() {
    let said = json!({
        "name": "hello",
        "description": "Greets.",
        "flag_key": "hello-version",
        "require": {"roles": ["developer"]},
        "forward_token": true,
        "limits": {"timeout": "2s", "memory": "64MiB", "concurrency": 3, "queue": 0, "log": "1KiB"},
        "grants": {"flags": false, "keyvalue": ["*"], "publish": ["orders.>"], "outbound": ["https://*.example.com"],
            "buckets": ["uploads"], "secrets": true},
        "environment": {"GREETING": "hi"},
        "warm": true,
        "triggers": [
            {"name": "nightly", "schedule": "0 3 * * *", "timezone": "Europe/Berlin"},
            {"name": "orders", "subject": "orders.>", "attempts": 5},
            {"name": "images", "bucket": "uploads", "prefix": "img/", "events": ["created"], "attempts": 2},
        ],
    });
    let hello = read(said.clone()).unwrap();
    assert_eq!(Value::Object(hello.settings_json()), said);
    assert_eq!(Definition::from_stored(&hello.to_json()).unwrap(), hello);
}

#[test]
fn settings_do_not_touch_versions_even_when_the_body_says_so() {
    let mut hello = Definition::named("hello");
    hello.versions = vec![version(1), version(2)];
    (hello.current, hello.last_number, hello.before) = (Some(2), 7, vec![1]);
    let mut shown = hello.to_json();
    shown["current"] = json!(1);
    shown["versions"] = json!([]);
    shown["description"] = json!("changed");
    shown["revision"] = json!(9);
    let changed = hello.with_settings(&shown).unwrap();
    assert_eq!(changed, Definition { description: "changed".into(), ..hello });
}

#[test]
fn every_fault_is_told_with_its_place() {
    let faults = read(json!({
        "name": "other",
        "flag": "x",
        "limits": {"timeout": "1h", "memory": "10", "concurrency": 0, "speed": 1},
        "grants": {"publish": ["flagbase.flag.*", "a..b"], "outbound": ["example.com"], "keyvalue": ["Ä"]},
        "environment": {"1X": "a", "OK": 1},
        "require": "nobody",
        "triggers": [
            {"name": "a", "schedule": "every day"},
            {"name": "a", "subject": ">"},
            {"name": "c"},
            {"name": "d", "schedule": "* * * * *", "timezone": "Mars/Olympus"},
            {"name": "e", "schedule": "* * * * * *"},
            {"name": "f", "bucket": "b", "events": ["moved"]},
            {"name": "g", "subject": "flagbase.flags.>"},
            {"name": "h", "subject": "a", "attempts": 0},
        ],
    }))
    .unwrap_err();
    let places: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    for place in [
        "/name",
        "/flag",
        "/limits/timeout",
        "/limits/memory",
        "/limits/concurrency",
        "/limits/speed",
        "/grants/publish/0",
        "/grants/publish/1",
        "/grants/outbound/0",
        "/grants/keyvalue/0",
        "/environment/1X",
        "/environment/OK",
        "/require",
        "/triggers/0/schedule",
        "/triggers/1/subject",
        "/triggers/1/name",
        "/triggers/2",
        "/triggers/3/timezone",
        "/triggers/4/schedule",
        "/triggers/5/events/0",
        "/triggers/6/subject",
        "/triggers/7/attempts",
    ] {
        assert!(places.contains(&place), "{place} is missing: {places:?}");
    }
    assert_eq!(places.len(), 22, "{places:?}");
}

#[test]
fn a_name_is_a_word_of_small_letters() {
    for name in ["a", "hello-2", "0"] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "-a", "Hello", "a_b", "a.b", "ä", &"a".repeat(64)] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn a_schedule_comes_to_its_moments_in_its_own_time_zone() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let nightly = |timezone: &str| On::Schedule { schedule: "30 2 * * *".into(), timezone: timezone.into() };
    assert_eq!(nightly("UTC").next(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T02:30:00Z")));
    assert_eq!(
        nightly("America/New_York").next(at("2026-07-01T00:00:00Z")),
        Some(at("2026-07-01T06:30:00Z"))
    );
    // The clocks are put forward at two: half past two does not exist on that day, and is not left out.
    let berlin = nightly("Europe/Berlin").next(at("2026-03-28T12:00:00Z")).unwrap();
    assert!(berlin > at("2026-03-29T00:59:00Z") && berlin < at("2026-03-29T02:00:00Z"), "{berlin}");
    let hourly = On::Schedule { schedule: "@hourly".into(), timezone: "UTC".into() };
    assert_eq!(
        hourly.next(at("2026-01-01T00:00:00Z")),
        Some(at("2026-01-01T01:00:00Z")),
        "never the same moment"
    );
    let never = On::Schedule { schedule: "0 0 31 2 *".into(), timezone: "UTC".into() };
    assert_eq!(never.next(at("2026-01-01T00:00:00Z")), None);
    assert_eq!(On::Subject { subject: "a".into(), attempts: 1 }.next(at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn rolling_back_again_and_again_goes_further_back() {
    let mut hello = Definition::named("hello");
    hello.versions = (1..=4).map(version).collect();
    assert_eq!(hello.previous(), None);
    for number in 1..=4 {
        hello.promote(number);
    }
    hello.forget(2);
    let mut went = Vec::new();
    while let Some(number) = hello.previous() {
        hello.roll_back(number);
        went.push(number);
    }
    assert_eq!((went, hello.current), (vec![3, 1], Some(1)));
}

#[test]
fn a_stored_function_that_names_a_version_it_has_not_makes_no_sense() {
    let mut stored = Definition::named("hello").to_json();
    stored["current"] = json!(3);
    let faults = Definition::from_stored(&stored).unwrap_err();
    assert_eq!(faults[0].pointer, "/current");
}

proptest! {
    #[test]
    fn whatever_limits_are_taken_read_back(
        millis in 1_u64..900_000, memory in (1_u64 << 20)..(4 << 30), body in 0_u64..(1 << 30), n in 1_u32..10_000,
    ) {
        let limits = json!({
            "timeout": format!("{millis}ms"), "memory": memory, "request_body": format!("{body}B"),
            "response_body": body, "outbound_requests": n, "concurrency": n, "queue": n,
        });
        let hello = read(json!({"limits": limits})).unwrap();
        prop_assert_eq!(hello.settings.limits.memory, memory);
        let again = hello.with_settings(&Value::Object(hello.settings_json())).unwrap();
        prop_assert_eq!(again, hello);
    }

    #[test]
    fn no_text_makes_reading_fail_badly(name in "\\PC{0,20}", schedule in "\\PC{0,30}", rule in "\\PC{0,40}") {
        let body = json!({"environment": {&name: "x"}, "grants": {"outbound": [rule], "publish": [&name]},
            "limits": {"memory": &name, "timeout": &schedule}, "triggers": [{"name": name, "schedule": schedule}]});
        if let Ok(read) = Definition::named("hello").with_settings(&body) {
            prop_assert_eq!(Definition::from_stored(&read.to_json()).unwrap(), read);
        }
    }
}
