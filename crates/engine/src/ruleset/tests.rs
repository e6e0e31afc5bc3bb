use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Attributes, Context, Fault, Flag, Reason, Ruleset, Segment, Slot};

mod random;

fn flag(body: &Value) -> Flag {
    Flag::from_json(body).unwrap()
}

fn requiring(key: &str, required: &[(&str, &str)]) -> Flag {
    let required: Vec<Value> =
        required.iter().map(|(flag, variant)| json!({ "flag": flag, "variant": variant })).collect();
    flag(&json!({ "key": key, "enabled": true, "default_value": true, "prerequisites": required }))
}

fn segment(body: &Value) -> Segment {
    Segment::from_json(body).unwrap()
}

fn asking(key: &str, segments: &[&str]) -> Segment {
    let condition = json!({ "operator": "in_segment", "value": segments });
    let conditions = if segments.is_empty() { json!([]) } else { json!([[condition]]) };
    segment(&json!({ "key": key, "conditions": conditions, "included": [key] }))
}

fn empty() -> Ruleset {
    Ruleset::new(Arc::new(Attributes::new(["plan"])))
}

impl Ruleset {
    #[track_caller]
    fn with(&self, flag: &Flag) -> Ruleset {
        self.put_flag(flag, 1).unwrap()
    }

    #[track_caller]
    fn with_segment(&self, segment: &Segment) -> Ruleset {
        self.put_segment(segment).unwrap()
    }

    /// Name of the variant for a user, and the reason.
    fn get(&self, key: &str, user: &str) -> (String, Reason) {
        let mut context = Context::new();
        context.set(Slot::USER_ID, crate::Value::Str(user));
        let evaluation = self.evaluate(self.flag(key).unwrap(), &context);
        (evaluation.variant.name.to_string(), evaluation.reason)
    }
}

#[track_caller]
fn refused<T>(result: Result<T, Vec<Fault>>, pointer: &str, words: &str) {
    let Err(faults) = result else { panic!("it should have been refused") };
    let found = faults.iter().any(|fault| fault.pointer == pointer && fault.message.contains(words));
    assert!(found, "{faults:#?}");
}

#[test]
fn an_edit_leaves_the_ruleset_it_was_made_from_as_it_was() {
    let before = empty().with(&flag(&json!({ "key": "f", "default_value": true, "enabled": true })));
    let after = before.put_flag(&flag(&json!({ "key": "f" })), 2).unwrap();
    let gone = after.remove_flag("f").unwrap();
    assert_eq!(before.get("f", "u").0, "true");
    assert_eq!(after.get("f", "u"), ("false".into(), Reason::Disabled));
    assert_eq!(after.flag("f").unwrap().revision(), 2);
    assert!(gone.flag("f").is_none() && gone.is_empty());
    assert_eq!((before.len(), after.len()), (1, 1));
}

#[test]
fn an_attribute_nobody_declared_is_refused_with_the_nearest() {
    let rule =
        |attribute| json!({ "attribute": attribute, "operator": "equals", "value": "x", "variant": true });
    let body = json!({
        "key": "f", "rules": [rule("rolle"), rule("plan")],
        "rollout": { "percentage": 5, "bucket_by": "device" },
        "targets": [{ "variant": true, "attribute": "mail", "values": ["x"] }]
    });
    let faults = empty().put_flag(&flag(&body), 1).unwrap_err();
    let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:#?}");
    assert_eq!(
        found[0],
        "/rules/0/attribute: this environment has no attribute `rolle`; did you mean `role`? \
         or declare it in the environment to use it"
    );
    assert!(found[1].starts_with("/targets/0/attribute:"));
    assert!(
        found[2].starts_with(
            "/rollout/bucket_by: this environment has no attribute `device`; known are `user_id`"
        )
    );
}

#[test]
fn a_definition_made_by_hand_is_checked_as_well() {
    let mut broken = flag(&json!({ "key": "f" }));
    broken.default_variant = "gone".into();
    broken.variants.clear();
    refused(empty().put_flag(&broken, 1), "/default_variant", "no variant `gone`");
}

#[test]
fn a_prerequisite_has_to_exist_with_its_variant() {
    let ruleset = empty().with(&flag(&json!({ "key": "base" })));
    refused(
        ruleset.put_flag(&requiring("f", &[("bass", "true")]), 1),
        "/prerequisites/0/flag",
        "did you mean `base`?",
    );
    refused(
        ruleset.put_flag(&requiring("f", &[("base", "on")]), 1),
        "/prerequisites/0/variant",
        "no variant `on`",
    );
    assert_eq!(ruleset.with(&requiring("f", &[("base", "true")])).len(), 2);
}

#[test]
fn a_circle_of_prerequisites_is_refused_when_it_would_close() {
    let ruleset = empty()
        .with(&requiring("a", &[]))
        .with(&requiring("b", &[("a", "true")]))
        .with(&requiring("c", &[("b", "true")]));
    refused(
        ruleset.put_flag(&requiring("a", &[("c", "true")]), 1),
        "/prerequisites/0/flag",
        "this closes a circle: `a` requires `c` and `b`, and so on back to `a`",
    );
}

#[test]
fn chains_of_prerequisites_have_an_end_from_wherever_they_grow() {
    let mut ruleset = empty().with(&requiring("f1", &[]));
    for number in 2..=10 {
        let below = format!("f{}", number - 1);
        ruleset = ruleset.with(&requiring(&format!("f{number}"), &[(&below, "true")]));
    }
    assert_eq!(ruleset.get("f10", "u").0, "true");
    refused(ruleset.put_flag(&requiring("f11", &[("f10", "true")]), 1), "/prerequisites", "at most 10");
    let ruleset = ruleset.with(&requiring("f0", &[]));
    refused(
        ruleset.put_flag(&requiring("f1", &[("f0", "true")]), 1),
        "/prerequisites",
        "flag `f10` requires too much",
    );
}

#[test]
fn what_one_evaluation_costs_is_bounded() {
    let mut ruleset = empty();
    let mut last = Vec::new();
    for level in 0..4 {
        let keys: Vec<String> = (0..7).map(|number| format!("l{level}-{number}")).collect();
        let required: Vec<(&str, &str)> = last.iter().map(|key: &String| (key.as_str(), "true")).collect();
        let mut refusals = 0;
        for key in &keys {
            match ruleset.put_flag(&requiring(key, &required), 1) {
                Ok(next) => ruleset = next,
                Err(faults) => {
                    assert!(faults[0].message.contains("at most 200"), "{faults:?}");
                    refusals += 1;
                }
            }
        }
        assert_eq!(refusals, if level < 3 { 0 } else { 7 });
        last = keys;
    }
}

#[test]
fn a_required_flag_stays_and_keeps_its_variant() {
    let variants = json!([{ "name": "on", "value": true }, { "name": "off", "value": false }]);
    let base = flag(&json!({ "key": "base", "variants": variants }));
    let ruleset = empty().with(&base).with(&requiring("f", &[("base", "on")]));
    refused(ruleset.remove_flag("base"), "", "required by flag `f`");
    refused(
        ruleset.put_flag(&flag(&json!({ "key": "base" })), 2),
        "/variants",
        "flag `f` requires the variant `on`",
    );
    let free = ruleset.with(&requiring("f", &[]));
    assert_eq!(free.remove_flag("base").unwrap().len(), 1);
    assert_eq!(ruleset.remove_flag("f").unwrap().remove_flag("base").unwrap().len(), 0);
}

#[test]
fn a_prerequisite_is_met_by_what_the_other_flag_gives_this_caller() {
    let rule = json!({ "attribute": "user_id", "operator": "equals", "value": "alice", "variant": true });
    let base = flag(&json!({ "key": "base", "enabled": true, "rules": [rule] }));
    let ruleset = empty().with(&base).with(&requiring("f", &[("base", "true")]));
    assert_eq!(ruleset.get("f", "alice"), ("true".into(), Reason::Default));
    assert_eq!(ruleset.get("f", "bob"), ("false".into(), Reason::PrerequisiteFailed));
    let off = Flag { enabled: false, ..base };
    assert_eq!(ruleset.with(&off).get("f", "alice"), ("false".into(), Reason::PrerequisiteFailed));
}

#[test]
fn a_changed_segment_changes_flags_that_were_not_touched() {
    let uses = flag(&json!({
        "key": "f", "enabled": true,
        "rules": [{ "operator": "in_segment", "value": "beta", "variant": true }]
    }));
    refused(empty().put_flag(&uses, 1), "/rules/0/value", "there is no segment `beta`");
    let ruleset =
        empty().with_segment(&segment(&json!({ "key": "beta", "included": ["alice"] }))).with(&uses);
    assert_eq!(ruleset.get("f", "Alice").0, "true");
    let changed = ruleset.with_segment(&segment(&json!({ "key": "beta", "included": ["bob"] })));
    assert_eq!((changed.get("f", "alice").0, changed.get("f", "bob").0), ("false".into(), "true".into()));
    assert_eq!(ruleset.get("f", "alice").0, "true");
    refused(ruleset.remove_segment("beta"), "", "used by flag `f`");
    let gone = ruleset.remove_flag("f").unwrap().remove_segment("beta").unwrap();
    assert!(!gone.has_segment("beta"));
}

#[test]
fn segments_may_ask_about_segments_but_not_in_circles_or_long_rows() {
    let mut ruleset = empty().with_segment(&asking("s1", &[]));
    for number in 2..=5 {
        let below = format!("s{}", number - 1);
        ruleset = ruleset.with_segment(&asking(&format!("s{number}"), &[&below]));
    }
    refused(ruleset.put_segment(&asking("s6", &["s5"])), "/conditions", "more than 5");
    refused(ruleset.put_segment(&asking("s1", &["s3"])), "/conditions", "circle");
    refused(ruleset.put_segment(&asking("s1", &["s1"])), "/conditions", "circle");
    let ruleset = ruleset.with_segment(&asking("s0", &[]));
    refused(ruleset.put_segment(&asking("s1", &["s0"])), "/conditions", "more than 5");
    refused(ruleset.remove_segment("s1"), "", "used by segment `s2`");
    let uses = json!({ "key": "f", "enabled": true, "rules": [{ "operator": "in_segment", "value": "s5", "variant": true }] });
    let ruleset = ruleset.with(&flag(&uses));
    assert_eq!((ruleset.get("f", "s1").0, ruleset.get("f", "s0").0), ("true".into(), "false".into()));
}

#[test]
fn a_whole_environment_loads_in_any_order() {
    let segments = [asking("outer", &["inner"]), asking("inner", &[])];
    let flags = [
        (requiring("c", &[("b", "true"), ("a", "true")]), 3),
        (requiring("b", &[("a", "true")]), 2),
        (requiring("a", &[]), 1),
    ];
    let (ruleset, reports) =
        Ruleset::load(Arc::new(Attributes::default()), segments.into_iter(), flags.into_iter());
    assert_eq!(reports, []);
    assert_eq!(ruleset.len(), 3);
    assert_eq!(ruleset.get("c", "u").0, "true");
    assert!(ruleset.has_segment("outer"));
    refused(ruleset.remove_flag("a"), "", "required by flag `b`, flag `c`");
}

#[test]
fn what_is_broken_is_left_out_and_reported_with_what_needed_it() {
    let segments = [asking("x", &["y"]), asking("y", &["x"]), asking("fine", &[])];
    let flags = [
        (requiring("needs-missing", &[("missing", "true")]), 1),
        (requiring("one", &[("two", "true")]), 1),
        (requiring("two", &[("one", "true")]), 1),
        (
            flag(
                &json!({ "key": "asks", "rules": [{ "operator": "in_segment", "value": "x", "variant": true }] }),
            ),
            1,
        ),
        (requiring("good", &[]), 1),
    ];
    let (ruleset, reports) =
        Ruleset::load(Arc::new(Attributes::default()), segments.into_iter(), flags.into_iter());
    let mut keys: Vec<&str> = reports.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["asks", "needs-missing", "one", "two", "x", "y"]);
    let of = |key: &str| &reports.iter().find(|(other, _)| other == key).unwrap().1[0].message;
    assert_eq!(of("needs-missing"), "it needs `missing`, which is missing or broken");
    assert!(of("one").contains("`two`, which in turn needs this one"));
    assert!(of("asks").contains("there is no segment `x`"));
    assert_eq!(ruleset.flags().map(|flag| flag.key().to_string()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn a_session_can_be_given_any_variant_the_flag_has() {
    let ruleset = empty().with(&flag(&json!({ "key": "f" })));
    let flag = ruleset.flag("f").unwrap();
    let given = flag.override_with("true").unwrap();
    assert_eq!((given.variant.json.as_ref(), given.reason), ("true", Reason::Override));
    assert!(flag.override_with("maybe").is_none());
}

#[test]
fn boolean_flags_share_their_variants() {
    let ruleset = empty().with(&flag(&json!({ "key": "a" }))).with(&flag(&json!({ "key": "b" })));
    let first = |key| std::ptr::from_ref(ruleset.flag(key).unwrap().variants().next().unwrap());
    assert_eq!(first("a"), first("b"));
}
