//! The definition of a flag, as people write it and the catalog keeps it.

mod check;
mod parse;
mod render;

pub(crate) use check::{check, check_description, check_key};
pub(crate) use parse::group;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{Condition, Fault};

/// A flag: what it can be, and who gets what.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// Unique in its environment: 1 to 200 letters, digits, `.`, `_`, `-` or `/`.
    pub key: String,
    /// What an earlier server or another system calls it, at most 100 characters; empty when it has none. Means nothing here.
    pub id: String,
    /// For people, at most 200 characters; the key when none was given.
    pub name: String,
    /// For people, at most 4000 characters.
    pub description: String,
    /// While false, everybody gets `off_variant`.
    pub enabled: bool,
    /// The kind of all variant values.
    pub kind: ValueKind,
    /// What the flag can be: 1 to 100 variants with distinct names.
    pub variants: Vec<Variant>,
    /// Served when nothing else decides.
    pub default_variant: String,
    /// Served while the flag is disabled or a prerequisite is not met.
    pub off_variant: String,
    /// In the order given; they are tried by priority, lowest first, then by position.
    pub rules: Vec<Rule>,
    /// Decides when no rule matched.
    pub rollout: Option<Rollout>,
    /// Individuals who get a given variant, before any rule.
    pub targets: Vec<Target>,
    /// Other flags that must give a certain variant first.
    pub prerequisites: Vec<Prerequisite>,
    /// Decides who falls where in rollouts; the key when none was given.
    pub salt: String,
    /// For finding the flag again, at most 50.
    pub tags: Vec<String>,
}

/// The kind of value a flag has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A number.
    Number,
    /// Any JSON.
    Json,
}

/// One thing a flag can be.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Unique within the flag.
    pub name: String,
    /// What the caller gets, of the flag's kind.
    pub value: Value,
}

/// Who gets what: when all conditions hold, `serve` decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Names the rule in explanations and measurements; may be empty.
    pub id: String,
    /// For people.
    pub description: String,
    /// Lowest first; a rule given without takes its position.
    pub priority: i64,
    /// All must hold; at least one.
    pub conditions: Vec<Condition>,
    /// What a match gives.
    pub serve: Serve,
}

/// What a matching rule gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Serve {
    /// The variant of this name.
    Variant(String),
    /// One of several variants, by weight.
    Rollout(Rollout),
}

/// A weighted choice that is the same for the same unit every time.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// The attribute whose value is the unit; `user_id` when none was given.
    pub bucket_by: String,
    /// The shares, in an order that should not change: raising the first weight then only moves units into it.
    pub weights: Vec<Weight>,
}

/// The share of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Name of the variant.
    pub variant: String,
    /// Its share relative to the sum of all weights, not negative.
    pub weight: f64,
}

/// Individuals who get a given variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Name of the variant.
    pub variant: String,
    /// What the values are compared with; `user_id` when none was given.
    pub attribute: String,
    /// The individuals, compared regardless of case.
    pub values: Vec<String>,
}

/// Another flag that must give a certain variant to the same caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prerequisite {
    /// Key of the other flag, in the same environment.
    pub flag: String,
    /// Name of the variant it must give.
    pub variant: String,
}

impl ValueKind {
    /// The name in JSON: `boolean`, `string`, `number` or `json`.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueKind::Boolean => "boolean",
            ValueKind::String => "string",
            ValueKind::Number => "number",
            ValueKind::Json => "json",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<ValueKind> {
        ValueKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Every kind.
    pub const ALL: [ValueKind; 4] =
        [ValueKind::Boolean, ValueKind::String, ValueKind::Number, ValueKind::Json];

    /// Whether a variant of a flag of this kind can have this value.
    pub(crate) fn admits(self, value: &Value) -> bool {
        match self {
            ValueKind::Boolean => value.is_boolean(),
            ValueKind::String => value.is_string(),
            ValueKind::Number => value.is_number(),
            ValueKind::Json => true,
        }
    }
}

impl Flag {
    /// Reads and checks everything that can be checked without knowing the environment.
    ///
    /// # Errors
    /// All faults found, each with a JSON pointer into `body`.
    pub fn from_json(body: &Value) -> Result<Flag, Vec<Fault>> {
        parse::flag(body)
    }

    /// The value served when nothing else decides.
    pub fn default_value(&self) -> Option<&Value> {
        let named = |variant: &&Variant| variant.name == self.default_variant;
        self.variants.iter().find(named).map(|variant| &variant.value)
    }

    /// The canonical form: [`Flag::from_json`] of it gives the same flag.
    pub fn to_json(&self) -> Value {
        render::flag(self)
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        let body = Value::deserialize(deserializer)?;
        Flag::from_json(&body).map_err(|faults| D::Error::custom(in_one_line(&faults)))
    }
}

/// Faults for those who can take only one message.
pub(crate) fn in_one_line(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What a boolean flag has whose definition names no variants.
pub(crate) fn implied_variants() -> [Variant; 2] {
    [true, false].map(|value| Variant { name: value.to_string(), value: Value::Bool(value) })
}

#[cfg(test)]
mod tests;
