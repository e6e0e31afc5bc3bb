//! How long evaluating takes: one JSON line per shape, with the fastest and the median batch.
//!
//! `cargo run --release -p flagbase-engine --example bench_engine`

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use flagbase_engine::{Attributes, Context, Flag, Ruleset, Segment, Slot, Value};
use serde_json::{Value as Json, json};

const BATCHES: usize = 1001;
const BATCH: u32 = 10_000;

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
    for (shape, fastest, median) in large() {
        let line = json!({ "shape": shape, "ns_per_op": fastest, "median_ns_per_op": median });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What an environment of a hundred thousand flags takes, each with three rules.
fn large() -> Vec<(&'static str, f64, f64)> {
    const FLAGS: usize = 100_000;
    let body = |number: usize| json!({ "key": format!("team-{}/feature-{number}", number % 100), "enabled": true, "rules": rules(3) });
    let flags: Vec<Flag> = (0..FLAGS).filter_map(|number| Flag::from_json(&body(number)).ok()).collect();
    let start = Instant::now();
    let attributes = Arc::new(Attributes::new(["plan", "country"]));
    let revised = flags.iter().map(|flag| (flag.clone(), 1));
    let (ruleset, _) = Ruleset::load(attributes, std::iter::empty(), revised);
    let load = start.elapsed().as_secs_f64() * 1e9;
    let context = Context::new();
    let mut step = 7;
    let (find, find_median) = batches(101, 1000, || {
        step = (step + 61_843) % FLAGS;
        let key = flags.get(step).map_or("", |flag| &flag.key);
        let found = ruleset.flag(key).map(|flag| ruleset.evaluate(flag, &context).reason);
        black_box(found);
    });
    let (edit, edit_median) = batches(101, 20, || {
        step = (step + 61_843) % FLAGS;
        let edited = flags.get(step).map(|flag| ruleset.put_flag(flag, 2));
        black_box(edited.is_some_and(|edited| edited.is_ok()));
    });
    vec![
        ("load 100000 flags", load, load),
        ("find one of 100000 flags and evaluate 3 rules", find, find_median),
        ("change one of 100000 flags", edit, edit_median),
    ]
}

fn rules(count: usize) -> Json {
    let attributes = ["role", "email", "tenant_id", "plan", "country"];
    let rule = |index: usize| {
        let attribute = attributes.get(index % attributes.len()).copied().unwrap_or("role");
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
        ("segment", flag("rules", json!([{ "operator": "in_segment", "value": "beta", "variant": true }]))),
        ("in 1000 values", flag("rules", role("in", json!(listed)))),
        ("contains", flag("rules", role("contains", json!("admin")))),
        ("pattern", flag("rules", role("matches", json!("^(admin|owner)$")))),
    ]
}

fn ruleset(body: &Json) -> Option<Ruleset> {
    let condition = json!({ "attribute": "email", "operator": "ends_with", "value": "@example.org" });
    let segment = json!({ "key": "beta", "included": ["carol"], "conditions": [[condition]] });
    let segment = Segment::from_json(&segment).ok()?;
    let ruleset = Ruleset::new(Arc::new(Attributes::new(["plan", "country"])));
    ruleset.put_segment(&segment).ok()?.put_flag(&Flag::from_json(body).ok()?, 1).ok()
}

/// Nanoseconds of the fastest and of the median batch.
fn measure(ruleset: &Ruleset) -> (f64, f64) {
    let mut context = Context::new();
    context.set(Slot::USER_ID, Value::Str("9f2c1e6a-40d7-4a53-8a57-0c6f4c1a1f0e"));
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
    batches(BATCHES, BATCH, || {
        black_box(ruleset.evaluate(black_box(flag), black_box(&context)));
    })
}

fn batches(count: usize, size: u32, mut work: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..size {
                work();
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(size)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |index: usize| times.get(index).map_or(f64::NAN, |time| (time * 100.0).round() / 100.0);
    (at(0), at(count / 2))
}
