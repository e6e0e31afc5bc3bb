//! From a flag to JSON.

use serde_json::{Map, Number, Value, json};

use super::{Flag, Rollout, Rule, Serve, Target, Variant, implied_variants};

pub(super) fn flag(flag: &Flag) -> Value {
    let implied = flag.variants == implied_variants();
    let mut object = Map::new();
    if !flag.id.is_empty() {
        object.insert("id".into(), json!(flag.id));
    }
    object.insert("key".into(), json!(flag.key));
    object.insert("name".into(), json!(flag.name));
    object.insert("description".into(), json!(flag.description));
    object.insert("enabled".into(), json!(flag.enabled));
    object.insert("type".into(), json!(flag.kind.as_str()));
    if !implied {
        object.insert("variants".into(), flag.variants.iter().map(variant).collect());
    }
    object.insert("default_value".into(), json!(flag.default_value()));
    object.insert("default_variant".into(), json!(flag.default_variant));
    object.insert("off_variant".into(), json!(flag.off_variant));
    object.insert("rules".into(), flag.rules.iter().map(|one| rule(one, implied)).collect());
    if let Some(one) = &flag.rollout {
        object.insert("rollout".into(), rollout(one));
    }
    object.insert("targets".into(), flag.targets.iter().map(target).collect());
    let prerequisites = flag.prerequisites.iter();
    let prerequisites =
        prerequisites.map(|required| json!({ "flag": required.flag, "variant": required.variant }));
    object.insert("prerequisites".into(), prerequisites.collect());
    object.insert("salt".into(), json!(flag.salt));
    object.insert("tags".into(), json!(flag.tags));
    Value::Object(object)
}

fn variant(variant: &Variant) -> Value {
    json!({ "name": variant.name, "value": variant.value })
}

/// A single condition in the members of the rule itself, as the first Flagbase had it.
fn rule(rule: &Rule, implied: bool) -> Value {
    let mut object = Map::new();
    if !rule.id.is_empty() {
        object.insert("id".into(), json!(rule.id));
    }
    if !rule.description.is_empty() {
        object.insert("description".into(), json!(rule.description));
    }
    object.insert("priority".into(), json!(rule.priority));
    if let [condition] = rule.conditions.as_slice() {
        crate::condition::render(condition, &mut object);
    } else {
        let conditions = rule.conditions.iter().map(condition).collect();
        object.insert("conditions".into(), conditions);
    }
    match &rule.serve {
        Serve::Variant(name) if implied && name == "true" => object.insert("variant".into(), true.into()),
        Serve::Variant(name) if implied && name == "false" => object.insert("variant".into(), false.into()),
        Serve::Variant(name) => object.insert("variant".into(), json!(name)),
        Serve::Rollout(one) => object.insert("rollout".into(), rollout(one)),
    };
    Value::Object(object)
}

fn condition(condition: &crate::Condition) -> Value {
    let mut object = Map::new();
    crate::condition::render(condition, &mut object);
    Value::Object(object)
}

fn rollout(rollout: &Rollout) -> Value {
    let weights = rollout.weights.iter();
    let weights: Value =
        weights.map(|weight| json!({ "variant": weight.variant, "weight": number(weight.weight) })).collect();
    json!({ "bucket_by": rollout.bucket_by, "weights": weights })
}

/// Whole numbers without a point.
#[expect(clippy::cast_possible_truncation, reason = "only numbers that are whole and small")]
fn number(number: f64) -> Value {
    let whole = number.fract() == 0.0 && number.abs() < 1e15;
    if whole {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

fn target(target: &Target) -> Value {
    json!({ "variant": target.variant, "attribute": target.attribute, "values": target.values })
}
