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

/// Says so when a rollout counts users only: callers without an account are left out of it.
pub(super) fn give_of_rollout(client: &Client, flag: &Value) {
    if counts_users_only(flag) {
        client.printer.hint(
            "callers without an account have no `user_id`, so no part of a rollout: for a public site count addresses, with \
             `flag update --bucket-by ip`",
        );
    }
}

fn counts_users_only(flag: &Value) -> bool {
    let by =
        |rollout: &Value| rollout.get("bucket_by").and_then(Value::as_str).is_none_or(|by| by == "user_id");
    flag.get("rollout").filter(|rollout| !rollout.is_null()).is_some_and(by)
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
    fn a_rollout_by_users_leaves_out_who_has_no_account() {
        assert!(counts_users_only(&json!({"rollout": {"percentage": 100}})));
        assert!(counts_users_only(&json!({"rollout": {"percentage": 100, "bucket_by": "user_id"}})));
        assert!(!counts_users_only(&json!({"rollout": {"percentage": 100, "bucket_by": "ip"}})));
        assert!(!counts_users_only(&json!({"rollout": null})) && !counts_users_only(&json!({})));
    }

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
