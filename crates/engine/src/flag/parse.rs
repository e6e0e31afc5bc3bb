//! From JSON to a flag.

mod rules;
mod variants;

pub(crate) use rules::group;
use serde_json::Value;

use super::check::{MOST_PREREQUISITES, MOST_TAGS, MOST_TARGET_VALUES, MOST_TARGETS, check};
use super::{Prerequisite, Target};
use crate::fault::{At, Faults};
use crate::read::Object;
use crate::{Fault, Flag};

/// The attribute that tells callers apart when none is named.
const USER_ID: &str = "user_id";

const MEMBERS: [&str; 16] = [
    "key",
    "id",
    "name",
    "description",
    "enabled",
    "type",
    "variants",
    "default_value",
    "default_variant",
    "off_variant",
    "rules",
    "rollout",
    "targets",
    "prerequisites",
    "salt",
    "tags",
];

pub(super) fn flag(body: &Value) -> Result<Flag, Vec<Fault>> {
    let mut faults = Faults::default();
    let at = At::ROOT;
    let Some(object) = Object::new(body, "a flag", &at, &mut faults) else {
        return Err(faults.into_vec());
    };
    object.refuse_unknown(&MEMBERS, &mut faults);
    let flag = read(object, &mut faults);
    // The rest is judged only when everything could be read: otherwise faults would cause further ones.
    match flag {
        Some(flag) if faults.len() == 0 => {
            check(&flag, &mut faults);
            faults.or(flag)
        }
        _ => Err(faults.into_vec()),
    }
}

/// None when what everything else depends on, the variants, cannot be read.
fn read(object: Object<'_>, faults: &mut Faults) -> Option<Flag> {
    let key = object.text("key", faults);
    if !object.has("key") {
        let message = "a key is missing; give 1 to 200 letters, digits, `.`, `_`, `-` or `/`";
        faults.add(&object.at.member("key"), message);
    }
    let key = key.unwrap_or_default();
    let id = object.text("id", faults).unwrap_or_default();
    let name = object.text("name", faults).filter(|name| !name.is_empty());
    let description = object.text("description", faults).unwrap_or_default();
    let enabled = object.truth("enabled", faults).unwrap_or(false);
    let salt = object.text("salt", faults).filter(|salt| !salt.is_empty());
    let tags = object.texts("tags", MOST_TAGS, faults);
    let variants = variants::read(object, faults);
    // Without variants, rules are still read for the sake of their other faults.
    let known = variants.as_ref().map_or(&[][..], |variants| &variants.list);
    let rules = rules::rules(object, known, faults);
    let rollout = rules::rollout(object, known, faults);
    let targets = targets(object, known, faults);
    let prerequisites = prerequisites(object, faults);
    let variants = variants?;
    Some(Flag {
        id,
        name: name.unwrap_or_else(|| key.clone()),
        description,
        enabled,
        kind: variants.kind,
        variants: variants.list,
        default_variant: variants.default,
        off_variant: variants.off,
        rules,
        rollout,
        targets,
        prerequisites,
        salt: salt.unwrap_or_else(|| key.clone()),
        tags,
        key,
    })
}

fn targets(object: Object<'_>, known: &[crate::Variant], faults: &mut Faults) -> Vec<Target> {
    let items = object.items("targets", MOST_TARGETS, faults).unwrap_or_default();
    let at = object.at.member("targets");
    let mut targets = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(object) = Object::new(item, "a target", &at, faults) else {
            continue;
        };
        object.refuse_unknown(&["variant", "attribute", "values"], faults);
        let variant = variants::name(object, "variant", known, faults);
        if !object.has("variant") {
            faults.add(&at.member("variant"), "a target has to name the `variant` it gets");
        }
        let attribute = object.text("attribute", faults);
        let values = object.texts("values", MOST_TARGET_VALUES, faults);
        targets.extend(variant.map(|variant| Target {
            variant,
            attribute: attribute.unwrap_or_else(|| USER_ID.to_owned()),
            values,
        }));
    }
    targets
}

fn prerequisites(object: Object<'_>, faults: &mut Faults) -> Vec<Prerequisite> {
    let items = object.items("prerequisites", MOST_PREREQUISITES, faults).unwrap_or_default();
    let at = object.at.member("prerequisites");
    let mut prerequisites = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index);
        let Some(object) = Object::new(item, "a prerequisite", &at, faults) else {
            continue;
        };
        object.refuse_unknown(&["flag", "variant"], faults);
        let flag = object.text("flag", faults);
        if !object.has("flag") {
            faults.add(&at.member("flag"), "a prerequisite has to name the `flag` it requires");
        }
        // The other flag is not known here; a boolean stands for an implied variant.
        let variant = match object.get("variant") {
            Some(Value::Bool(value)) => Some(value.to_string()),
            _ => object.text("variant", faults),
        };
        if !object.has("variant") {
            let message = "a prerequisite has to name the `variant` the other flag must give";
            faults.add(&at.member("variant"), message);
        }
        prerequisites.extend(flag.zip(variant).map(|(flag, variant)| Prerequisite { flag, variant }));
    }
    prerequisites
}
