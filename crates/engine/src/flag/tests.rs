use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Operator, Scalar, Values};

mod arbitrary;

fn read(body: &Value) -> Flag {
    Flag::from_json(body).unwrap_or_else(|faults| panic!("{body}: {}", in_one_line(&faults)))
}

fn faults(body: &Value) -> Vec<String> {
    let found = Flag::from_json(body).expect_err("it should have been refused");
    found.iter().map(ToString::to_string).collect()
}

/// One fault at this place, with a message that has these words.
#[track_caller]
fn refused(body: &Value, pointer: &str, words: &str) {
    let found = Flag::from_json(body).expect_err("it should have been refused");
    let at: Vec<&Fault> = found.iter().filter(|fault| fault.pointer == pointer).collect();
    assert!(at.iter().any(|fault| fault.message.contains(words)), "{found:#?}");
}

fn with(member: &str, value: &Value) -> Value {
    let mut body = json!({ "key": "f" });
    body[member] = value.clone();
    body
}

fn with_rule(rule: &Value) -> Value {
    json!({ "key": "f", "rules": [rule] })
}

#[test]
fn the_flag_of_the_first_flagbase_is_read_and_written_as_it_was() {
    let body = json!({
        "id": "0af3", "created_at": "2024-01-01T00:00:00Z",
        "key": "new-dashboard", "name": "New dashboard", "enabled": true, "default_value": false,
        "rules": [{
            "id": "77", "flag_key": "new-dashboard", "attribute": "role", "operator": "equals",
            "value": "developer", "variant": true, "priority": 1
        }]
    });
    let flag = read(&body);
    assert_eq!(flag.kind, ValueKind::Boolean);
    assert_eq!(flag.default_variant, "false");
    assert_eq!(flag.rules[0].serve, Serve::Variant("true".into()));
    let written = flag.to_json();
    assert_eq!((&written["id"], &written["default_value"]), (&json!("0af3"), &json!(false)));
    assert_eq!(
        written["rules"][0],
        json!({ "id": "77", "attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1 })
    );
    assert_eq!(written.get("variants"), None);
}

#[test]
fn a_flag_has_an_id_when_it_was_given_one() {
    assert_eq!(read(&json!({ "key": "f" })).to_json().get("id"), None);
    for (id, fault) in [(json!("x".repeat(101)), "100"), (json!(7), "string")] {
        let faults = Flag::from_json(&json!({ "key": "f", "id": id })).unwrap_err();
        assert!(faults[0].pointer == "/id" && faults[0].message.contains(fault), "{faults:?}");
    }
}

#[test]
fn a_key_alone_is_a_boolean_flag_that_is_off_for_everybody() {
    let flag = read(&json!({ "key": "f" }));
    assert!(!flag.enabled);
    assert_eq!((flag.name.as_str(), flag.salt.as_str()), ("f", "f"));
    assert_eq!(flag.variants, implied_variants());
    assert_eq!((flag.default_variant.as_str(), flag.off_variant.as_str()), ("false", "false"));
}

#[test]
fn the_kind_follows_from_the_values_when_it_is_not_named() {
    let kind = |body| read(&body).kind;
    assert_eq!(kind(json!({ "key": "f", "default_value": "blue" })), ValueKind::String);
    assert_eq!(kind(json!({ "key": "f", "default_value": 5 })), ValueKind::Number);
    assert_eq!(kind(json!({ "key": "f", "default_value": { "a": 1 } })), ValueKind::Json);
    let mixed = json!([{ "name": "a", "value": 1 }, { "name": "b", "value": "x" }]);
    let body = json!({ "key": "f", "variants": mixed, "default_variant": "a" });
    assert_eq!(kind(body), ValueKind::Json);
}

#[test]
fn a_value_without_variants_is_the_only_variant() {
    let flag = read(&json!({ "key": "limit", "default_value": 5 }));
    assert_eq!(flag.variants, [Variant { name: "default".into(), value: json!(5) }]);
    assert_eq!(flag.off_variant, "default");
}

#[test]
fn the_off_variant_of_a_boolean_flag_is_the_one_that_is_false() {
    let variants = json!([{ "name": "on", "value": true }, { "name": "off", "value": false }]);
    let flag = read(&json!({ "key": "f", "variants": variants, "default_value": true }));
    assert_eq!((flag.default_variant.as_str(), flag.off_variant.as_str()), ("on", "off"));
}

#[test]
fn default_value_and_default_variant_may_both_be_given_if_they_agree() {
    let variants =
        json!([{ "name": "a", "value": 1 }, { "name": "b", "value": 1.0 }, { "name": "c", "value": 2 }]);
    let body = |variant: &str, value: Value| json!({ "key": "f", "variants": variants, "default_variant": variant, "default_value": value });
    assert_eq!(read(&body("b", json!(1))).default_variant, "b");
    refused(&body("c", json!(1)), "/default_value", "`default_variant` is `c`");
    refused(&body("a", json!(7)), "/default_value", "the values are `1`, `1.0` and `2`");
}

#[test]
fn a_percentage_is_short_for_two_weights() {
    let flag = read(&with("rollout", &json!({ "percentage": 25 })));
    let expected = json!({
        "bucket_by": "user_id",
        "weights": [{ "variant": "true", "weight": 25 }, { "variant": "false", "weight": 75 }]
    });
    assert_eq!(flag.to_json()["rollout"], expected);
    refused(&with("rollout", &json!({ "percentage": 101 })), "/rollout/percentage", "between 0 and 100");
}

#[test]
fn a_rule_with_several_conditions_has_a_list_of_them() {
    let conditions = json!([
        { "attribute": "role", "operator": "in", "value": ["admin", "developer"] },
        { "operator": "in_segment", "value": "beta" }
    ]);
    let flag = read(&with_rule(&json!({ "conditions": conditions, "variant": true })));
    assert_eq!(flag.rules[0].conditions.len(), 2);
    assert_eq!(flag.rules[0].conditions[1].segments(), ["beta"]);
    assert_eq!(flag.to_json()["rules"][0]["conditions"], conditions);
}

#[test]
fn a_rule_without_priority_takes_its_position() {
    let rule = json!({ "attribute": "role", "operator": "equals", "value": "a", "variant": true });
    let flag = read(&json!({ "key": "f", "rules": [rule, rule] }));
    assert_eq!(flag.rules.iter().map(|rule| rule.priority).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_misspelt_member_is_answered_with_the_right_name() {
    refused(&with("prereqisites", &json!([])), "/prereqisites", "did you mean `prerequisites`?");
    let rule =
        json!({ "attribute": "role", "operator": "equals", "values": "a", "variant": true, "value": "a" });
    refused(&with_rule(&rule), "/rules/0/values", "did you mean `value`?");
}

#[test]
fn an_unknown_operator_is_answered_with_the_nearest() {
    let rule = json!({ "attribute": "role", "operator": "start_with", "value": "a", "variant": true });
    refused(&with_rule(&rule), "/rules/0/operator", "did you mean `starts_with`?");
    let rule = json!({ "attribute": "role", "operator": "~", "value": "a", "variant": true });
    refused(&with_rule(&rule), "/rules/0/operator", "known are `equals`");
}

#[test]
fn all_faults_are_found_at_once() {
    let found = faults(&json!({
        "name": 1, "enabled": "yes", "tpye": "boolean",
        "rules": [{ "operator": "equal", "value": {}, "priority": "high" }, 7]
    }));
    for pointer in [
        "/key:",
        "/name:",
        "/enabled:",
        "/tpye:",
        "/rules/0/operator:",
        "/rules/0/value:",
        "/rules/0/priority:",
        "/rules/0/variant:",
        "/rules/1:",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(pointer)), "{pointer} {found:#?}");
    }
}

#[test]
fn keys_are_safe_in_paths() {
    for key in ["a", "A.b_c-9", "team/checkout/new-button"] {
        assert_eq!(read(&json!({ "key": key })).key, key);
    }
    for key in ["", "a b", "ä", "a//b", "/a", "a/", "a/../b", ".", "a\n", "a%2fb"] {
        refused(&json!({ "key": key }), "/key", "key");
    }
    refused(&json!({ "key": "a".repeat(201) }), "/key", "at most 200 characters, this one has 201");
}

#[test]
fn what_is_too_long_or_too_much_is_refused_with_the_limit() {
    refused(&with("name", &json!("n".repeat(201))), "/name", "200");
    refused(&with("description", &json!("n".repeat(4001))), "/description", "4000");
    refused(&with("tags", &json!(vec!["t"; 51])), "/tags", "at most 50");
    refused(&with("tags", &json!([""])), "/tags/0", "cannot be empty");
    let rule = json!({ "attribute": "role", "operator": "equals", "value": "a", "variant": true });
    refused(&with("rules", &json!(vec![rule.clone(); 201])), "/rules", "at most 200");
    let conditions = json!(vec![json!({ "attribute": "role", "operator": "equals", "value": "a" }); 51]);
    refused(
        &with_rule(&json!({ "conditions": conditions, "variant": true })),
        "/rules/0/conditions",
        "at most 50",
    );
    let many = json!({ "attribute": "role", "operator": "in", "value": vec!["x"; 10_001], "variant": true });
    refused(&with_rule(&many), "/rules/0/value", "at most 10000");
    let mut early = rule;
    early["priority"] = json!(1_u64 << 40);
    refused(&with_rule(&early), "/rules/0/priority", "between");
    let large = json!({ "key": "f", "default_value": "x".repeat(64 * 1024) });
    refused(&large, "/variants/0/value", "at most 65536 bytes");
}

#[test]
fn variants_have_distinct_names_and_values_of_the_kind() {
    let variants = json!([{ "name": "a", "value": "x" }, { "name": "a", "value": 1 }]);
    let body = json!({ "key": "f", "type": "string", "variants": variants, "default_variant": "a" });
    refused(&body, "/variants/1/name", "another variant is called `a`");
    refused(&body, "/variants/1/value", "this is the number `1`");
    refused(&json!({ "key": "f", "type": "number" }), "/variants", "a number flag needs `variants`");
    refused(&json!({ "key": "f", "type": "bool" }), "/type", "did you mean `boolean`?");
    refused(&json!({ "key": "f", "variants": [] }), "/variants", "at least one variant");
}

#[test]
fn only_variants_of_the_flag_can_be_served() {
    refused(&with("default_variant", &json!("ture")), "/default_variant", "did you mean `true`?");
    refused(&with("off_variant", &json!("x")), "/off_variant", "no variant `x`");
    let rule = json!({ "attribute": "role", "operator": "equals", "value": "a", "variant": "flase" });
    refused(&with_rule(&rule), "/rules/0/variant", "did you mean `false`?");
    let target = json!([{ "variant": "x", "values": ["u1"] }]);
    refused(&with("targets", &target), "/targets/0/variant", "no variant `x`");
    let body = json!({ "key": "f", "default_value": "a", "rules": [{ "attribute": "role", "operator": "exists", "variant": true }] });
    refused(&body, "/rules/0/variant", "no variant has the value `true`");
}

#[test]
fn weights_are_shares_of_something() {
    let rollout = |weights: Value| with("rollout", &json!({ "weights": weights }));
    refused(
        &rollout(json!([{ "variant": true, "weight": -1 }])),
        "/rollout/weights/0/weight",
        "cannot be negative",
    );
    refused(&rollout(json!([{ "variant": true, "weight": 0 }])), "/rollout/weights", "more than 0");
    refused(&rollout(json!([])), "/rollout/weights", "more than 0");
    refused(
        &rollout(json!([{ "variant": "true", "weight": 1 }, { "variant": true, "weight": 1 }])),
        "/rollout/weights/1/variant",
        "already",
    );
    refused(
        &rollout(json!([{ "variant": true, "weight": 1e308 }, { "variant": false, "weight": 1.7e308 }])),
        "/rollout/weights",
        "add up",
    );
    refused(&with("rollout", &json!({})), "/rollout", "either `weights`");
}

#[test]
fn nobody_is_the_target_of_two_variants() {
    let targets = json!([
        { "variant": true, "values": ["alice@example.com"], "attribute": "email" },
        { "variant": false, "values": ["bob@example.com", "Alice@example.com"], "attribute": "email" }
    ]);
    refused(&with("targets", &targets), "/targets/1/values/1", "a target of `true` already");
    let elsewhere = json!([
        { "variant": true, "values": ["7"] }, { "variant": false, "values": ["7"], "attribute": "tenant_id" }
    ]);
    assert_eq!(read(&with("targets", &elsewhere)).targets.len(), 2);
}

#[test]
fn a_rule_needs_a_condition_and_one_thing_to_serve() {
    refused(
        &with_rule(&json!({ "conditions": [], "variant": true })),
        "/rules/0/conditions",
        "needs a condition",
    );
    refused(&with_rule(&json!({ "variant": true })), "/rules/0/operator", "an operator is missing");
    let both =
        json!({ "attribute": "role", "operator": "exists", "variant": true, "rollout": { "percentage": 5 } });
    refused(&with_rule(&both), "/rules/0/variant", "either");
    let mixed = json!({ "conditions": [{ "attribute": "role", "operator": "exists" }], "attribute": "role", "variant": true });
    refused(&with_rule(&mixed), "/rules/0/attribute", "move it into `conditions`");
    let rule = json!({ "id": "1", "attribute": "role", "operator": "exists", "variant": true });
    refused(&json!({ "key": "f", "rules": [rule, rule] }), "/rules/1/id", "another rule has the id `1`");
}

#[test]
fn a_flag_cannot_require_itself_or_another_twice() {
    let required = json!({ "flag": "f", "variant": true });
    refused(&with("prerequisites", &json!([required])), "/prerequisites/0/flag", "itself");
    let required = json!({ "flag": "g", "variant": true });
    refused(&with("prerequisites", &json!([required, required])), "/prerequisites/1/flag", "already");
    assert_eq!(read(&with("prerequisites", &json!([required]))).prerequisites[0].variant, "true");
}

#[test]
fn a_flag_is_an_object() {
    assert_eq!(faults(&json!([])), ["a flag is a JSON object, not an array"]);
    assert!(serde_json::from_str::<Flag>(r#"{"key": ""}"#).unwrap_err().to_string().contains("/key"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same_flag(flag in arbitrary::flag()) {
        let written = flag.to_json();
        let again = Flag::from_json(&written);
        prop_assert_eq!(again.as_ref(), Ok(&flag), "{}", written);
        let text = serde_json::to_string(&flag).unwrap();
        prop_assert_eq!(serde_json::from_str::<Flag>(&text).unwrap(), flag);
    }

    #[test]
    fn any_json_is_a_flag_or_has_a_fault_at_a_place_that_can_be_pointed_at(body in arbitrary::json()) {
        match Flag::from_json(&body) {
            Ok(flag) => prop_assert_eq!(Flag::from_json(&flag.to_json()), Ok(flag)),
            Err(found) => {
                prop_assert!(!found.is_empty());
                for fault in found {
                    prop_assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'));
                    prop_assert!(!fault.message.ends_with('.') && !fault.message.contains('\n'), "{}", fault);
                }
            }
        }
    }
}
