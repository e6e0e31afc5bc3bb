//! The flag behind a function: its variants' values are versions.

use serde_json::{Value, json};

use super::at;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Exit, Failure, Outcome};

/// The variant that means the function's current version: its value is no number.
const CURRENT: &str = "current";

/// Lets `version` run for callers who meet `condition`, and for nobody else. Makes the flag when there is none, and
/// returns its key.
pub(super) async fn put_behind(
    client: &Client,
    function: &Value,
    version: u64,
    condition: &Value,
) -> Outcome<String> {
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let own = function.get("flag_key").and_then(Value::as_str).map(str::to_owned);
    let key = own.clone().unwrap_or_else(|| format!("{name}-version"));
    let flags = ["api", "v1", "flags"];
    let path = ["api", "v1", "flags", key.as_str()];
    match client.send(Call::get(&path).scoped()).await {
        Ok(answer) => {
            let changed = with_version(&answer.body, version, condition)?;
            client.call(Call::patch(&path, changed).scoped().if_match(answer.etag)).await?;
        }
        Err(failure) if failure.exit() == Exit::NotFound => {
            client.call(Call::post(&flags, new_flag(&key, name, version, condition)).scoped()).await?;
        }
        Err(failure) => return Err(failure),
    }
    if own.is_none() {
        // Only now, so that there is no moment with a flag that is not there.
        client.call(Call::patch(&at(name), json!({"flag_key": key})).scoped()).await?;
    }
    Ok(key)
}

fn new_flag(key: &str, function: &str, version: u64, condition: &Value) -> Value {
    let variant = format!("v{version}");
    json!({
        "key": key,
        "name": format!("Version of function {function}"),
        "description": format!("Chooses the version of function `{function}`; off: the current one"),
        "type": "string",
        "enabled": true,
        "variants": [{"name": CURRENT, "value": CURRENT}, {"name": variant, "value": version.to_string()}],
        "default_variant": CURRENT,
        "off_variant": CURRENT,
        "rules": [rule(condition, &variant, 1)],
    })
}

fn rule(condition: &Value, variant: &str, priority: usize) -> Value {
    let mut rule = condition.clone();
    document::set(&mut rule, "variant", variant);
    document::set(&mut rule, "priority", priority);
    rule
}

/// What to change of `flag`, so that its first rule gives `version` to who meets `condition`.
fn with_version(flag: &Value, version: u64, condition: &Value) -> Outcome<Value> {
    let value = version.to_string();
    let mut variants = flag.get("variants").and_then(Value::as_array).cloned().unwrap_or_default();
    if flag.get("type").and_then(Value::as_str) != Some("string") {
        let key = flag.get("key").and_then(Value::as_str).unwrap_or_default();
        return Err(Failure::new(
            Exit::Conflict,
            format!("flag `{key}` is there already, and not of type string"),
        )
        .hint("let the function use another flag with `flagbase fn set NAME --flag KEY`"));
    }
    let names = |variant: &Value| variant.get("value").and_then(Value::as_str) == Some(value.as_str());
    let there = variants.iter().find(|variant| names(variant)).and_then(|variant| variant.get("name"));
    let name = if let Some(name) = there.and_then(Value::as_str) {
        name.to_owned()
    } else {
        let name = format!("v{version}");
        variants.push(json!({"name": name, "value": value}));
        name
    };
    let before = flag.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let same = |rule: &Value| {
        let asked = |name: &str| rule.get(name) == condition.get(name);
        asked("attribute") && asked("operator") && asked("value") && asked("conditions")
    };
    let mut rules = vec![rule(condition, &name, 1)];
    for (mut other, priority) in before.into_iter().filter(|rule| !same(rule)).zip(2..) {
        document::set(&mut other, "priority", priority);
        rules.push(other);
    }
    Ok(json!({"variants": variants, "rules": rules, "enabled": true}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn developers() -> Value {
        json!({"attribute": "role", "operator": "equals", "value": "developer"})
    }

    #[test]
    fn a_new_flag_gives_the_version_to_those_and_the_current_one_to_all_others() {
        let flag = new_flag("hello-version", "hello", 2, &developers());
        assert_eq!(flag["variants"][1], json!({"name": "v2", "value": "2"}));
        assert_eq!((&flag["default_variant"], &flag["off_variant"]), (&json!("current"), &json!("current")));
        assert_eq!(flag["rules"][0]["variant"], "v2");
        assert_eq!(flag["rules"][0]["attribute"], "role");
    }

    #[test]
    fn the_same_people_get_the_newest_version_and_others_keep_theirs() {
        let mut flag = new_flag("hello-version", "hello", 2, &developers());
        let testers = json!({"attribute": "groups", "operator": "in", "value": "testers"});
        let change = with_version(&flag, 3, &testers).unwrap();
        assert_eq!(change["rules"][0]["variant"], "v3");
        assert_eq!(
            (&change["rules"][1]["variant"], &change["rules"][1]["priority"]),
            (&json!("v2"), &json!(2))
        );
        flag["rules"] = change["rules"].clone();
        flag["variants"] = change["variants"].clone();
        let change = with_version(&flag, 4, &developers()).unwrap();
        assert_eq!(change["rules"].as_array().unwrap().len(), 2);
        assert_eq!(change["variants"].as_array().unwrap().len(), 4);
        // A version that has a variant does not get a second one.
        let again = with_version(&flag, 2, &developers()).unwrap();
        assert_eq!(again["variants"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_flag_that_is_no_string_is_left_alone() {
        let flag = json!({"key": "x", "type": "boolean"});
        assert!(with_version(&flag, 2, &developers()).is_err());
    }
}
