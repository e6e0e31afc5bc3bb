//! Flags and things that look like flags, made up.

use serde_json::Map;

use super::*;

const OPERATORS: [(Operator, &str); 13] = [
    (Operator::Equals, "Developer"),
    (Operator::In, "a, b ,c"),
    (Operator::NotContains, "ß"),
    (Operator::StartsWith, "x"),
    (Operator::Matches, "^a+$"),
    (Operator::Gte, "1.5"),
    (Operator::SemverLt, "v2.1"),
    (Operator::After, "2026-07-01"),
    (Operator::Exists, "false"),
    (Operator::Cidr, "10.0.0.0/8, ::1"),
    (Operator::InSegment, "beta"),
    (Operator::NotInSegment, "beta,staff"),
    (Operator::NotEquals, ""),
];

pub(super) fn flag() -> impl Strategy<Value = Flag> {
    let texts = ("[a-z][a-z0-9._-]{0,8}(/[a-z]{1,3})?", "[ -~ä]{1,20}", ".{0,20}", any::<bool>());
    let parts = (
        prop::collection::vec(rule(), 0..4),
        prop::option::of(rollout()),
        prop::collection::btree_set("[a-z]{1,4}", 0..4),
        prop::option::of("[a-z]{1,5}"),
        0..3_usize,
    );
    (texts, variants(), parts).prop_map(|(texts, (kind, variants), parts)| {
        let ((key, name, description, enabled), (rules, rollout, targets, salt, off)) = (texts, parts);
        let named = |index: usize| variants[index % variants.len()].name.clone();
        let pick = |rollout: Rollout| Rollout {
            weights: rollout
                .weights
                .into_iter()
                .zip(&variants)
                .map(|(weight, variant)| Weight { variant: variant.name.clone(), ..weight })
                .collect(),
            ..rollout
        };
        let rules = rules.into_iter().enumerate().map(|(index, rule)| Rule {
            id: if index == 1 { String::new() } else { format!("r{index}") },
            serve: match rule.serve {
                Serve::Variant(_) => Serve::Variant(named(index)),
                Serve::Rollout(rollout) => Serve::Rollout(pick(rollout)),
            },
            ..rule
        });
        Flag {
            id: if enabled { String::new() } else { format!("id {off}") },
            name,
            description,
            enabled,
            kind,
            default_variant: named(0),
            off_variant: named(off),
            rules: rules.collect(),
            rollout: rollout.map(pick),
            targets: vec![Target {
                variant: named(1),
                attribute: "email".into(),
                values: targets.into_iter().collect(),
            }]
            .into_iter()
            .filter(|target| !target.values.is_empty())
            .collect(),
            prerequisites: vec![Prerequisite { flag: "UPPER".into(), variant: "on".into() }],
            salt: salt.unwrap_or_else(|| key.clone()),
            tags: vec!["team:web".into()],
            variants,
            key,
        }
    })
}

fn variants() -> impl Strategy<Value = (ValueKind, Vec<Variant>)> {
    let named = |values: Vec<Value>| -> Vec<Variant> {
        let values = values.into_iter().enumerate();
        values.map(|(index, value)| Variant { name: format!("v{index}"), value }).collect()
    };
    prop_oneof![
        Just((ValueKind::Boolean, implied_variants().to_vec())),
        Just((ValueKind::Boolean, named(vec![json!(false), json!(true)]))),
        prop::collection::vec(".{0,5}", 1..4)
            .prop_map(move |texts| (ValueKind::String, named(texts.into_iter().map(Value::from).collect()))),
        prop::collection::vec(any::<i64>(), 1..4).prop_map(move |numbers| (
            ValueKind::Number,
            named(numbers.into_iter().map(Value::from).collect())
        )),
        Just((ValueKind::Json, named(vec![json!(null), json!({ "a": [1.5, null] })]))),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let serve = prop_oneof![Just(Serve::Variant(String::new())), rollout().prop_map(Serve::Rollout),];
    let conditions = prop::collection::vec(condition(), 1..4);
    (conditions, any::<i32>(), "[a-z ]{0,5}", serve).prop_map(|(conditions, priority, description, serve)| {
        Rule { id: String::new(), description, priority: i64::from(priority), conditions, serve }
    })
}

fn rollout() -> impl Strategy<Value = Rollout> {
    prop::collection::vec(0.001_f64..1000.0, 1..4).prop_map(|weights| Rollout {
        bucket_by: "user_id".into(),
        weights: weights.into_iter().map(|weight| Weight { variant: String::new(), weight }).collect(),
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let given = prop::sample::select(&OPERATORS[..]).prop_map(|(operator, text)| {
        let attribute = if operator.is_segment() { "" } else { "role" };
        let values = Values::One(Scalar::Text(text.into()));
        Condition { attribute: attribute.into(), operator, values }
    });
    let scalars = prop_oneof![
        ".{0,5}".prop_map(Scalar::Text),
        any::<i64>().prop_map(|number| Scalar::Number(number.into())),
        any::<bool>().prop_map(Scalar::Bool),
    ];
    let listed = prop::collection::vec(scalars, 1..5).prop_map(|many| Condition {
        attribute: "plan".into(),
        operator: Operator::NotIn,
        values: Values::Many(many),
    });
    let exists =
        Just(Condition { attribute: "plan".into(), operator: Operator::Exists, values: Values::Absent });
    prop_oneof![4 => given, 2 => listed, 1 => exists]
}

/// JSON with the members that flags have, and values that may or may not fit.
pub(super) fn json() -> impl Strategy<Value = Value> {
    let words = [
        "key",
        "true",
        "false",
        "equals",
        "in",
        "matches",
        "(((",
        "a{999}{999}",
        "in_segment",
        "role",
        "f",
        "boolean",
        "number",
        "10.0.0.0/99",
        "cidr",
        "before",
        "semver_gt",
        "~/",
        "exists",
    ];
    let members = [
        "key",
        "name",
        "enabled",
        "type",
        "variants",
        "default_value",
        "default_variant",
        "off_variant",
        "rules",
        "rollout",
        "targets",
        "prerequisites",
        "salt",
        "tags",
        "attribute",
        "operator",
        "value",
        "conditions",
        "variant",
        "priority",
        "weights",
        "weight",
        "percentage",
        "bucket_by",
        "values",
        "flag",
        "id",
        "x~/y",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let member = prop::sample::select(members.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(member, inner, 0..10)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}
