//! The published cases as they are written.

use std::collections::HashMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Specification {
    pub(super) state: State,
    #[serde(default)]
    pub(super) tests: Vec<Case<bool>>,
    #[serde(default, rename = "variantTests")]
    pub(super) variant_tests: Vec<Case<Variation>>,
}

/// Files about the updating of clients have no features of their own.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) features: Option<Vec<Feature>>,
    #[serde(default)]
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Feature {
    pub(super) name: String,
    pub(super) enabled: bool,
    #[serde(default)]
    pub(super) strategies: Option<Vec<Strategy>>,
    #[serde(default)]
    pub(super) variants: Option<Vec<Variant>>,
    #[serde(default)]
    pub(super) dependencies: Option<Vec<Dependency>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Strategy {
    pub(super) name: String,
    #[serde(default)]
    pub(super) parameters: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) constraints: Option<Vec<Constraint>>,
    #[serde(default)]
    pub(super) segments: Option<Vec<i64>>,
    #[serde(default)]
    pub(super) variants: Option<Vec<Variant>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Constraint {
    pub(super) context_name: String,
    pub(super) operator: String,
    #[serde(default)]
    pub(super) values: Option<Vec<String>>,
    #[serde(default)]
    pub(super) value: Option<String>,
    #[serde(default)]
    pub(super) inverted: bool,
    #[serde(default)]
    pub(super) case_insensitive: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Segment {
    pub(super) id: i64,
    pub(super) constraints: Vec<Constraint>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) weight: u32,
    #[serde(default)]
    pub(super) overrides: Option<Vec<Override>>,
    #[serde(default)]
    pub(super) stickiness: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Override {
    pub(super) context_name: String,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) feature: String,
    #[serde(default)]
    pub(super) enabled: Option<bool>,
    #[serde(default)]
    pub(super) variants: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Case<T> {
    pub(super) description: String,
    pub(super) context: Person,
    pub(super) toggle_name: String,
    pub(super) expected_result: T,
}

#[derive(Debug, Deserialize)]
pub(super) struct Variation {
    pub(super) name: String,
    pub(super) feature_enabled: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Person {
    #[serde(flatten)]
    pub(super) own: HashMap<String, serde_json::Value>,
}

impl Person {
    /// Every attribute by name; those in `properties` like all others.
    pub(super) fn attributes(&self) -> HashMap<String, String> {
        let properties = self.own.get("properties").and_then(serde_json::Value::as_object);
        let all = properties.into_iter().flatten().chain(&self.own);
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            serde_json::Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        };
        all.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }
}
