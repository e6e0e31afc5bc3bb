//! How what Unleash calls a feature becomes a flag of ours.
//!
//! | theirs | ours |
//! |---|---|
//! | feature | a flag with the variants `off`, `on`, and one per variant of theirs |
//! | strategy | a rule; the first without any condition is what the flag gives by default |
//! | constraint | conditions; text operators together with `matches`, because with them case counts |
//! | several values of a text operator | as many rules |
//! | `inverted`, `NOT_IN` | `not_in_segment` of the constraint: it holds for whoever lacks the attribute, too |
//! | segment | a segment |
//! | `userWithId`, `remoteAddress` | `in`, `cidr` |
//! | a rollout of 0 or 100 percent | no rule, or one that asks whether there is something to roll out by |
//! | several variants | a rollout; by which attribute, the first of them says |
//! | override of a variant | a rule before that of its strategy |
//! | dependency | prerequisite |

use std::{collections::HashMap, net::IpAddr};

use serde_json::{Value, json};

use super::spec::{Constraint, Dependency, Feature, Strategy, Variant};

/// Why a feature cannot be one of our flags, or not be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unmapped {
    /// Who is in a share of callers follows from the hash, and the two divide hashes differently.
    Share,
    /// A prerequisite asks for one variant, not for any of several.
    AnyVariant,
}

/// A variant of whoever lacks the attribute to choose one by: Unleash draws lots then.
pub(super) const BY_CHANCE: &str = "on:";

/// Conditions that all have to hold.
type All = Vec<Value>;
/// Any of these; without one, it never holds.
type Any = Vec<All>;

/// What one feature needs.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// Conditions that a segment was made of.
    pub(super) segments: Vec<Value>,
    /// The flag.
    pub(super) flag: Value,
}

pub(super) struct Mapping<'a> {
    /// Our names of all features: theirs are not always keys.
    pub(super) keys: &'a HashMap<String, String>,
    pub(super) features: &'a [Feature],
    key: String,
    segments: Vec<Value>,
}

/// `name` as we call it.
pub(super) fn attribute(name: &str) -> &str {
    match name {
        "userId" => "user_id",
        "sessionId" => "session_id",
        "remoteAddress" => "ip",
        other => other,
    }
}

pub(super) fn segment_key(id: i64) -> String {
    format!("segment-{id}")
}

/// A condition that holds for nobody.
fn never() -> Any {
    Vec::new()
}

fn always() -> Any {
    vec![Vec::new()]
}

fn condition(name: &str, operator: &str, value: impl Into<Value>) -> Value {
    json!({ "attribute": attribute(name), "operator": operator, "value": value.into() })
}

/// One of each.
fn both(left: &Any, right: &Any) -> Any {
    left.iter().flat_map(|one| right.iter().map(|other| [one.as_slice(), other].concat())).collect()
}

impl<'a> Mapping<'a> {
    pub(super) fn new(keys: &'a HashMap<String, String>, features: &'a [Feature], key: &str) -> Self {
        Self { keys, features, key: key.to_owned(), segments: Vec::new() }
    }

    pub(super) fn feature(mut self, feature: &Feature) -> Result<Mapped, Unmapped> {
        let mut rules = Vec::new();
        let mut default = json!("off");
        let mut names = ["off", "on", BY_CHANCE].map(str::to_owned).to_vec();
        let nothing = [Strategy {
            name: "default".into(),
            parameters: None,
            constraints: None,
            segments: None,
            variants: None,
        }];
        let strategies = feature.strategies.as_deref().filter(|list| !list.is_empty()).unwrap_or(&nothing);
        for strategy in strategies {
            let own = strategy.variants.as_deref().filter(|list| !list.is_empty());
            let variants = own.or(feature.variants.as_deref()).unwrap_or_default();
            names.extend(variants.iter().map(served));
            let matching = self.strategy(strategy)?;
            for alternative in &matching {
                rules.extend(overrides(alternative, variants));
                let given = serve(variants);
                if let Some(by) = given.get("bucket_by").and_then(Value::as_str) {
                    let able = [alternative.as_slice(), &[condition(by, "exists", true)]].concat();
                    rules.push(json!({ "conditions": able, "serve": given }));
                }
                let given = if given.is_string() { given } else { json!(BY_CHANCE) };
                if alternative.is_empty() {
                    default = given;
                } else {
                    rules.push(json!({ "conditions": alternative, "serve": given }));
                }
            }
            if matching.iter().any(Vec::is_empty) {
                break;
            }
        }
        names.sort();
        names.dedup();
        let prerequisites = self.prerequisites(feature.dependencies.as_deref().unwrap_or_default())?;
        let rules: Vec<Value> = rules.iter().map(rule).collect();
        let flag = json!({
            "key": self.key, "enabled": feature.enabled, "off_variant": "off", "rules": rules,
            "variants": names.iter().map(|name| json!({ "name": name, "value": name })).collect::<Vec<_>>(),
            "prerequisites": prerequisites, "default_variant": default,
        });
        Ok(Mapped { segments: self.segments, flag })
    }

    fn strategy(&mut self, strategy: &Strategy) -> Result<Any, Unmapped> {
        let mut all = parameters(strategy)?;
        for constraint in strategy.constraints.iter().flatten() {
            all = both(&all, &self.constraint(constraint));
        }
        for segment in strategy.segments.iter().flatten() {
            all = both(&all, &vec![vec![in_segment("in_segment", &segment_key(*segment))]]);
        }
        Ok(all)
    }

    pub(super) fn constraint(&mut self, constraint: &Constraint) -> Any {
        let positive = plain(constraint);
        if constraint.inverted == (constraint.operator == "NOT_IN") {
            return positive;
        }
        if positive.is_empty() {
            return always();
        }
        let key = format!("{}-{}", self.key, self.segments.len());
        self.segments.push(json!({ "key": key, "conditions": positive }));
        vec![vec![in_segment("not_in_segment", &key)]]
    }

    /// The segments that the constraints so far needed.
    pub(super) fn into_segments(self) -> Vec<Value> {
        self.segments
    }

    fn prerequisites(&self, dependencies: &[Dependency]) -> Result<Vec<Value>, Unmapped> {
        dependencies.iter().map(|dependency| self.prerequisite(dependency)).collect()
    }

    fn prerequisite(&self, dependency: &Dependency) -> Result<Value, Unmapped> {
        let key = self.keys.get(&dependency.feature).map_or("nowhere", String::as_str);
        let required = |variant: &str| Ok(json!({ "flag": key, "variant": variant }));
        if dependency.enabled == Some(false) {
            return required("off");
        }
        let parent = self.features.iter().find(|feature| feature.name == dependency.feature);
        let strategies = parent.and_then(|parent| parent.strategies.as_ref()).into_iter().flatten();
        let mut possible: Vec<String> =
            strategies.flat_map(|strategy| strategy.variants.iter().flatten()).map(served).collect();
        if possible.is_empty() {
            possible.push("on".into());
        }
        if let Some(wanted) = dependency.variants.as_ref().filter(|wanted| !wanted.is_empty()) {
            let name = |name: &String| if name == "disabled" { "on".into() } else { format!("on:{name}") };
            let wanted: Vec<String> = wanted.iter().map(name).collect();
            possible.retain(|variant| wanted.contains(variant));
        }
        match possible.as_slice() {
            [only] => required(only),
            // One that no flag has: what is asked for never comes.
            [] => required("on"),
            _ => Err(Unmapped::AnyVariant),
        }
    }
}

fn in_segment(operator: &str, key: &str) -> Value {
    json!({ "operator": operator, "value": key })
}

fn served(variant: &Variant) -> String {
    format!("on:{}", variant.name)
}

/// What a match gives: a variant, or a share of each.
fn serve(variants: &[Variant]) -> Value {
    let weighted: Vec<_> = variants.iter().filter(|variant| variant.weight > 0).collect();
    match weighted.as_slice() {
        [] => json!("on"),
        [only] => json!(served(only)),
        [first, ..] => {
            let by = match first.stickiness.as_deref() {
                None | Some("default" | "random") => "user_id",
                Some(name) => attribute(name),
            };
            let weight = |one: &&Variant| json!({ "variant": served(one), "weight": one.weight });
            json!({ "bucket_by": by, "weights": weighted.iter().map(weight).collect::<Vec<_>>() })
        }
    }
}

fn overrides(alternative: &All, variants: &[Variant]) -> Vec<Value> {
    let mut rules = Vec::new();
    for variant in variants {
        for one in variant.overrides.iter().flatten() {
            let mut conditions = alternative.clone();
            conditions.push(condition(&one.context_name, "in", one.values.clone()));
            rules.push(json!({ "conditions": conditions, "serve": served(variant) }));
        }
    }
    rules
}

fn rule(rule: &Value) -> Value {
    let member = if rule["serve"].is_string() { "variant" } else { "rollout" };
    json!({ "conditions": rule["conditions"], member: rule["serve"] })
}

fn parameters(strategy: &Strategy) -> Result<Any, Unmapped> {
    let parameter = |name: &str| {
        let parameters = strategy.parameters.as_ref();
        parameters.and_then(|parameters| parameters.get(name)).map(String::as_str)
    };
    let list = |name: &str| -> Vec<&str> {
        parameter(name)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect()
    };
    let share = |name: &str, by: Option<&str>| match (parameter(name), by) {
        (Some("0"), _) => Ok(never()),
        (Some("100"), None) => Ok(always()),
        (Some("100"), Some(by)) => Ok(vec![vec![condition(by, "exists", true)]]),
        _ => Err(Unmapped::Share),
    };
    match strategy.name.as_str() {
        "default" => Ok(always()),
        "userWithId" => Ok(vec![vec![condition("userId", "in", list("userIds"))]]),
        "remoteAddress" => Ok(cidr("remoteAddress", &list("IPs"))),
        "gradualRolloutUserId" => share("percentage", Some("userId")),
        "gradualRolloutSessionId" => share("percentage", Some("sessionId")),
        "gradualRolloutRandom" => share("percentage", None),
        "flexibleRollout" => match parameter("stickiness") {
            None | Some("default" | "random") => share("rollout", None),
            by => share("rollout", by),
        },
        _ => Ok(never()),
    }
}

/// Networks; a condition with one that is none would be refused as a whole.
fn cidr<T: AsRef<str>>(name: &str, networks: &[T]) -> Any {
    let valid = |text: &&str| {
        let (address, length) = text.split_once('/').unwrap_or((text, "0"));
        address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok()
    };
    let networks: Vec<&str> = networks.iter().map(AsRef::as_ref).filter(valid).collect();
    vec![vec![condition(name, "cidr", networks)]]
}

/// A constraint that is not turned around.
fn plain(constraint: &Constraint) -> Any {
    let name = constraint.context_name.as_str();
    let values = constraint.values.clone().unwrap_or_default();
    let value = constraint.value.clone().unwrap_or_default();
    let one = |operator: &str, value: &str| vec![vec![condition(name, operator, value)]];
    let text = |operator: &str, before: &str, after: &str| -> Any {
        let exactly = |value: &String| {
            let mut all = vec![condition(name, operator, value.clone())];
            if !constraint.case_insensitive {
                all.push(condition(name, "matches", format!("{before}{}{after}", regex::escape(value))));
            }
            all
        };
        values.iter().map(exactly).collect()
    };
    match constraint.operator.as_str() {
        "IN" | "NOT_IN" if values.is_empty() => never(),
        "IN" | "NOT_IN" => {
            let exactly: Vec<_> = values.iter().map(|value| regex::escape(value)).collect();
            let exactly = format!("^(?:{})$", exactly.join("|"));
            vec![vec![condition(name, "in", values), condition(name, "matches", exactly)]]
        }
        "STR_STARTS_WITH" => text("starts_with", "^", ""),
        "STR_ENDS_WITH" => text("ends_with", "", "$"),
        "STR_CONTAINS" => text("contains", "", ""),
        "NUM_EQ" => {
            vec![vec![condition(name, "gte", value.as_str()), condition(name, "lte", value.as_str())]]
        }
        "NUM_GT" => one("gt", &value),
        "NUM_GTE" => one("gte", &value),
        "NUM_LT" => one("lt", &value),
        "NUM_LTE" => one("lte", &value),
        "SEMVER_EQ" => one("semver_eq", &value),
        "SEMVER_GT" => one("semver_gt", &value),
        "SEMVER_GTE" => one("semver_gte", &value),
        "SEMVER_LT" => one("semver_lt", &value),
        "SEMVER_LTE" => one("semver_lte", &value),
        "DATE_AFTER" => one("after", &value),
        "DATE_BEFORE" => one("before", &value),
        "REGEX" if constraint.case_insensitive => one("matches", &format!("(?i){value}")),
        "REGEX" => one("matches", &value),
        "IN_CIDR" => cidr(name, &values),
        _ => never(),
    }
}
