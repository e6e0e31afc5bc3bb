//! Documents given on the command line: files, values, and rules as people write them.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::exit::{Failure, Outcome};

/// Reads a JSON or YAML document from a file, or from standard input when the file is `-`.
pub(crate) fn read(file: &Path) -> Outcome<Value> {
    let name = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|content| text = content)
    };
    read.map_err(|error| Failure::usage(format!("`{name}` cannot be read: {error}")))?;
    // YAML contains JSON, so that one reader serves both.
    serde_norway::from_str(&text)
        .map_err(|error| Failure::usage(format!("`{name}` is neither JSON nor YAML: {error}")))
}

/// A value as typed: JSON when it is, text otherwise.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// `NAME=VALUE` pairs as a document.
pub(crate) fn pairs(pairs: &[String]) -> Outcome<Value> {
    let mut document = Map::new();
    for pair in pairs {
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{pair}` is not NAME=VALUE")).hint("write it like `role=developer`")
        })?;
        document.insert(name.to_owned(), value(text));
    }
    Ok(Value::Object(document))
}

/// `ATTRIBUTE OPERATOR [VALUE]`, such as `email ends_with @example.com`; only `exists` can do without the value.
pub(crate) fn condition(text: &str) -> Outcome<Value> {
    let mut words = text.trim().splitn(3, char::is_whitespace);
    let (Some(attribute), Some(operator)) = (words.next(), words.next()) else {
        return Err(Failure::usage(format!("`{text}` is not a condition"))
            .hint("write ATTRIBUTE OPERATOR VALUE, such as `role equals developer`"));
    };
    let value = match (words.next(), operator) {
        (Some(text), _) => Value::from(text.trim()),
        (None, "exists") => Value::Bool(true),
        (None, _) => {
            return Err(Failure::usage(format!("`{text}` does not say what to compare with"))
                .hint("write ATTRIBUTE OPERATOR VALUE, such as `role equals developer`"));
        }
    };
    Ok(json!({"attribute": attribute, "operator": operator, "value": value}))
}

/// `CONDITION [and CONDITION]… [=> VARIANT]`, such as `role equals developer => true`.
pub(crate) fn rule(text: &str, priority: usize) -> Outcome<Value> {
    let (conditions, variant) = match text.rsplit_once("=>") {
        Some((conditions, variant)) => (conditions, value(variant.trim())),
        None => (text, Value::Bool(true)),
    };
    let conditions: Vec<Value> = conditions.split(" and ").map(condition).collect::<Outcome<_>>()?;
    let mut rule = match conditions.as_slice() {
        [one] => one.clone(),
        several => json!({"conditions": several}),
    };
    set(&mut rule, "priority", priority);
    set(&mut rule, "variant", variant);
    Ok(rule)
}

/// Sets a member of an object.
pub(crate) fn set(document: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(members) = document {
        members.insert(name.to_owned(), value.into());
    }
}

/// Sets a member when there is something to set.
pub(crate) fn set_some(document: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        set(document, name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_with_one_condition_takes_the_short_form() {
        assert_eq!(
            rule("role equals developer", 1).unwrap(),
            json!({"attribute": "role", "operator": "equals", "value": "developer", "priority": 1, "variant": true}),
        );
    }

    #[test]
    fn a_condition_without_a_value_asks_whether_it_holds() {
        assert_eq!(
            condition("plan exists").unwrap(),
            json!({"attribute": "plan", "operator": "exists", "value": true})
        );
        assert!(condition("role equals").is_err());
    }

    #[test]
    fn a_rule_with_several_conditions_and_a_variant_takes_the_full_form() {
        assert_eq!(
            rule("email ends_with @example.com and groups in beta, staff => blue", 2).unwrap(),
            json!({
                "conditions": [
                    {"attribute": "email", "operator": "ends_with", "value": "@example.com"},
                    {"attribute": "groups", "operator": "in", "value": "beta, staff"},
                ],
                "priority": 2,
                "variant": "blue",
            }),
        );
    }

    #[test]
    fn a_condition_without_an_operator_says_how_to_write_one() {
        let failure = condition("role").unwrap_err();
        assert!(failure.to_string().contains("ATTRIBUTE OPERATOR VALUE"), "{failure}");
    }

    #[test]
    fn values_are_json_when_they_can_be() {
        assert_eq!(value("true"), json!(true));
        assert_eq!(value("1.5"), json!(1.5));
        assert_eq!(value("blue"), json!("blue"));
        assert_eq!(pairs(&["a=1".into(), "b=x=y".into()]).unwrap(), json!({"a": 1, "b": "x=y"}));
        assert!(pairs(&["novalue".into()]).is_err());
    }

    #[test]
    fn files_may_be_json_or_yaml() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("flag");
        std::fs::write(&path, r#"{"key": "a"}"#).unwrap();
        assert_eq!(read(&path).unwrap(), json!({"key": "a"}));
        std::fs::write(&path, "key: a\nrules: []\n").unwrap();
        assert_eq!(read(&path).unwrap(), json!({"key": "a", "rules": []}));
        std::fs::write(&path, "a: [").unwrap();
        assert!(read(&path).is_err());
    }
}
