//! Rules and rollouts from JSON.

use serde_json::Value;

use super::USER_ID;
use super::variants::name;
use crate::fault::{At, Faults};
use crate::flag::check::{MOST_CONDITIONS, MOST_RULES, MOST_VARIANTS};
use crate::read::Object;
use crate::{Condition, Rollout, Rule, Serve, Variant, Weight};

/// The members of a rule with one condition.
const FLAT: [&str; 3] = ["attribute", "operator", "value"];

const MEMBERS: [&str; 9] =
    ["id", "description", "priority", "attribute", "operator", "value", "conditions", "variant", "rollout"];

pub(super) fn rules(object: Object<'_>, variants: &[Variant], faults: &mut Faults) -> Vec<Rule> {
    let items = object.items("rules", MOST_RULES, faults).unwrap_or_default();
    let at = object.at.member("rules");
    let mut rules = Vec::with_capacity(items.len());
    for ((index, item), position) in items.iter().enumerate().zip(0..) {
        rules.extend(rule(item, position, &at.item(index), variants, faults));
    }
    rules
}

fn rule(item: &Value, position: i64, at: &At<'_>, variants: &[Variant], faults: &mut Faults) -> Option<Rule> {
    let object = Object::new(item, "a rule", at, faults)?;
    object.refuse_unknown(&MEMBERS, faults);
    let id = object.text("id", faults).unwrap_or_default();
    let description = object.text("description", faults).unwrap_or_default();
    let priority = object.integer("priority", faults);
    let conditions = conditions(object, faults);
    let serve = serve(object, variants, faults);
    Some(Rule { id, description, priority: priority.unwrap_or(position), conditions, serve: serve? })
}

/// One in the members of the rule itself, or several in `conditions`.
fn conditions(object: Object<'_>, faults: &mut Faults) -> Vec<Condition> {
    if !object.has("conditions") {
        return crate::condition::parse(object, faults).into_iter().collect();
    }
    if let Some(both) = FLAT.into_iter().find(|name| object.has(name)) {
        let message =
            format!("a rule has either `conditions` or a `{both}` of its own; move it into `conditions`");
        faults.add(&object.at.member(both), message);
    }
    let items = object.items("conditions", MOST_CONDITIONS, faults).unwrap_or_default();
    group(items, &object.at.member("conditions"), faults)
}

/// Conditions that all have to hold.
pub(crate) fn group(items: &[Value], at: &At<'_>, faults: &mut Faults) -> Vec<Condition> {
    let mut conditions = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(object) = Object::new(item, "a condition", &at, faults) else {
            continue;
        };
        object.refuse_unknown(&FLAT, faults);
        conditions.extend(crate::condition::parse(object, faults));
    }
    conditions
}

fn serve(object: Object<'_>, variants: &[Variant], faults: &mut Faults) -> Option<Serve> {
    let rollout = rollout(object, variants, faults);
    match (object.has("variant"), object.has("rollout")) {
        (true, false) => name(object, "variant", variants, faults).map(Serve::Variant),
        (false, true) => rollout.map(Serve::Rollout),
        (true, true) => {
            let message = "a rule serves either a `variant` or a `rollout`; remove one";
            faults.add(&object.at.member("variant"), message);
            None
        }
        (false, false) => {
            let message = "a rule has to say what it serves; add a `variant`, or a `rollout` for several";
            faults.add(&object.at.member("variant"), message);
            None
        }
    }
}

/// The member `rollout` of a flag or a rule.
pub(super) fn rollout(object: Object<'_>, variants: &[Variant], faults: &mut Faults) -> Option<Rollout> {
    let value = object.get("rollout")?;
    let at = object.at.member("rollout");
    let object = Object::new(value, "a rollout", &at, faults)?;
    object.refuse_unknown(&["bucket_by", "weights", "percentage"], faults);
    let bucket_by = object.text("bucket_by", faults).unwrap_or_else(|| USER_ID.to_owned());
    let weights = match (object.has("weights"), object.has("percentage")) {
        (true, false) => weights(object, variants, faults),
        (false, true) => percentage(object, variants, faults)?,
        _ => {
            let message = "a rollout has either `weights`, or for boolean flags a `percentage`";
            faults.add(&at, message);
            return None;
        }
    };
    Some(Rollout { bucket_by, weights })
}

fn weights(object: Object<'_>, variants: &[Variant], faults: &mut Faults) -> Vec<Weight> {
    let items = object.items("weights", MOST_VARIANTS, faults).unwrap_or_default();
    let at = object.at.member("weights");
    let mut weights = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(object) = Object::new(item, "a weight", &at, faults) else {
            continue;
        };
        object.refuse_unknown(&["variant", "weight"], faults);
        let variant = name(object, "variant", variants, faults);
        if !object.has("variant") {
            faults.add(&at.member("variant"), "a weight has to name its `variant`");
        }
        let weight = object.number("weight", faults);
        if !object.has("weight") {
            faults.add(&at.member("weight"), "a weight needs a number, such as 50");
        }
        weights.extend(variant.zip(weight).map(|(variant, weight)| Weight { variant, weight }));
    }
    weights
}

/// So much for the variant with the value true, the rest for the one with false.
fn percentage(object: Object<'_>, variants: &[Variant], faults: &mut Faults) -> Option<Vec<Weight>> {
    let at = object.at.member("percentage");
    let percentage = object.number("percentage", faults)?;
    if !(0.0..=100.0).contains(&percentage) {
        faults.add(&at, format!("a percentage is between 0 and 100, not {percentage}"));
        return None;
    }
    let with = |value: bool| {
        let variant = variants.iter().find(|variant| variant.value == Value::Bool(value));
        variant.map(|variant| variant.name.clone())
    };
    let (Some(on), Some(off)) = (with(true), with(false)) else {
        if !variants.is_empty() {
            let message =
                "a `percentage` needs variants with the values true and false; give `weights` instead";
            faults.add(&at, message);
        }
        return None;
    };
    Some(vec![
        Weight { variant: on, weight: percentage },
        Weight { variant: off, weight: 100.0 - percentage },
    ])
}
