//! What fits is taken, and what does not is told in the words of JSON.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Letter {
    address: String,
    #[serde(default)]
    stamps: Vec<u8>,
    #[serde(default)]
    urgent: Option<bool>,
    #[serde(default)]
    sender: Option<Sender>,
    #[serde(default)]
    weights: BTreeMap<String, f64>,
    #[serde(default)]
    kind: Kind,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Sender {
    name: String,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Plain,
    Registered,
}

fn fault(value: &Value) -> String {
    shape::<Letter>(value).unwrap_err().message
}

#[test]
fn a_letter_that_fits_is_read() {
    let letter: Letter =
        shape(&json!({"address": "here", "stamps": [1, 2], "urgent": null, "sender": {"name": "alice"},
        "weights": {"g": 20}, "kind": "registered"}))
        .unwrap();
    assert_eq!(letter.stamps, [1, 2]);
    assert_eq!(letter.sender, Some(Sender { name: "alice".into() }));
    assert_eq!((letter.weights["g"], letter.kind), (20.0, Kind::Registered));
}

#[test]
fn members_in_order_are_no_object_at_the_root_or_below() {
    assert_eq!(fault(&json!([])), "expected an object, got an array");
    assert_eq!(fault(&json!(["here", [], null])), "expected an object, got an array");
    assert_eq!(fault(&json!("here")), "expected an object, got `\"here\"`");
    assert_eq!(fault(&json!(null)), "expected an object, got null");
    assert_eq!(
        fault(&json!({"address": "here", "sender": ["alice"]})),
        "/sender: expected an object, got an array"
    );
    assert_eq!(shape::<Vec<u8>>(&json!([1])).unwrap(), [1], "a list is still a list");
}

#[test]
fn faults_say_where_and_speak_json() {
    for (value, says) in [
        (json!({}), "/address: `address` is missing"),
        (json!({"address": 1}), "/address: expected a string, got `1`"),
        (
            json!({"address": "x", "stamps": [1, "x"]}),
            "/stamps/1: expected a whole number, 0 or more, got `\"x\"`",
        ),
        (json!({"address": "x", "stamps": [-1]}), "/stamps/0: expected a whole number, 0 or more, got `-1`"),
        (json!({"address": "x", "stamps": {}}), "/stamps: expected an array, got an object"),
        (json!({"address": "x", "urgent": "yes"}), "/urgent: expected `true` or `false`, got `\"yes\"`"),
        (json!({"address": "x", "weights": []}), "/weights: expected an object, got an array"),
        (json!({"address": "x", "weights": {"a/b": "x"}}), "/weights/a~1b: expected a number, got `\"x\"`"),
        (json!({"adress": "x"}), "/adress: unknown member `adress`; did you mean `address`?"),
        (
            json!({"address": "x", "kind": "registred"}),
            "/kind: `registred` is not known here; did you mean `registered`?",
        ),
        (json!({"address": "x", "kind": 3}), "/kind: expected a string, got `3`"),
        (json!({"address": "x", "sender": {}}), "/sender/name: `name` is missing"),
    ] {
        assert_eq!(fault(&value), says, "{value}");
    }
}

proptest! {
    #[test]
    fn no_message_names_a_type_of_ours(text in r#"(\[|\{"(address|stamps|sender|kind|urgent|weights|x)":)?("a"|1|-1|1\.5|null|true|\[\]|\{\}|\[\[\]\])"#) {
        let closing = match text.chars().next() { Some('{') => "}", Some('[') if text.matches('[').count() > text.matches(']').count() => "]", _ => "" };
        let value: Value = serde_json::from_str(&format!("{text}{closing}")).unwrap_or_default();
        if let Err(refusal) = shape::<Letter>(&value) {
            for word in ["struct", "Letter", "Sender", "Kind", "enum", "u8", "f64", "sequence"] {
                prop_assert!(!refusal.message.contains(word), "{}", refusal.message);
            }
            prop_assert!(!refusal.message.starts_with(": "), "{}", refusal.message);
        }
    }
}
