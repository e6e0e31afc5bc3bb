//! Columns for people, taken from JSON documents.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Number, Value};

/// What stands where there is nothing.
const NOTHING: &str = "–";

/// Which parts of a document become columns: a heading and where its value is, as a JSON pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View(pub(crate) &'static [(&'static str, &'static str)]);

impl View {
    /// Shows every top-level member.
    pub(crate) const ALL: Self = Self(&[]);

    /// A list becomes rows, a single document a list of its members.
    pub(crate) fn render(&self, data: &Value) -> String {
        match data {
            Value::Array(items) if items.is_empty() => "nothing to show".to_owned(),
            Value::Array(items) => self.rows(items),
            other => self.members(other),
        }
    }

    fn rows(&self, items: &[Value]) -> String {
        let mut table = plain_table();
        if self.0.is_empty() {
            for item in items {
                table.add_row([cell(item)]);
            }
            return trimmed(&table);
        }
        table.set_header(self.0.iter().map(|(heading, _)| heading.to_uppercase()));
        for item in items {
            table.add_row(self.0.iter().map(|(_, at)| item.pointer(at).map_or_else(String::new, cell)));
        }
        trimmed(&table)
    }

    fn members(&self, document: &Value) -> String {
        let mut table = plain_table();
        match document {
            Value::Object(members) if self.0.is_empty() => {
                for (name, value) in members {
                    table.add_row([name.clone(), cell(value)]);
                }
            }
            Value::Object(_) => {
                for (heading, at) in self.0 {
                    if let Some(value) = document.pointer(at) {
                        table.add_row([(*heading).to_owned(), cell(value)]);
                    }
                }
            }
            plain => return cell(plain),
        }
        trimmed(&table)
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// Trailing blanks would end up in whatever people paste the table into.
fn trimmed(table: &Table) -> String {
    table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A value in words: never JSON, which nobody reads in a column.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Object(members) if members.is_empty() => NOTHING.to_owned(),
        Value::String(text) => moment(text).unwrap_or(text).to_owned(),
        Value::Number(number) => rounded(number),
        Value::Array(items) if items.iter().all(is_plain) => joined(items.iter().map(cell), ", "),
        Value::Array(items) if items.iter().all(is_short) => joined(items.iter().map(cell), "; "),
        Value::Array(items) if items.len() == 1 => "1 item".to_owned(),
        Value::Array(items) => format!("{} items", items.len()),
        Value::Object(members) => {
            let separator = if members.values().all(is_plain) { ", " } else { "; " };
            joined(members.iter().map(|(name, value)| format!("{name}: {}", cell(value))), separator)
        }
        Value::Bool(value) => value.to_string(),
    }
}

fn joined(parts: impl Iterator<Item = String>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

fn is_plain(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Whether it fits among others in one cell.
fn is_short(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.len() <= 3 && members.values().all(is_plain))
}

/// A number with at most four digits behind the point.
fn rounded(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => {
            let shown = format!("{float:.4}");
            shown.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        None => number.to_string(),
    }
}

/// A point in time without fractions of a second, which nobody reads.
fn moment(text: &str) -> Option<&str> {
    let (seconds, _) = text.split_once('.')?;
    let is_time = seconds.len() == "2026-01-31T12:00:00".len() && text.ends_with('Z');
    is_time.then_some(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VIEW: View = View(&[("key", "/key"), ("on", "/enabled"), ("deep", "/a/b")]);

    #[test]
    fn a_list_becomes_rows_under_headings() {
        let shown = VIEW.render(&json!([{"key": "a", "enabled": true, "a": {"b": [1, 2]}}, {"key": "b"}]));
        let lines: Vec<_> = shown.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(lines, [vec!["KEY", "ON", "DEEP"], vec!["a", "true", "1,", "2"], vec!["b"]]);
    }

    #[test]
    fn a_document_becomes_its_members() {
        let shown = VIEW.render(&json!({"key": "a", "enabled": false}));
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(View::ALL.render(&json!({"x": null})).contains('–'));
    }

    #[test]
    fn no_cell_holds_json() {
        for (value, shown) in [
            (json!({}), "–"),
            (json!([]), "–"),
            (json!(null), "–"),
            (json!(0.123_456_7), "0.1235"),
            (json!(1.5), "1.5"),
            (json!(2.0), "2"),
            (json!(7), "7"),
            (json!({"*": ["flag.read", "flag.update"], "dev": []}), "*: flag.read, flag.update; dev: –"),
            (json!({"type": "absolute_count", "more_than": 3}), "more_than: 3, type: absolute_count"),
            (json!([{"environment": "live", "role": "user"}]), "environment: live, role: user"),
            (json!([{"conditions": [{}]}, {}]), "2 items"),
        ] {
            let cell = cell(&value);
            let sorted = |text: &str| {
                let mut parts: Vec<String> = text.split(", ").map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert_eq!(sorted(&cell), sorted(shown), "{value}");
            assert!(!cell.contains(['{', '}', '"', '[']), "{cell}");
        }
    }

    #[test]
    fn points_in_time_are_shown_without_fractions() {
        assert_eq!(cell(&json!("2026-11-22T11:01:25.346072905Z")), "2026-11-22T11:01:25");
        assert_eq!(cell(&json!("https://a.example.com/xZ")), "https://a.example.com/xZ");
    }

    #[test]
    fn an_empty_list_says_so() {
        assert_eq!(VIEW.render(&json!([])), "nothing to show");
    }
}
