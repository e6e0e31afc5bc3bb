//! How long evaluating takes: one JSON line per shape, with the fastest and the median batch.
//!
//! `cargo run --release -p flagbase-engine --example bench_engine`

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use flagbase_engine::{Attributes, Context, Flag, Ruleset, Segment, Slot, Value};
use serde_json::{Value as Json, json};

const BATCHES: usize = 41;
const BATCH: u32 = 200_000;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (shape, body) in shapes() {
        let Some(ruleset) = ruleset(&body) else {
            continue;
        };
        let (fastest, median) = measure(&ruleset);
        let line = json!({ "shape": shape, "ns_per_op": fastest, "median_ns_per_op": median });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn rules(count: usize) -> Json {
    let attributes = ["role", "email", "tenant_id", "plan", "country"];
    let rule = |index: usize| {
        let attribute = attributes
            .get(index % attributes.len())
            .copied()
            .unwrap_or("role");
        json!({ "attribute": attribute, "operator": "equals", "value": format!("nobody-{index}"), "variant": true })
    };
    (0..count).map(rule).collect()
}

fn shapes() -> Vec<(&'static str, Json)> {
    let flag = |member: &str, value: Json| {
        let mut flag = json!({ "key": "f", "enabled": true });
        if let Some(flag) = flag.as_object_mut() {
            flag.insert(member.to_owned(), value);
        }
        flag
    };
    let role = |operator: &str, value: Json| json!([{ "attribute": "role", "operator": operator, "value": value, "variant": true }]);
    let listed: Vec<String> = (0..1000).map(|number| format!("role-{number}")).collect();
    let mut five_and_rollout = flag("rules", rules(5));
    if let Some(flag) = five_and_rollout.as_object_mut() {
        flag.insert("rollout".into(), json!({ "percentage": 50 }));
    }
    vec![
        ("static", flag("default_value", json!(true))),
        ("1 rule", flag("rules", role("equals", json!("developer")))),
        ("5 non-matching rules", flag("rules", rules(5))),
        ("10 non-matching rules", flag("rules", rules(10))),
        ("rollout", flag("rollout", json!({ "percentage": 50 }))),
        ("5 rules and rollout", five_and_rollout),
        (
            "segment",
            flag(
                "rules",
                json!([{ "operator": "in_segment", "value": "beta", "variant": true }]),
            ),
        ),
        ("in 1000 values", flag("rules", role("in", json!(listed)))),
        ("contains", flag("rules", role("contains", json!("admin")))),
        (
            "pattern",
            flag("rules", role("matches", json!("^(admin|owner)$"))),
        ),
    ]
}

fn ruleset(body: &Json) -> Option<Ruleset> {
    let condition =
        json!({ "attribute": "email", "operator": "ends_with", "value": "@example.org" });
    let segment = json!({ "key": "beta", "included": ["carol"], "conditions": [[condition]] });
    let segment = Segment::from_json(&segment).ok()?;
    let ruleset = Ruleset::new(Arc::new(Attributes::new(["plan", "country"])));
    ruleset
        .put_segment(&segment)
        .ok()?
        .put_flag(&Flag::from_json(body).ok()?, 1)
        .ok()
}

/// Nanoseconds of the fastest and of the median batch.
fn measure(ruleset: &Ruleset) -> (f64, f64) {
    let mut context = Context::new();
    context.set(
        Slot::USER_ID,
        Value::Str("9f2c1e6a-40d7-4a53-8a57-0c6f4c1a1f0e"),
    );
    context.set(Slot::EMAIL, Value::Str("alice@example.com"));
    context.set(Slot::ROLE, Value::Str("developer"));
    context.set(Slot::TENANT_ID, Value::Str("default"));
    for (name, value) in [("plan", "enterprise"), ("country", "NL")] {
        if let Some(slot) = ruleset.attributes().slot(name) {
            context.set(slot, Value::Str(value));
        }
    }
    let Some(flag) = ruleset.flag("f") else {
        return (f64::NAN, f64::NAN);
    };
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..BATCH {
                black_box(ruleset.evaluate(black_box(flag), black_box(&context)));
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    let at = |index: usize| {
        batches
            .get(index)
            .map_or(f64::NAN, |time| (time * 100.0).round() / 100.0)
    };
    (at(0), at(BATCHES / 2))
}
