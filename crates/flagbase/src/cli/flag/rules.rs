//! Rules as people write them.

use serde_json::Value;

use crate::cli::document;

/// The flag with its rules as text, one line each, in the form `--rule` takes.
pub(super) fn readable(mut flag: Value) -> Value {
    let rules = flag.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !rules.is_empty() {
        let lines: Vec<String> = rules.iter().map(rule).collect();
        document::set(&mut flag, "rules", lines.join("\n"));
    }
    flag
}

fn rule(rule: &Value) -> String {
    let conditions = match rule.get("conditions").and_then(Value::as_array) {
        Some(several) => several.iter().map(condition).collect::<Vec<_>>().join(" and "),
        None => condition(rule),
    };
    match (rule.get("variant"), rule.pointer("/rollout/weights").and_then(Value::as_array)) {
        (Some(variant), _) => format!("{conditions} => {}", text(variant)),
        (None, Some(weights)) => {
            let share = |share: &Value| {
                let part = |name: &str| share.get(name).map(text).unwrap_or_default();
                format!("{} {}", part("variant"), part("weight"))
            };
            format!("{conditions} => {}", weights.iter().map(share).collect::<Vec<_>>().join(", "))
        }
        (None, None) => match rule.pointer("/rollout/percentage") {
            Some(percentage) => format!("{conditions} => {percentage} %"),
            None => conditions,
        },
    }
}

fn condition(condition: &Value) -> String {
    ["attribute", "operator", "value"]
        .into_iter()
        .filter_map(|member| condition.get(member).map(text))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_is_one_line_as_it_is_typed() {
        let flag = json!({"rules": [
            {"attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1},
            {"conditions": [
                {"attribute": "country", "operator": "in", "value": ["de", "at"]},
                {"operator": "in_segment", "value": "staff"},
            ], "variant": "blue"},
            {"attribute": "plan", "operator": "exists", "value": true, "rollout": {"percentage": 5}},
            {"attribute": "plan", "operator": "exists", "rollout": {"weights": [
                {"variant": "a", "weight": 10}, {"variant": "b", "weight": 90}]}},
        ]});
        let lines = "role equals developer => true\ncountry in de,at and in_segment staff => blue\n\
                     plan exists true => 5 %\nplan exists => a 10, b 90";
        assert_eq!(readable(flag)["rules"], lines);
    }

    #[test]
    fn no_rules_stay_none() {
        assert_eq!(readable(json!({"rules": []})), json!({"rules": []}));
    }
}
