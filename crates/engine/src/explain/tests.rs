use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Attributes, Context, Explanation, Flag, Reason, Ruleset, Segment, Slot};

fn ruleset(flags: &[Value]) -> Ruleset {
    let beta = json!({ "key": "beta", "included": ["alice"], "excluded": ["mallory"],
        "conditions": [[{ "attribute": "role", "operator": "equals", "value": "qa" }]] });
    let flags = flags.iter().map(|body| (Flag::from_json(body).unwrap(), 7));
    let segments = std::iter::once(Segment::from_json(&beta).unwrap());
    let (ruleset, reports) = Ruleset::load(Arc::new(Attributes::new(["age", "version"])), segments, flags);
    assert_eq!(reports, []);
    ruleset
}

fn explain(flags: &[Value], values: &[(&str, crate::Value<'_>)]) -> Explanation {
    let ruleset = ruleset(flags);
    let mut context = Context::new();
    for (name, value) in values {
        context.set(ruleset.attributes().slot(name).unwrap(), *value);
    }
    let flag = ruleset.flag("f").unwrap();
    let explanation = ruleset.explain(flag, &context);
    let evaluation = ruleset.evaluate(flag, &context);
    assert_eq!(explanation.variant, *evaluation.variant.name);
    assert_eq!(explanation.reason, evaluation.reason);
    explanation
}

fn with_rules(rules: &Value) -> [Value; 1] {
    [json!({ "key": "f", "enabled": true, "rules": rules })]
}

/// Why a single condition holds or not.
fn why(condition: &Value, values: &[(&str, crate::Value<'_>)]) -> String {
    let mut rule = condition.clone();
    rule["variant"] = json!(true);
    explain(&with_rules(&json!([rule])), values).rules[0].conditions[0].why.clone()
}

const DEVELOPER: (&str, crate::Value<'static>) = ("role", crate::Value::Str("developer"));

#[test]
fn the_whole_story_of_a_match() {
    let rules = json!([
        { "id": "r1", "attribute": "role", "operator": "equals", "value": "Admin", "variant": true, "priority": 1 },
        { "id": "r2", "attribute": "role", "operator": "equals", "value": "Developer", "variant": true, "priority": 2 },
        { "attribute": "role", "operator": "exists", "variant": false, "priority": 3 }
    ]);
    let told = serde_json::to_value(explain(&with_rules(&rules), &[DEVELOPER])).unwrap();
    assert_eq!(
        told,
        json!({
            "flag": "f", "revision": 7, "value": true, "variant": "true", "reason": "TARGETING_MATCH",
            "summary": "the caller gets `true`: rule 2 matched: `role` is `developer`, which equals `Developer`; it serves `true`",
            "prerequisites": [], "targets": [], "rollout": null,
            "rules": [
                {
                    "position": 0, "id": "r1", "priority": 1, "matched": false, "decided": false, "variant": "true",
                    "why": "`role` is `developer`, which does not equal `Admin`",
                    "conditions": [{
                        "attribute": "role", "operator": "equals", "expected": "Admin", "actual": "developer",
                        "matched": false, "why": "`role` is `developer`, which does not equal `Admin`"
                    }]
                },
                {
                    "position": 1, "id": "r2", "priority": 2, "matched": true, "decided": true, "variant": "true",
                    "why": "`role` is `developer`, which equals `Developer`; it serves `true`",
                    "conditions": [{
                        "attribute": "role", "operator": "equals", "expected": "Developer", "actual": "developer",
                        "matched": true, "why": "`role` is `developer`, which equals `Developer`"
                    }]
                },
                {
                    "position": 2, "priority": 3, "matched": true, "decided": false, "variant": "false",
                    "why": "it would match, but rule 2 decided before",
                    "conditions": [{
                        "attribute": "role", "operator": "exists", "expected": true, "actual": "developer",
                        "matched": true, "why": "the caller has `role`: `developer`"
                    }]
                }
            ]
        })
    );
}

#[test]
fn an_absent_attribute_is_named_as_the_reason() {
    let told = why(&json!({ "attribute": "age", "operator": "gte", "value": 18 }), &[DEVELOPER]);
    assert_eq!(told, "the caller has no `age`");
}

#[test]
fn a_value_of_the_wrong_kind_is_told_from_one_that_does_not_fit() {
    let adult = json!({ "attribute": "age", "operator": "gte", "value": 18 });
    assert_eq!(why(&adult, &[("age", crate::Value::Str("old"))]), "`age` is `old`, which is not a number");
    assert_eq!(why(&adult, &[("age", crate::Value::Number(17.0))]), "`age` is `17`, which is less than `18`");
    let recent = json!({ "attribute": "version", "operator": "semver_gte", "value": "2.1" });
    assert_eq!(
        why(&recent, &[("version", crate::Value::Str("dev"))]),
        "`version` is `dev`, which is not a version such as `2.1.0`"
    );
    let office = json!({ "attribute": "ip", "operator": "not_cidr", "value": "10.0.0.0/8" });
    assert_eq!(
        why(&office, &[("ip", crate::Value::Str("10.9.9.9"))]),
        "`ip` is `10.9.9.9`, which is in a network of [`10.0.0.0/8`]"
    );
    assert_eq!(why(&office, &[("ip", crate::Value::Str("?"))]), "`ip` is `?`, which is not an IP address");
    let then = json!({ "attribute": "version", "operator": "before", "value": "2026-07-01" });
    assert_eq!(
        why(&then, &[("version", crate::Value::Str("2026-06-01"))]),
        "`version` is `2026-06-01`, which is before `2026-07-01`"
    );
}

#[test]
fn lists_say_whether_one_or_none_of_them_fits() {
    let groups: [Arc<str>; 2] = ["staff".into(), "beta".into()];
    let list = [("groups", crate::Value::List(&groups))];
    let condition =
        |operator: &str, value: &str| json!({ "attribute": "groups", "operator": operator, "value": value });
    assert_eq!(
        why(&condition("in", "beta, gamma"), &list),
        "`groups` is [`staff`, `beta`], one of which is one of [`beta`, `gamma`]"
    );
    assert_eq!(
        why(&condition("not_equals", "admin"), &list),
        "`groups` is [`staff`, `beta`], none of which equals `admin`"
    );
    let empty = [("groups", crate::Value::List(&[]))];
    assert_eq!(why(&condition("not_in", "a"), &empty), "`groups` is an empty list, which is none of [`a`]");
    assert_eq!(
        why(&json!({ "attribute": "groups", "operator": "exists", "value": false }), &empty),
        "`groups` is an empty list, which counts as absent"
    );
}

#[test]
fn membership_in_segments_is_explained() {
    let condition = json!({ "operator": "in_segment", "value": "beta" });
    let user = |id| [("user_id", crate::Value::Str(id))];
    assert_eq!(why(&condition, &user("alice")), "the caller is included in segment `beta`");
    assert_eq!(why(&condition, &user("mallory")), "the caller is excluded from segment `beta`");
    assert_eq!(why(&condition, &user("bob")), "the caller does not belong to segment `beta`");
    assert_eq!(
        why(&condition, &[("role", crate::Value::Str("QA"))]),
        "the caller belongs to segment `beta` by its condition group 1"
    );
}

#[test]
fn of_several_conditions_the_first_that_fails_is_named() {
    let rules = json!([{ "variant": true, "conditions": [
        { "attribute": "role", "operator": "equals", "value": "developer" },
        { "attribute": "age", "operator": "exists" }
    ] }]);
    let told = explain(&with_rules(&rules), &[DEVELOPER]);
    assert_eq!(told.rules[0].why, "condition 2 does not hold: the caller has no `age`");
    assert_eq!(told.summary, "the caller gets `false`: none of the 1 rules matched");
    let told = explain(&with_rules(&rules), &[DEVELOPER, ("age", crate::Value::Number(4.0))]);
    assert_eq!(
        told.rules[0].why,
        "all conditions hold: `role` is `developer`, which equals `developer`; the caller has `age`: `4`; it serves `true`"
    );
}

#[test]
fn a_disabled_flag_still_shows_which_rule_would_match() {
    let rule = json!({ "attribute": "role", "operator": "exists", "variant": true });
    let told = explain(&[json!({ "key": "f", "rules": [rule] })], &[DEVELOPER]);
    assert_eq!(told.reason, Reason::Disabled);
    assert_eq!(told.summary, "the caller gets `false`: the flag is disabled");
    assert!(told.rules[0].matched && !told.rules[0].decided);
    assert_eq!(told.rules[0].why, "it would match, but the flag is disabled");
}

#[test]
fn an_unmet_prerequisite_says_what_the_other_flag_gave() {
    let flags = [
        json!({ "key": "base" }),
        json!({ "key": "f", "enabled": true, "default_value": true, "prerequisites": [{ "flag": "base", "variant": true }] }),
    ];
    let told = explain(&flags, &[]);
    assert_eq!(
        told.summary,
        "the caller gets `false`: flag `base` gives this caller `false` (DISABLED), but `true` is required"
    );
    assert_eq!(told.prerequisites[0].actual.as_deref(), Some("false"));
}

#[test]
fn an_individual_target_is_named_before_any_rule() {
    let flag = json!({
        "key": "f", "enabled": true,
        "targets": [{ "variant": true, "values": ["alice", "bob"] }],
        "rules": [{ "attribute": "user_id", "operator": "exists", "variant": false }]
    });
    let told = explain(std::slice::from_ref(&flag), &[("user_id", crate::Value::Str("Alice"))]);
    assert_eq!(told.summary, "the caller gets `true`: `user_id` is `Alice`, which is one of the 2 listed");
    assert_eq!(told.rules[0].why, "it would match, but the caller is an individual target");
    let told = explain(&[flag], &[("user_id", crate::Value::Str("carol"))]);
    assert!(!told.targets[0].matched && told.rules[0].decided);
}

#[test]
fn a_rollout_shows_the_bucket_and_whose_it_is() {
    let flag = json!({ "key": "f", "enabled": true, "rollout": { "percentage": 25 } });
    let told = explain(std::slice::from_ref(&flag), &[("user_id", crate::Value::Str("alice"))]);
    let rollout = told.rollout.unwrap();
    let bucket = crate::bucket("f", "alice");
    assert_eq!((rollout.bucket, rollout.unit.as_deref()), (Some(bucket), Some("alice")));
    assert_eq!((rollout.ranges[0].to, rollout.ranges[1].from, rollout.ranges[1].to), (2500, 2500, 10_000));
    assert_eq!(rollout.variant.as_deref(), Some(if bucket < 2500 { "true" } else { "false" }));
    assert!(
        rollout.why.starts_with(&format!("`alice` falls in bucket {bucket} of 10000; ")),
        "{}",
        rollout.why
    );
    let told = explain(&[flag], &[]);
    assert_eq!(told.reason, Reason::Default);
    assert_eq!(
        told.summary,
        "the caller gets `false`: the caller has no single `user_id` to fall in a bucket by, so the default variant is served"
    );
}

#[test]
fn a_flag_that_is_the_same_for_everybody_says_so() {
    let told = explain(&[json!({ "key": "f", "enabled": true, "default_value": true })], &[]);
    assert_eq!(
        (told.reason, told.summary.as_str()),
        (Reason::Static, "the caller gets `true`: the flag gives it to everybody")
    );
    assert_eq!(Slot::USER_ID, Attributes::default().slot("sub").unwrap());
}
