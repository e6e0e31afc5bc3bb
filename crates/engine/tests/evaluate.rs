//! What callers get, from the definition to the answer.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::collections::HashMap;
use std::sync::Arc;

use flagbase_engine::{Attributes, Context, Flag, Reason, Ruleset, Slot, Value};
use proptest::prelude::*;
use serde_json::json;

fn ruleset(body: &serde_json::Value) -> Ruleset {
    let flag = Flag::from_json(body).unwrap();
    let attributes = Attributes::new(["plan", "age", "x3", "x4", "x5", "x6", "x7", "x8", "x9"]);
    Ruleset::new(Arc::new(attributes)).put_flag(&flag, 1).unwrap()
}

/// Name of the variant and reason for a caller with these attributes.
fn get(ruleset: &Ruleset, values: &[(&str, Value<'_>)]) -> (String, Reason) {
    let mut context = Context::new();
    for (name, value) in values {
        context.set(ruleset.attributes().slot(name).unwrap(), *value);
    }
    let evaluation = ruleset.evaluate(ruleset.flag("f").unwrap(), &context);
    (evaluation.variant.name.to_string(), evaluation.reason)
}

/// Variants whose values are their names.
fn named(names: &[&str]) -> Vec<serde_json::Value> {
    names.iter().map(|name| json!({ "name": name, "value": name })).collect()
}

fn user(id: &str) -> [(&'static str, Value<'_>); 1] {
    [("user_id", Value::Str(id))]
}

#[test]
fn a_developer_sees_what_others_do_not() {
    let ruleset = ruleset(&json!({
        "key": "f", "enabled": true, "default_value": false,
        "rules": [{ "attribute": "role", "operator": "equals", "value": "Developer", "variant": true, "priority": 1 }]
    }));
    assert_eq!(get(&ruleset, &[("role", Value::Str("developer"))]), ("true".into(), Reason::TargetingMatch));
    assert_eq!(get(&ruleset, &[("role", Value::Str("user"))]), ("false".into(), Reason::Default));
    assert_eq!(get(&ruleset, &[]), ("false".into(), Reason::Default));
}

#[test]
fn rules_are_tried_by_priority_and_then_by_position() {
    let rule = |operator: &str, variant: &str, priority: i32| json!({ "attribute": "role", "operator": operator, "value": "a", "variant": variant, "priority": priority });
    let variants = json!(["d", "one", "two", "three"].map(|name| json!({ "name": name, "value": name })));
    let body = |rules: serde_json::Value| json!({ "key": "f", "enabled": true, "variants": variants, "default_variant": "d", "rules": rules });
    let caller = [("role", Value::Str("a"))];
    let sorted =
        ruleset(&body(json!([rule("equals", "one", 5), rule("equals", "two", -5), rule("in", "three", -5)])));
    assert_eq!(get(&sorted, &caller).0, "two");
    let missing_matches_not = ruleset(&body(json!([rule("not_equals", "one", 1), rule("equals", "two", 2)])));
    assert_eq!(get(&missing_matches_not, &caller).0, "two");
}

#[test]
fn an_absent_attribute_fits_no_comparison_but_that_it_is_absent() {
    for (operator, value, expected) in [
        ("equals", json!("a"), "false"),
        ("not_equals", json!("a"), "false"),
        ("not_in", json!("a"), "false"),
        ("not_contains", json!("a"), "false"),
        ("not_cidr", json!("10.0.0.0/8"), "false"),
        ("exists", json!(true), "false"),
        ("exists", json!(false), "true"),
    ] {
        let rule = json!({ "attribute": "plan", "operator": operator, "value": value, "variant": true });
        let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "rules": [rule] }));
        assert_eq!(get(&ruleset, &user("u")).0, expected, "{operator} {value}");
    }
}

#[test]
fn negated_comparisons_with_a_list_hold_when_no_element_fits() {
    let rule =
        json!({ "attribute": "groups", "operator": "not_in", "value": "banned, guests", "variant": true });
    let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "rules": [rule] }));
    let groups: [Arc<str>; 2] = ["staff".into(), "Guests".into()];
    assert_eq!(get(&ruleset, &[("groups", Value::List(&groups[..1]))]).0, "true");
    assert_eq!(get(&ruleset, &[("groups", Value::List(&groups))]).0, "false");
    assert_eq!(get(&ruleset, &[("groups", Value::List(&[]))]).0, "true");
}

#[test]
fn all_conditions_of_a_rule_have_to_hold() {
    let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "rules": [{ "variant": true, "conditions": [
        { "attribute": "role", "operator": "equals", "value": "qa" },
        { "attribute": "age", "operator": "gte", "value": 18 },
        { "attribute": "email", "operator": "ends_with", "value": "@example.com" }
    ] }] }));
    let mut values = vec![
        ("role", Value::Str("QA")),
        ("age", Value::Number(18.0)),
        ("email", Value::Str("a@Example.com")),
    ];
    assert_eq!(get(&ruleset, &values).0, "true");
    values[1].1 = Value::Str("17.9");
    assert_eq!(get(&ruleset, &values).0, "false");
}

#[test]
fn the_order_of_deciding_is_off_then_targets_then_rules_then_rollout_then_default() {
    let mut body = json!({
        "key": "f", "enabled": true, "default_variant": "d", "off_variant": "o",
        "variants": named(&["o", "t", "r", "s", "d"]),
        "targets": [{ "variant": "t", "values": ["alice"] }],
        "rules": [{ "attribute": "role", "operator": "exists", "variant": "r" }],
        "rollout": { "bucket_by": "tenant_id", "weights": [{ "variant": "s", "weight": 1 }] }
    });
    let all = [("user_id", Value::Str("ALICE")), ("role", Value::Str("x")), ("tenant_id", Value::Str("y"))];
    let on = ruleset(&body);
    assert_eq!(get(&on, &all), ("t".into(), Reason::TargetingMatch));
    assert_eq!(get(&on, &all[1..]), ("r".into(), Reason::TargetingMatch));
    assert_eq!(get(&on, &all[2..]), ("s".into(), Reason::Split));
    assert_eq!(get(&on, &[]), ("d".into(), Reason::Default));
    body["enabled"] = json!(false);
    assert_eq!(get(&ruleset(&body), &all), ("o".into(), Reason::Disabled));
}

#[test]
fn only_a_flag_that_is_the_same_for_everybody_is_static() {
    let reason = |extra: serde_json::Value| {
        let mut body = json!({ "key": "f", "enabled": true });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        get(&ruleset(&body), &[]).1
    };
    assert_eq!(reason(json!({})), Reason::Static);
    assert_eq!(reason(json!({ "targets": [{ "variant": true, "values": ["u"] }] })), Reason::Default);
    assert_eq!(reason(json!({ "rollout": { "percentage": 50 } })), Reason::Default);
}

#[test]
fn a_rule_can_serve_a_rollout_of_its_own() {
    let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "default_value": true, "rules": [
        { "attribute": "role", "operator": "exists", "rollout": { "percentage": 0 } }
    ] }));
    let role = ("role", Value::Str("x"));
    assert_eq!(get(&ruleset, &[role, user("u")[0]]), ("false".into(), Reason::Split));
    assert_eq!(get(&ruleset, &[role]), ("true".into(), Reason::Default));
}

#[test]
fn shares_are_as_large_as_their_weights_say() {
    let ruleset = ruleset(&json!({
        "key": "f", "enabled": true, "default_variant": "a",
        "variants": named(&["a", "b", "c", "none"]),
        "rollout": { "weights": [
            { "variant": "a", "weight": 1 }, { "variant": "none", "weight": 0 },
            { "variant": "b", "weight": 2 }, { "variant": "c", "weight": 7 }
        ] }
    }));
    let mut counts: HashMap<String, u32> = HashMap::new();
    for number in 0..20_000 {
        let id = format!("user-{number}");
        *counts.entry(get(&ruleset, &user(&id)).0).or_default() += 1;
    }
    assert_eq!(counts.get("none"), None);
    for (name, expected) in [("a", 2000), ("b", 4000), ("c", 14_000)] {
        // Five standard deviations of the smallest share.
        assert!(counts[name].abs_diff(expected) < 300, "{counts:?}");
    }
}

#[test]
fn the_salt_decides_who_falls_where_so_that_flags_are_independent() {
    let of = |salt: &str| {
        ruleset(&json!({ "key": "f", "enabled": true, "salt": salt, "rollout": { "percentage": 50 } }))
    };
    let (one, two) = (of("one"), of("two"));
    let same = (0..2000).filter(|number| {
        let id = number.to_string();
        get(&one, &user(&id)).0 == get(&two, &user(&id)).0
    });
    let same = same.count();
    assert!((850..1150).contains(&same), "{same} of 2000");
}

#[test]
fn attributes_beyond_the_inline_slots_work_alike() {
    let rule = json!({ "attribute": "x9", "operator": "equals", "value": "a", "variant": true });
    let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "rules": [rule] }));
    assert_eq!(get(&ruleset, &[("x9", Value::Str("A"))]).0, "true");
    assert_eq!(get(&ruleset, &[("x8", Value::Str("A"))]).0, "false");
}

#[test]
fn what_is_answered_is_serialised_once() {
    let value = json!({ "colour": "blue", "sizes": [1, 2.5] });
    let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "default_value": value }));
    let context = Context::new();
    let variant = ruleset.evaluate(ruleset.flag("f").unwrap(), &context).variant;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&variant.json).unwrap(), value);
    assert_eq!((variant.index, variant.value.clone()), (0, value));
}

#[test]
fn buckets_are_those_that_were_published() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/bucketing.json")).unwrap();
    let hashes = vectors["murmur3_32"].as_array().unwrap();
    for vector in hashes {
        let input = vector["input"].as_str().unwrap();
        assert_eq!(json!(flagbase_engine::murmur3_32(input.as_bytes(), 0)), vector["hash"], "{vector}");
    }
    let buckets = vectors["buckets"].as_array().unwrap();
    for vector in buckets {
        let (salt, unit) = (vector["salt"].as_str().unwrap(), vector["unit"].as_str().unwrap());
        assert_eq!(json!(flagbase_engine::bucket(salt, unit)), vector["bucket"], "{vector}");
    }
    let rollouts = vectors["rollouts"].as_array().unwrap();
    for vector in rollouts {
        let mut body = vector["flag"].clone();
        body["key"] = json!("f");
        body["enabled"] = json!(true);
        let ruleset = ruleset(&body);
        for (unit, variant) in vector["expected"].as_object().unwrap() {
            assert_eq!(json!(get(&ruleset, &user(unit)).0), *variant, "{unit} {vector}");
        }
    }
    assert!(hashes.len() >= 10 && buckets.len() >= 20 && rollouts.len() >= 3);
}

proptest! {
    #[test]
    fn raising_the_first_weight_only_moves_units_into_the_first_variant(
        before in 0_u32..=100, more in 0_u32..=100, units in prop::collection::vec(".{1,12}", 1..30),
    ) {
        let after = (before + more).min(100);
        let of = |percentage: u32| ruleset(&json!({ "key": "f", "enabled": true, "rollout": { "percentage": percentage } }));
        let (first, second) = (of(before), of(after));
        for unit in &units {
            if get(&first, &user(unit)).0 == "true" {
                prop_assert_eq!(get(&second, &user(unit)).0, "true");
            }
        }
    }

    #[test]
    fn the_same_unit_always_falls_where_it_fell(unit in ".{0,40}", salt in "[a-z]{1,9}") {
        let body = json!({ "key": "f", "enabled": true, "salt": salt, "rollout": { "percentage": 37.5 } });
        let expected = if flagbase_engine::bucket(&salt, &unit) < 3750 { "true" } else { "false" };
        prop_assert_eq!(get(&ruleset(&body), &user(&unit)), (expected.to_owned(), Reason::Split));
    }

    #[test]
    fn no_value_of_any_attribute_makes_evaluation_or_explanation_fail(
        text in ".{0,20}", number in any::<f64>(), truth: bool,
        operator in prop::sample::select(vec![
            ("equals", "a"), ("in", "a,b,c,d,e,f,g,h,i"), ("contains", "ä"), ("matches", "^.+$"), ("gt", "1"),
            ("semver_gte", "1.2"), ("before", "2026-01-01"), ("cidr", "::/0"), ("exists", "true"),
            ("ends_with", "ß"), ("starts_with", "İ"), ("not_equals", ""),
        ]),
    ) {
        let (operator, value) = operator;
        let rule = json!({ "attribute": "plan", "operator": operator, "value": value, "rollout": { "percentage": 50, "bucket_by": "plan" } });
        let ruleset = ruleset(&json!({ "key": "f", "enabled": true, "rules": [rule] }));
        let list: [Arc<str>; 2] = [text.as_str().into(), "a".into()];
        for value in [Value::Str(&text), Value::Number(number), Value::Bool(truth), Value::List(&list)] {
            let mut context = Context::new();
            context.set(ruleset.attributes().slot("plan").unwrap(), value);
            let flag = ruleset.flag("f").unwrap();
            let told = ruleset.explain(flag, &context);
            let decided = ruleset.evaluate(flag, &context);
            prop_assert_eq!(&*told.variant, &*decided.variant.name);
            prop_assert_eq!(told.rules[0].matched, told.rules[0].decided);
            prop_assert_eq!(told.rules[0].matched, told.rules[0].conditions[0].matched);
        }
    }
}

#[test]
fn well_known_slots_need_no_looking_up() {
    let mut context = Context::new();
    context.set(Slot::USER_ID, Value::Str("alice"));
    assert_eq!(context.get(Slot::USER_ID), Some(Value::Str("alice")));
    assert_eq!(context.get(Slot::EMAIL), None);
}
