//! An explanation as people read it: what decided, then each rule and condition with whether it holds.

use std::fmt::Write as _;

use serde_json::Value;

/// The explanation, one line per thing that was looked at. Signs are for terminals, words for everything else.
pub(super) fn of(explanation: &Value, terminal: bool) -> String {
    let mut story = Story { text: String::new(), terminal };
    story.plain(0, text(explanation, "summary"));
    for prerequisite in items(explanation, "prerequisites") {
        story.told(0, prerequisite, &format!("prerequisite {}", text(prerequisite, "flag")));
    }
    for target in items(explanation, "targets") {
        story.told(0, target, &format!("targets of {}", text(target, "variant")));
    }
    for (rule, number) in items(explanation, "rules").iter().zip(1..) {
        let name = [text(rule, "description"), text(rule, "id")].into_iter().find(|name| !name.is_empty());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        story.told(0, rule, &format!("rule {number}{name}"));
        for condition in items(rule, "conditions") {
            story.told(1, condition, "");
        }
        story.plain(1, text(rule.get("rollout").unwrap_or(&Value::Null), "why"));
    }
    story.plain(0, text(explanation.get("rollout").unwrap_or(&Value::Null), "why"));
    story.text
}

struct Story {
    text: String,
    terminal: bool,
}

impl Story {
    fn plain(&mut self, depth: usize, line: &str) {
        if !line.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{:width$}{line}", "", width = depth * 4);
        }
    }

    /// Whether `thing` holds, what it is, and why.
    fn told(&mut self, depth: usize, thing: &Value, name: &str) {
        let holds = thing.get("matched").and_then(Value::as_bool).unwrap_or_default();
        let sign = match (holds, self.terminal) {
            (true, true) => "✓",
            (false, true) => "✗",
            (true, false) => "yes",
            (false, false) => "no ",
        };
        let colon = if name.is_empty() { "" } else { ": " };
        self.plain(depth, &format!("{sign} {name}{colon}{}", text(thing, "why")));
    }
}

fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_and_condition_is_one_line_with_its_answer() {
        let explanation = json!({
            "summary": "rule 2 matched",
            "prerequisites": [{"flag": "base", "matched": true, "why": "gives `true`"}],
            "rules": [
                {"matched": false, "why": "no condition holds", "conditions": [{"matched": false, "why": "`role` is `user`"}]},
                {"matched": true, "description": "staff", "why": "decided", "conditions": [{"matched": true, "why": "`email` ends so"}]},
            ],
            "rollout": {"why": "not looked at"},
        });
        assert_eq!(
            of(&explanation, true),
            "rule 2 matched\n✓ prerequisite base: gives `true`\n✗ rule 1: no condition holds\n    ✗ `role` is `user`\n\
             ✓ rule 2 (staff): decided\n    ✓ `email` ends so\nnot looked at\n"
        );
        let words = of(&explanation, false);
        assert!(
            words.contains("no  rule 1: no condition") && words.contains("yes rule 2 (staff)"),
            "{words}"
        );
        assert!(!words.contains(['✓', '✗', '{']), "{words}");
    }

    #[test]
    fn an_explanation_that_is_not_there_is_nothing() {
        assert_eq!(of(&Value::Null, false), "");
    }
}
