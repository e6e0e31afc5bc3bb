//! The flag behind a function: its variants' values are versions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::at;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Exit, Failure, Outcome};

/// The variant that means the function's current version: its value is no number.
const CURRENT: &str = "current";

/// Versions that a new flag has variants for, at most.
const MOST_VARIANTS: usize = 20;

const FLAGS: [&str; 3] = ["api", "v1", "flags"];

/// The key of a function's flag when we make it.
pub(super) fn own_key(name: &str) -> String {
    format!("{name}-version")
}

/// The flag that a function asks.
pub(super) fn key_of(function: &Value) -> Option<&str> {
    function.get("flag_key").and_then(Value::as_str)
}

/// Refuses what would do more, or less, than who puts a version behind the flag expects: said before anything is deployed.
pub(super) async fn check(client: &Client, name: &str, enable: bool) -> Outcome {
    let function = found(client.call(Call::get(&at(name)).scoped()).await)?.unwrap_or_default();
    let own = key_of(&function);
    let key = own.map_or_else(|| own_key(name), str::to_owned);
    let [api, v1, flags] = FLAGS;
    let Some(flag) = found(client.call(Call::get(&[api, v1, flags, &key]).scoped()).await)? else {
        return Ok(());
    };
    if own.is_none() {
        let message = format!("flag `{key}` is there already, and function `{name}` does not use it");
        return Err(Failure::new(Exit::Conflict, message).hint(format!(
            "let it use that flag, with the rules it has: `flagbase fn set {name} --flag {key}` (with --create when it is not there); or delete the flag first: \
             `flagbase flag delete {key}`"
        )));
    }
    if enable || flag.get("enabled") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let history = Call::get(&[api, v1, flags, &key, "history"]).scoped().query("limit", 20);
    let history = client.call(history).await.unwrap_or_default();
    let message = format!("flag `{key}` is off{}; nothing was changed", off_since(&history));
    Err(Failure::new(Exit::Conflict, message).hint(format!(
        "while it is off, everybody gets the current version; --enable turns it on as well, with all its rules: look at them with \
         `flagbase flag get {key}`"
    )))
}

/// Who turned a flag off and why, as far as its history says.
fn off_since(history: &Value) -> String {
    let mut changes = history.as_array().into_iter().flatten();
    let part = |change: &Value, pointer: &str| {
        change.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let Some(change) = changes.find(|change| part(change, "/verb") == "disabled") else {
        return String::new();
    };
    let who = match part(change, "/actor/kind").as_str() {
        "guard" => format!("guard `{}`", part(change, "/actor/name")),
        _ => part(change, "/actor/name"),
    };
    let why = match part(change, "/reason") {
        reason if reason.is_empty() => reason,
        reason => format!(": {reason}"),
    };
    format!(" ({who} turned it off{why})")
}

/// Says so when a flag gives some callers another version than the current one, which was just changed.
pub(super) async fn tell_of_others(client: &Client, function: &Value) {
    let current = function.get("current").and_then(Value::as_u64);
    let others = given(client, function).await.into_iter().any(|version| Some(version) != current);
    if let Some(key) = key_of(function).filter(|_| others) {
        client.printer.hint(&format!(
            "flag `{key}` gives some callers another version, perhaps you: `flagbase flag get {key}` shows whom, and \
             `flagbase flag disable {key}` gives all of them the current one"
        ));
    }
}

/// The versions that the function's flag gives by number: all of them to some, or one to all.
pub(super) async fn given(client: &Client, function: &Value) -> BTreeSet<u64> {
    let Some(key) = key_of(function) else { return BTreeSet::new() };
    let [api, v1, flags] = FLAGS;
    // Advice only: who may not read flags goes without it.
    let flag = client.call(Call::get(&[api, v1, flags, key]).scoped()).await;
    flag.map(|flag| given_by(&flag)).unwrap_or_default()
}

fn given_by(flag: &Value) -> BTreeSet<u64> {
    if flag.get("enabled") != Some(&Value::Bool(true)) {
        return BTreeSet::new();
    }
    let mut named: BTreeSet<&str> = flag.get("default_variant").and_then(Value::as_str).into_iter().collect();
    for member in ["rules", "rollout", "targets"] {
        variants_in(flag.get(member).unwrap_or(&Value::Null), &mut named);
    }
    let variants = flag.get("variants").and_then(Value::as_array).into_iter().flatten();
    let served =
        variants.filter(|it| it.get("name").and_then(Value::as_str).is_some_and(|name| named.contains(name)));
    let number = |value: &str| value.strip_prefix('v').unwrap_or(value).parse().ok();
    served.filter_map(|variant| number(variant.get("value")?.as_str()?)).collect()
}

/// All members `variant` of `part`, however deep.
fn variants_in<'a>(part: &'a Value, named: &mut BTreeSet<&'a str>) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| variants_in(item, named)),
        Value::Object(members) => {
            named.extend(members.get("variant").and_then(Value::as_str));
            members.values().for_each(|member| variants_in(member, named));
        }
        _ => {}
    }
}

/// Makes the function's flag when it has none, so that every version can be tried out by whoever wants to. Returns its key;
/// `None` when there is no flag, because somebody else's has its name, or because one may not make flags.
pub(super) async fn ensure(client: &Client, function: &Value) -> Outcome<Option<String>> {
    if let Some(key) = key_of(function) {
        return Ok(Some(key.to_owned()));
    }
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let key = own_key(name);
    match client.call(Call::post(&FLAGS, new_flag(&key, function, None)).scoped()).await {
        Err(failure) if matches!(failure.exit(), Exit::Conflict | Exit::NotAllowed) => return Ok(None),
        made => made?,
    };
    client.call(Call::patch(&at(name), json!({"flag_key": key})).scoped()).await?;
    Ok(Some(key))
}

/// Lets `version` run for callers who meet `condition`, and for nobody else. Makes the flag when there is none, and turns it
/// on when that is asked for; returns its key.
pub(super) async fn put_behind(
    client: &Client,
    function: &Value,
    (version, condition): (u64, &Value),
    enable: bool,
) -> Outcome<String> {
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let own = key_of(function).map(str::to_owned);
    let key = own.clone().unwrap_or_else(|| own_key(name));
    let [api, v1, flags] = FLAGS;
    let path = [api, v1, flags, key.as_str()];
    match client.send(Call::get(&path).scoped()).await {
        Ok(answer) => {
            let mut changed = with_version(&answer.body, version, condition)?;
            if enable {
                document::set(&mut changed, "enabled", true);
            }
            client.call(Call::patch(&path, changed).scoped().if_match(answer.etag)).await?;
        }
        Err(failure) if failure.exit() == Exit::NotFound => {
            let flag = new_flag(&key, function, Some((version, condition)));
            client.call(Call::post(&FLAGS, flag).scoped()).await?;
        }
        Err(failure) => return Err(failure),
    }
    if own.is_none() {
        // Only now, so that there is no moment with a flag that is not there.
        client.call(Call::patch(&at(name), json!({"flag_key": key})).scoped()).await?;
    }
    Ok(key)
}

/// What callers get whom the flag gives no version, in words.
pub(super) fn for_others(function: &Value) -> String {
    let current = function.get("current").and_then(Value::as_u64);
    current.map_or_else(|| "nothing".to_owned(), |current| format!("version {current}"))
}

/// What was found; `None` when it is not there.
fn found(answer: Outcome<Value>) -> Outcome<Option<Value>> {
    match answer {
        Err(failure) if failure.exit() == Exit::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// A flag with a variant for each of the newest versions, which gives one of them to who meets the condition.
pub(super) fn new_flag(key: &str, function: &Value, given: Option<(u64, &Value)>) -> Value {
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let versions = function.get("versions").and_then(Value::as_array).into_iter().flatten();
    let mut numbers: Vec<u64> = versions.filter_map(|version| version.get("number")?.as_u64()).collect();
    numbers.extend(given.map(|(version, _)| version));
    numbers.sort_unstable();
    numbers.dedup();
    let newest = numbers.iter().skip(numbers.len().saturating_sub(MOST_VARIANTS));
    let mut variants = vec![json!({"name": CURRENT, "value": CURRENT})];
    variants.extend(newest.map(|number| json!({"name": format!("v{number}"), "value": number.to_string()})));
    let rules: Vec<_> =
        given.iter().map(|(version, condition)| rule(condition, &format!("v{version}"), 1)).collect();
    json!({
        "key": key,
        "name": format!("Version of function {name}"),
        "description": format!("Chooses the version of function `{name}`; off: the current one"),
        "type": "string",
        "enabled": true,
        "variants": variants,
        "default_variant": CURRENT,
        "off_variant": CURRENT,
        "rules": rules,
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
    Ok(json!({"variants": variants, "rules": rules}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn developers() -> Value {
        json!({"attribute": "role", "operator": "equals", "value": "developer"})
    }

    /// The flag of function `hello` with two versions, the second of which developers get.
    fn hello() -> Value {
        let function = json!({"name": "hello", "versions": [{"number": 1}, {"number": 2}]});
        new_flag("hello-version", &function, Some((2, &developers())))
    }

    #[test]
    fn the_versions_that_a_flag_gives_are_those_of_its_rules_and_weights() {
        let mut flag = hello();
        assert_eq!(given_by(&flag), BTreeSet::from([2]));
        document::set(
            &mut flag,
            "rollout",
            json!({"weights": [{"variant": "v1", "weight": 10}, {"variant": "current", "weight": 90}]}),
        );
        assert_eq!(given_by(&flag), BTreeSet::from([1, 2]));
        document::set(&mut flag, "enabled", false);
        assert!(given_by(&flag).is_empty() && given_by(&json!({"enabled": true, "rules": []})).is_empty());
    }

    #[test]
    fn a_new_flag_gives_the_version_to_those_and_the_current_one_to_all_others() {
        let flag = hello();
        assert_eq!(flag["variants"][2], json!({"name": "v2", "value": "2"}));
        assert_eq!((&flag["default_variant"], &flag["off_variant"]), (&json!("current"), &json!("current")));
        assert_eq!(flag["rules"][0]["variant"], "v2");
        assert_eq!(flag["rules"][0]["attribute"], "role");
    }

    #[test]
    fn the_same_people_get_the_newest_version_and_others_keep_theirs() {
        let mut flag = hello();
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
        assert_eq!(change["variants"].as_array().unwrap().len(), 5);
        // A version that has a variant does not get a second one.
        let again = with_version(&flag, 2, &developers()).unwrap();
        assert_eq!(again["variants"].as_array().unwrap().len(), 4);
        assert!(again.get("enabled").is_none(), "a flag that is off stays off");
    }

    #[test]
    fn a_new_flag_has_the_newest_versions_and_gives_them_to_nobody_unasked() {
        let versions: Vec<_> = (1..=30).map(|number| json!({"number": number})).collect();
        let flag = new_flag("x-version", &json!({"name": "x", "versions": versions}), None);
        let names: Vec<_> = flag["variants"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert_eq!(
            (names.len(), names[0], names[1], names[20]),
            (21, &json!("current"), &json!("v11"), &json!("v30"))
        );
        assert_eq!(flag["rules"], json!([]));
    }

    #[test]
    fn who_turned_a_flag_off_is_said() {
        let history = json!([
            {"verb": "updated", "actor": {"kind": "user", "name": "alice@example.com"}, "reason": ""},
            {"verb": "disabled", "actor": {"kind": "guard", "name": "default"}, "reason": "11 errors"},
            {"verb": "disabled", "actor": {"kind": "user", "name": "bob@example.com"}, "reason": "older"},
        ]);
        assert_eq!(off_since(&history), " (guard `default` turned it off: 11 errors)");
        assert_eq!(off_since(&json!([])), "");
    }

    #[test]
    fn a_flag_that_is_no_string_is_left_alone() {
        let flag = json!({"key": "x", "type": "boolean"});
        assert!(with_version(&flag, 2, &developers()).is_err());
    }
}
