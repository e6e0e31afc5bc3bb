//! Reading a guard as people write it.

use flagbase_engine::{
    Fault,
    guard::{AbsoluteCount, Rule},
};
use serde_json::{Value, json};

use super::Guard;
use crate::{
    environments::is_key,
    flags,
    metrics::check_event_type,
    refusal::Refusal,
    shape::{object, shape},
    snapshot::EnvironmentSnapshot,
};

/// Longer windows than a day are for statistics, not for guards.
const WINDOW: std::ops::RangeInclusive<u64> = 10..=86_400;

/// The guard in `body`, called `key` by the address.
pub(super) fn read(body: &Value, key: &str, environment: &EnvironmentSnapshot) -> Result<Guard, Refusal> {
    let mut object = object(body)?.clone();
    if let Some(said) = object.get("key").filter(|said| said.as_str() != Some(key)) {
        let message = format!("the body says `{said}`, the address `{key}`; a key cannot be changed");
        return Err(Refusal::fault("/key", message));
    }
    object.insert("key".to_owned(), json!(key));
    object.entry("enabled").or_insert(json!(true));
    // What the server shows beside the guard may come back with it.
    for shown in ["environment", "revision", "created_at", "updated_at"] {
        object.remove(shown);
    }
    let guard: Guard = shape(&Value::Object(object))?;
    let faults = faults(&guard, environment);
    if faults.is_empty() { Ok(guard) } else { Err(Refusal::invalid(faults)) }
}

fn faults(guard: &Guard, environment: &EnvironmentSnapshot) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_key(&guard.key) {
        faults.push(Fault::new("/key", "use 1 to 64 lower-case letters, digits, `-` or `_`"));
    }
    if guard.name.chars().count() > 200 {
        faults.push(Fault::new("/name", "is longer than 200 characters; shorten it"));
    }
    if guard.flags.len() > 1000 {
        faults.push(Fault::new("/flags", "names more than 1000 flags; leave it empty to watch all"));
        return faults;
    }
    for (at, key) in guard.flags.iter().enumerate() {
        if environment.rules.flag(key).is_none() {
            faults.push(Fault::new(format!("/flags/{at}"), flags::not_found(environment, key).message));
        }
    }
    let Rule::AbsoluteCount(AbsoluteCount { window_seconds, event_type, .. }) = &guard.rule;
    if !WINDOW.contains(window_seconds) {
        faults.push(Fault::new(
            "/rule/window_seconds",
            format!("`{window_seconds}` is not between {} and {} seconds", WINDOW.start(), WINDOW.end()),
        ));
    }
    if let Err(message) = check_event_type(event_type) {
        faults.push(Fault::new("/rule/event_type", message));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environments::{Environment, EnvironmentKind};

    fn reading(body: &Value) -> Result<Guard, Refusal> {
        let environment = Environment {
            key: "e".into(),
            name: String::new(),
            kind: EnvironmentKind::default(),
            attributes: Vec::new(),
        };
        read(body, "g", &EnvironmentSnapshot::new(environment))
    }

    #[test]
    fn a_guard_needs_no_more_than_its_rule() {
        let guard = reading(&json!({"rule": {"type": "absolute_count"}})).unwrap();
        assert_eq!(guard, Guard { key: "g".into(), name: String::new(), ..Guard::default_for("e") });
    }

    #[test]
    fn what_was_read_can_be_sent_back() {
        let sent = json!({"key": "g", "name": "", "enabled": false, "flags": [], "revision": 3, "environment": "e",
            "rule": {"type": "absolute_count", "event_type": "error", "more_than": 5, "window_seconds": 60}});
        assert!(!reading(&sent).unwrap().enabled);
    }

    #[test]
    fn nonsense_is_told_with_its_place() {
        let rule = |name: &str, value: Value| {
            let mut rule = json!({"type": "absolute_count"});
            rule[name] = value;
            json!({ "rule": rule })
        };
        for (body, place, says) in [
            (json!([]), "", "expected an object"),
            (json!({}), "/rule", "`rule` is missing"),
            (json!({"rule": {"type": "magic"}}), "/rule/type", "`magic` is not known here"),
            (rule("window_seconds", json!(5)), "/rule/window_seconds", "not between 10 and 86400"),
            (rule("event_type", json!("E")), "/rule/event_type", "cannot be a type"),
            (rule("more_than", json!(-1)), "/rule", "expected a whole number, 0 or more, got `-1`"),
            (json!({"key": "h", "rule": {"type": "absolute_count"}}), "/key", "cannot be changed"),
            (json!({"flags": ["x"], "rule": {"type": "absolute_count"}}), "/flags/0", "`x` not found"),
            (json!({"colour": 1, "rule": {"type": "absolute_count"}}), "/colour", "unknown member `colour`"),
        ] {
            let refusal = reading(&body).unwrap_err();
            let fault = refusal.faults.first().unwrap();
            assert_eq!(fault.pointer, place, "{fault}");
            assert!(fault.message.contains(says), "{fault}: expected {says}");
        }
    }
}
