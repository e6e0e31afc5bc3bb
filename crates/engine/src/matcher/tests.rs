use serde_json::json;

use super::*;
use crate::fault::{At, Faults};
use crate::read::Object;
use crate::{Condition, Operator};

fn condition(operator: &str, value: &serde_json::Value) -> Result<Condition, String> {
    let mut body = json!({ "operator": operator, "value": value });
    if !Operator::from_name(operator).unwrap().is_segment() {
        body["attribute"] = json!("role");
    }
    let mut faults = Faults::default();
    let object = Object::new(&body, "a condition", &At::ROOT, &mut faults).unwrap();
    let condition = crate::condition::parse(object, &mut faults);
    match faults.into_vec().as_slice() {
        [] => Ok(condition.unwrap()),
        found => Err(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

fn matcher(operator: &str, value: &serde_json::Value) -> Matcher {
    let condition = condition(operator, value).unwrap();
    let mut scope = Scope { texts: &mut Interner::default(), segments: None };
    Matcher::new(&condition, &At::ROOT, &mut scope, &mut Faults::default()).unwrap()
}

/// Whether the text fits, before any negation.
fn fits(text: &str, operator: &str, value: impl Into<serde_json::Value>) -> bool {
    matcher(operator, &value.into()).matches(Value::Str(text))
}

#[track_caller]
fn refused(operator: &str, value: impl Into<serde_json::Value>, words: &str) {
    let message = condition(operator, &value.into()).unwrap_err();
    assert!(message.starts_with("/value: ") && message.contains(words), "{message}");
}

#[test]
fn the_operators_of_the_first_flagbase_ignore_case() {
    assert!(fits("Developer", "equals", "dEVELOPER"));
    assert!(!fits("developers", "equals", "developer"));
    assert!(fits("alice@EXAMPLE.com", "contains", "@example."));
    assert!(fits("qa", "in", "developer, QA ,admin"));
    assert!(!fits("q", "in", "developer,qa"));
    assert!(fits("ÄRZTE", "equals", "ärzte"));
}

#[test]
fn commas_separate_only_in_strings() {
    assert!(fits("a,b", "in", json!(["a,b"])));
    assert!(!fits("a,b", "in", "a,b"));
    assert!(fits("a,b", "equals", "a,b"));
}

#[test]
fn beginnings_and_ends_are_compared_regardless_of_case() {
    assert!(fits("Staging-EU", "starts_with", "STAGING"));
    assert!(fits("staging-EU", "ends_with", "-eu"));
    assert!(!fits("eu", "ends_with", "staging-eu"));
}

#[test]
fn patterns_are_searched_for_and_case_counts() {
    assert!(fits("build-417", "matches", "[0-9]{3}"));
    assert!(!fits("BUILD", "matches", "build"));
    assert!(fits("BUILD", "matches", "(?i)build"));
    assert!(!fits("xbuild", "matches", "^build$"));
}

#[test]
fn numbers_are_compared_as_numbers_however_they_are_written() {
    assert!(fits("10", "gt", 9) && !fits("10", "gt", "10") && fits(" 10.0 ", "gte", "10"));
    assert!(fits("-1e3", "lt", -999) && fits("5", "lte", 5.0));
    assert!(!fits("ten", "gt", 9) && !fits("NaN", "gt", 9) && !fits("inf", "gt", 9));
    assert!(matcher("gt", &json!(9)).matches(Value::Number(9.5)));
    assert!(!matcher("gt", &json!(9)).matches(Value::Number(f64::NAN)));
}

#[test]
fn a_number_equals_the_text_of_it() {
    assert!(matcher("equals", &json!(42)).matches(Value::Number(42.0)));
    assert!(matcher("equals", &json!("42.0")).matches(Value::Number(42.0)));
    assert!(matcher("in", &json!([41, 42])).matches(Value::Number(42.0)));
    assert!(matcher("contains", &json!("4")).matches(Value::Number(42.0)));
    assert!(matcher("equals", &json!(42)).matches(Value::Str("42")));
}

#[test]
fn a_truth_value_equals_the_word_for_it() {
    assert!(matcher("equals", &json!(true)).matches(Value::Bool(true)));
    assert!(matcher("equals", &json!("TRUE")).matches(Value::Bool(true)));
    assert!(!matcher("equals", &json!(true)).matches(Value::Bool(false)));
}

#[test]
fn of_several_values_one_has_to_fit() {
    let groups: [Arc<str>; 2] = ["staff".into(), "beta".into()];
    assert!(matcher("equals", &json!("BETA")).matches(Value::List(&groups)));
    assert!(!matcher("equals", &json!("gamma")).matches(Value::List(&groups)));
    assert!(!matcher("equals", &json!("gamma")).matches(Value::List(&[])));
}

#[test]
fn versions_and_moments_are_ordered() {
    assert!(fits("2.10.0", "semver_gt", "v2.9") && fits("2.0.0-rc.1", "semver_lt", "2"));
    assert!(
        fits("2", "semver_eq", "2.0.0") && fits("2", "semver_gte", 2) && fits("1.9", "semver_lte", "1.9")
    );
    assert!(!fits("unknown", "semver_lt", "2"));
    assert!(fits("2026-06-30T23:59:59Z", "before", "2026-07-01"));
    assert!(fits("2026-07-01T01:00:00+02:00", "before", "2026-07-01T00:00:00Z"));
    assert!(fits("2026-07-02", "after", "2026-07-01") && !fits("soon", "after", "2026-07-01"));
}

#[test]
fn addresses_are_looked_for_in_networks() {
    assert!(fits("10.1.2.3", "cidr", "192.168.0.0/16, 10.0.0.0/8"));
    assert!(!fits("11.1.2.3", "cidr", json!(["10.0.0.0/8", "2001:db8::/32"])));
    assert!(!fits("somewhere", "cidr", "10.0.0.0/8"));
}

#[test]
fn a_value_that_cannot_be_compared_with_is_refused_with_what_is_expected() {
    refused("gt", "ten", "a number, not with `ten`");
    refused("gt", "inf", "a number");
    refused("semver_gt", "latest", "a version such as");
    refused("after", "tomorrow", "a date such as");
    refused("cidr", "10.0.0.0/8, here", "`here` is not a network");
    refused("exists", "maybe", "`exists` takes `true`");
    refused("equals", json!(["a", "b"]), "use `in` for several");
    refused("not_equals", json!(["a", "b"]), "use `not_in`");
    refused("equals", json!(null), "needs a value");
    refused("in", " , ", "needs values");
    refused("in", json!([]), "needs values");
    refused("contains", "", "every text fits");
    refused("equals", "x".repeat(1001), "at most 1000 characters");
    refused("in", vec!["x,"; 10_001].join(""), "use a segment");
}

#[test]
fn a_bad_pattern_is_refused_with_the_reason_in_one_line() {
    refused("matches", "(a", "the pattern `(a` cannot be read: unclosed group");
    refused("matches", "(?=a)", "look-around");
    refused("matches", "a{1000}{1000}", "grows too large");
    refused("matches", "", "empty pattern");
    refused("matches", "x".repeat(1001), "at most 1000 characters");
}

#[test]
fn equal_texts_are_kept_once() {
    let mut texts = Interner::default();
    assert!(Arc::ptr_eq(&texts.text("developer"), &texts.text("developer")));
}

#[test]
fn conditions_stay_small() {
    assert!(size_of::<Matcher>() <= 24, "{}", size_of::<Matcher>());
    assert!(size_of::<crate::compile::CompiledCondition>() <= 32);
    assert!(size_of::<crate::compile::CompiledRule>() <= 64);
}
