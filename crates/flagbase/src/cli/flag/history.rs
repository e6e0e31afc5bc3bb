//! `flagbase flag history` and `revert`.

use serde_json::{Value, json};

use super::{ONE, under};
use crate::cli::client::{Call, Client};
use crate::exit::Outcome;
use crate::output::{Format, View};

const CHANGES: View = View(&[
    ("revision", "/revision"),
    ("when", "/at"),
    ("who", "/actor/name"),
    ("what", "/verb"),
    ("why", "/reason"),
    ("changed", "/changed"),
]);

pub(super) async fn show(client: &Client, key: &str, limit: usize) -> Outcome {
    let call = Call::get(&under(key, "history")).scoped().query("limit", limit);
    let mut changes = client.call(call).await?;
    if client.printer.format == Format::Table {
        for change in changes.as_array_mut().into_iter().flatten() {
            let names = changed(change);
            crate::cli::document::set(change, "changed", names);
        }
    }
    client.print(&changes, &CHANGES)
}

pub(super) async fn revert(client: &Client, key: &str, revision: u64) -> Outcome {
    let body = json!({"revision": revision});
    let flag = client.call(Call::post(&under(key, "revert"), body).scoped()).await?;
    client.changed(&format!("flag `{key}` is again what it was at revision {revision}"), &flag, &ONE)
}

/// The members that differ between before and after.
fn changed(change: &Value) -> Vec<String> {
    let side = |name: &str| change.get(name).and_then(Value::as_object);
    let (Some(before), Some(after)) = (side("before"), side("after")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)))
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect();
    names.retain(|name| !matches!(name.as_str(), "revision" | "updated_at"));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_the_members_that_differ() {
        let change = json!({
            "before": {"enabled": true, "name": "a", "gone": 1, "revision": 1},
            "after": {"enabled": false, "name": "a", "new": 1, "revision": 2},
        });
        assert_eq!(changed(&change), ["enabled", "gone", "new"]);
        assert!(changed(&json!({"before": null, "after": {}})).is_empty());
    }
}
