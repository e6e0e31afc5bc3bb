//! What evaluation and compiled flags cost in memory, counted by the allocator itself.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use flagbase_engine::{Attributes, Context, Flag, Reason, Ruleset, Segment, Slot, Value};
use serde_json::json;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(allocations: u64, bytes: i64) {
    // While a thread ends its counters are gone, and nobody asks for them any more.
    let _ = ALLOCATIONS.try_with(|total| total.set(total.get() + allocations));
    let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + bytes));
}

fn bytes(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, bytes(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -bytes(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, bytes(size) - bytes(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn seed_flag(number: usize) -> Flag {
    Flag::from_json(&json!({
        "key": format!("team-{}/feature-{number}", number % 50), "name": "A feature", "enabled": true,
        "default_value": false,
        "rules": [
            { "attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1 },
            { "attribute": "email", "operator": "contains", "value": "@example.com", "variant": true, "priority": 2 },
            { "attribute": "groups", "operator": "in", "value": "beta, staff", "variant": false, "priority": 3 }
        ]
    }))
    .unwrap()
}

fn everything() -> Ruleset {
    let segment = json!({ "key": "beta", "included": ["x"], "conditions": [[{ "attribute": "groups", "operator": "equals", "value": "beta" }]] });
    let many: Vec<String> = (0..5000).map(|number| format!("user-{number}")).collect();
    let rule = |attribute: &str, operator: &str, value: serde_json::Value| json!({ "attribute": attribute, "operator": operator, "value": value, "variant": true });
    let rules = json!([
        rule("role", "equals", json!("Ärztin")), rule("user_id", "in", json!(many)),
        rule("email", "contains", json!("ä")), rule("email", "starts_with", json!("x")),
        rule("age", "gt", json!(99)), rule("age", "in", json!("1,2,3,4,5,6,7,8,9")),
        rule("version", "semver_gte", json!("3.0.0-rc.1")), rule("when", "before", json!("2020-01-01")),
        rule("ip", "cidr", json!("10.0.0.0/8")), rule("groups", "not_contains", json!("E")),
        rule("anonymous", "equals", json!(true)), { "operator": "not_in_segment", "value": "beta", "variant": true },
        rule("tenant_id", "exists", json!(false))
    ]);
    let flags = [
        json!({ "key": "base", "enabled": true, "default_value": true }),
        json!({
            "key": "f", "enabled": true, "rules": rules,
            "targets": [{ "variant": true, "values": ["alice"] }],
            "prerequisites": [{ "flag": "base", "variant": true }],
            "rollout": { "percentage": 50 }
        }),
        json!({ "key": "by-number", "enabled": true, "rollout": { "percentage": 50, "bucket_by": "age" } }),
    ];
    let flags = flags.iter().map(|body| (Flag::from_json(body).unwrap(), 1));
    let attributes = Arc::new(Attributes::new(["age", "version", "when"]));
    let segments = std::iter::once(Segment::from_json(&segment).unwrap());
    let (ruleset, reports) = Ruleset::load(attributes, segments, flags);
    assert_eq!(reports, []);
    ruleset
}

#[test]
fn evaluating_allocates_nothing_whatever_is_compared() {
    let ruleset = everything();
    let slot = |name| ruleset.attributes().slot(name).unwrap();
    let (age, version, when) = (slot("age"), slot("version"), slot("when"));
    let groups: [Arc<str>; 2] = ["beta".into(), "Größen".into()];

    let before = ALLOCATIONS.get();
    let mut context = Context::new();
    context.set(
        Slot::USER_ID,
        Value::Str("somebody-with-a-long-identifier-of-more-than-sixty-four-characters-in-all"),
    );
    context.set(Slot::EMAIL, Value::Str("someone@example.com"));
    context.set(Slot::ROLE, Value::Str("ÄRZTINNEN"));
    context.set(Slot::GROUPS, Value::List(&groups));
    context.set(Slot::TENANT_ID, Value::Str("default"));
    context.set(Slot::ANONYMOUS, Value::Bool(false));
    context.set(Slot::IP, Value::Str("2001:db8::1"));
    context.set(age, Value::Number(41.5));
    context.set(version, Value::Str("2.9.0-beta.11"));
    context.set(when, Value::Str("yesterday"));
    let flag = ruleset.flag("f").unwrap();
    let by_number = ruleset.flag("by-number").unwrap();
    for _ in 0..100 {
        assert_eq!(ruleset.evaluate(flag, &context).reason, Reason::Split);
        assert_eq!(ruleset.evaluate(by_number, &context).reason, Reason::Split);
    }
    let shared = ruleset.clone();
    assert_eq!(ALLOCATIONS.get(), before, "evaluating or sharing allocated");
    assert_eq!(shared.len(), 3);
}

#[test]
fn a_flag_like_those_of_the_first_flagbase_takes_less_than_700_bytes() {
    const FLAGS: usize = 20_000;
    let attributes = Arc::new(Attributes::default());
    let before = LIVE_BYTES.get();
    let flags = (0..FLAGS).map(|number| (seed_flag(number), 1));
    let (ruleset, reports) = Ruleset::load(attributes, std::iter::empty(), flags);
    let each = (LIVE_BYTES.get() - before) / bytes(FLAGS);
    assert_eq!((ruleset.len(), reports.len()), (FLAGS, 0));
    println!("{each} bytes a flag");
    assert!(each < 700, "{each} bytes");
}

#[test]
fn a_flag_added_alone_takes_no_more_than_700_bytes_and_leaves_the_others_shared() {
    let mut ruleset = Ruleset::new(Arc::new(Attributes::default()));
    let before = LIVE_BYTES.get();
    for number in 0..1000 {
        ruleset = ruleset.put_flag(&seed_flag(number), 1).unwrap();
    }
    let each = (LIVE_BYTES.get() - before) / 1000;
    assert!(each < 700, "{each} bytes");
    let edited = ruleset.put_flag(&seed_flag(7), 2).unwrap();
    let copied = LIVE_BYTES.get() - before - each * 1000;
    assert!(copied < 16_384, "{copied} bytes");
    assert_eq!(edited.len(), 1000);
}
