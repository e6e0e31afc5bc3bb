//! One comparison of a rule or a segment.

use crate::Operator;

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
