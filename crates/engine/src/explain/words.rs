//! Putting values into words.

use serde_json::Number;

use crate::fault::quote;
use crate::text::NumberText;
use crate::{Operator, Value};

/// How many elements of a list are worth showing.
const SHOWN: usize = 10;

/// The value in backticks, or words for its absence.
pub(super) fn shown(value: Option<Value<'_>>) -> String {
    value.map_or_else(|| "nothing".to_owned(), shown_value)
}

/// The value in backticks; several within brackets.
pub(super) fn shown_value(value: Value<'_>) -> String {
    match value {
        Value::List(items) => shown_list(items.iter().map(AsRef::as_ref), items.len()),
        other => quote(&plain(other)),
    }
}

/// `` [`a`, `b` and 3 more] ``.
pub(super) fn shown_list<'a>(items: impl Iterator<Item = &'a str>, count: usize) -> String {
    let shown: Vec<String> = items.take(SHOWN).map(quote).collect();
    let more = match count.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("[{}{more}]", shown.join(", "))
}

/// The value as text.
pub(super) fn plain(value: Value<'_>) -> String {
    match value {
        Value::Str(text) => text.to_owned(),
        Value::Number(number) => NumberText::new(number).as_str().to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::List(items) => items.join(", "),
    }
}

/// The value as JSON.
pub(super) fn as_json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Str(text) => text.into(),
        Value::Number(number) => number_json(number),
        Value::Bool(truth) => truth.into(),
        Value::List(items) => items.iter().map(|item| serde_json::Value::from(&**item)).collect(),
    }
}

/// Whole numbers without a point.
#[expect(clippy::cast_possible_truncation, reason = "only numbers that are whole and small")]
pub(super) fn number_json(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return (number as i64).into();
    }
    Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

/// The operator as part of a sentence, when its comparison is true and when it is not.
pub(super) fn verbs(operator: Operator, fits: bool) -> &'static str {
    let (yes, no) = match operator {
        Operator::Equals | Operator::NotEquals => ("equals", "does not equal"),
        Operator::Contains | Operator::NotContains => ("contains", "does not contain"),
        Operator::In | Operator::NotIn => ("is one of", "is none of"),
        Operator::StartsWith => ("starts with", "does not start with"),
        Operator::EndsWith => ("ends with", "does not end with"),
        Operator::Matches => ("matches", "does not match"),
        Operator::Gt => ("is greater than", "is not greater than"),
        Operator::Gte => ("is at least", "is less than"),
        Operator::Lt => ("is less than", "is not less than"),
        Operator::Lte => ("is at most", "is greater than"),
        Operator::SemverEq => ("is the same version as", "is another version than"),
        Operator::SemverGt => ("is later than", "is not later than"),
        Operator::SemverGte => ("is at least", "is earlier than"),
        Operator::SemverLt => ("is earlier than", "is not earlier than"),
        Operator::SemverLte => ("is at most", "is later than"),
        Operator::Before => ("is before", "is not before"),
        Operator::After => ("is after", "is not after"),
        Operator::Cidr | Operator::NotCidr => ("is in a network of", "is in no network of"),
        Operator::Exists | Operator::InSegment | Operator::NotInSegment => ("fits", "does not fit"),
    };
    if fits { yes } else { no }
}
