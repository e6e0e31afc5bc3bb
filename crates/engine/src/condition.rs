//! One comparison of a rule or a segment.

mod json;

pub(crate) use json::{parse, render};

use crate::Operator;

/// The most values one condition can compare with.
pub(crate) const MOST_VALUES: usize = 10_000;

/// A comparison of one attribute with given values.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Name of a declared attribute; empty when the operator asks about segments.
    pub attribute: String,
    /// The comparison.
    pub operator: Operator,
    /// What to compare with.
    pub values: Values,
}

/// The `value` of a condition, kept in the form it was given.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// None was given; only `exists` can do without.
    Absent,
    /// One value, or a list separated by commas.
    One(Scalar),
    /// An array.
    Many(Vec<Scalar>),
}

/// A single value of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A JSON string.
    Text(String),
    /// A JSON number.
    Number(serde_json::Number),
    /// A JSON boolean.
    Bool(bool),
}

impl Condition {
    /// Keys of the segments it asks about; none for other operators.
    pub fn segments(&self) -> Vec<String> {
        if self.operator.is_segment() { self.values.list() } else { Vec::new() }
    }
}

impl Values {
    /// The values as texts: an array as it is, a text split at its commas.
    pub(crate) fn list(&self) -> Vec<String> {
        match self {
            Values::Absent => Vec::new(),
            Values::One(Scalar::Text(text)) => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            }
            Values::One(one) => vec![one.to_text()],
            Values::Many(many) => many.iter().map(Scalar::to_text).collect(),
        }
    }

    /// The value as one text; none when there is not exactly one.
    pub(crate) fn single(&self) -> Option<String> {
        match self {
            Values::One(one) => Some(one.to_text()),
            Values::Many(many) => match many.as_slice() {
                [one] => Some(one.to_text()),
                _ => None,
            },
            Values::Absent => None,
        }
    }
}

impl Scalar {
    fn to_text(&self) -> String {
        match self {
            Scalar::Text(text) => text.clone(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Bool(truth) => truth.to_string(),
        }
    }
}
