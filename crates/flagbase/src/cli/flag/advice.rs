//! What probably was not meant, said after a change.

use serde_json::Value;

use super::is_on;
use crate::cli::client::Client;

/// Says so when a flag is on without a difference for anybody.
pub(super) fn give(client: &Client, flag: &Value) {
    if serves_nobody(flag) {
        client.printer.hint(
            "on, but everybody gets `false`: add a --rule, a --rollout or --default true to `flag update`",
        );
    }
}

/// Whether the flag is on and nothing in it gives anybody anything but `false`.
fn serves_nobody(flag: &Value) -> bool {
    let none = |member: &str| match flag.get(member) {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(_) => false,
    };
    is_on(flag)
        && flag.get("default_value") == Some(&Value::Bool(false))
        && ["rules", "rollout", "targets"].into_iter().all(none)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flag_that_is_on_for_nobody_is_noticed() {
        let flag =
            json!({"enabled": true, "default_value": false, "rules": [], "rollout": null, "targets": []});
        assert!(serves_nobody(&flag));
        for (member, value) in [
            ("enabled", json!(false)),
            ("default_value", json!(true)),
            ("default_value", json!("plain")),
            ("rules", json!([{"attribute": "role"}])),
            ("rollout", json!({"percentage": 5})),
            ("targets", json!([{"values": ["42"]}])),
        ] {
            let mut other = flag.clone();
            other[member] = value;
            assert!(!serves_nobody(&other), "{other}");
        }
    }
}
