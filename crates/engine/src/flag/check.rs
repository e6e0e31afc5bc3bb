//! What can be wrong with a definition whoever wrote it, apart from its conditions.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::{Flag, Rollout, Serve, Target};
use crate::fault::{At, Faults, hint, quote};

pub(super) const MOST_VARIANTS: usize = 100;
pub(super) const MOST_RULES: usize = 200;
pub(super) const MOST_CONDITIONS: usize = 50;
pub(super) const MOST_TAGS: usize = 50;
pub(super) const MOST_TARGETS: usize = 100;
pub(super) const MOST_TARGET_VALUES: usize = 10_000;
pub(super) const MOST_PREREQUISITES: usize = 10;
pub(super) const NO_VARIANTS: &str =
    "a flag needs at least one variant, such as {\"name\": \"on\", \"value\": true}";
const LONGEST_KEY: usize = 200;
const LONGEST_NAME: usize = 200;
const LONGEST_DESCRIPTION: usize = 4000;
const LONGEST_WORD: usize = 100;
const LARGEST_VALUE: usize = 64 * 1024;

/// Notes everything that can be seen without knowing the environment. Conditions are checked where they are compiled.
pub(crate) fn check(flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT;
    check_key(&flag.key, &at.member("key"), faults);
    if !flag.id.is_empty() {
        word(&flag.id, "the id of a flag", &at.member("id"), faults);
    }
    length(&flag.name, "a name", 0..=LONGEST_NAME, &at.member("name"), faults);
    check_description(&flag.description, &at.member("description"), faults);
    length(&flag.salt, "a salt", 1..=LONGEST_KEY, &at.member("salt"), faults);
    check_tags(flag, faults);
    check_variants(flag, faults);
    is_variant(flag, &flag.default_variant, &at.member("default_variant"), faults);
    is_variant(flag, &flag.off_variant, &at.member("off_variant"), faults);
    check_rules(flag, faults);
    if let Some(rollout) = &flag.rollout {
        check_rollout(flag, rollout, &at.member("rollout"), faults);
    }
    check_targets(flag, faults);
    check_prerequisites(flag, faults);
}

/// Keys of flags and segments. They are part of paths, so they must survive these unchanged.
pub(crate) fn check_key(key: &str, at: &At<'_>, faults: &mut Faults) {
    if key.is_empty() {
        faults.add(at, "a key is missing; give 1 to 200 letters, digits, `.`, `_`, `-` or `/`");
        return;
    }
    length(key, "a key", 1..=LONGEST_KEY, at, faults);
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "._-/".contains(*c);
    if let Some(other) = key.chars().find(|c| !allowed(c)) {
        let other = quote(&other.to_string());
        let message =
            format!("a key consists of letters A to Z, digits, `.`, `_`, `-` and `/`, not of {other}");
        faults.add(at, message);
    } else if key.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        faults.add(at, "every part of a key between slashes needs a name other than `.` and `..`");
    }
}

pub(crate) fn check_description(text: &str, at: &At<'_>, faults: &mut Faults) {
    length(text, "a description", 0..=LONGEST_DESCRIPTION, at, faults);
}

fn length(text: &str, what: &str, allowed: RangeInclusive<usize>, at: &At<'_>, faults: &mut Faults) {
    let length = text.chars().count();
    let most = allowed.end();
    if length > *most {
        faults.add(at, format!("{what} has at most {most} characters, this one has {length}"));
    } else if length < *allowed.start() {
        faults.add(at, format!("{what} cannot be empty"));
    }
}

/// The name of something within a flag.
fn word(text: &str, what: &str, at: &At<'_>, faults: &mut Faults) {
    length(text, what, 1..=LONGEST_WORD, at, faults);
    if text.chars().any(char::is_control) {
        faults.add(at, format!("{what} cannot contain control characters such as line breaks"));
    }
}

fn at_most<T>(items: &[T], most: usize, at: &At<'_>, faults: &mut Faults) {
    if items.len() > most {
        let count = items.len();
        faults.add(at, format!("at most {most} are possible here, these are {count}"));
    }
}

fn check_tags(flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT.member("tags");
    at_most(&flag.tags, MOST_TAGS, &at, faults);
    for (index, tag) in flag.tags.iter().enumerate() {
        word(tag, "a tag", &at.item(index), faults);
    }
}

fn check_variants(flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT.member("variants");
    at_most(&flag.variants, MOST_VARIANTS, &at, faults);
    if flag.variants.is_empty() {
        faults.add(&at, NO_VARIANTS);
    }
    let mut names = HashSet::new();
    for (index, variant) in flag.variants.iter().enumerate() {
        let at = at.item(index);
        word(&variant.name, "the name of a variant", &at.member("name"), faults);
        if !names.insert(variant.name.as_str()) {
            let message = format!("another variant is called {}, too; rename one", quote(&variant.name));
            faults.add(&at.member("name"), message);
        }
        if !flag.kind.admits(&variant.value) {
            let message = format!(
                "the values of a {} flag are {}s, this is {}",
                flag.kind.as_str(),
                flag.kind.as_str(),
                crate::read::kind_of(&variant.value)
            );
            faults.add(&at.member("value"), message);
        }
        let size = variant.value.to_string().len();
        if size > LARGEST_VALUE {
            let message = format!("a value has at most {LARGEST_VALUE} bytes as JSON, this one has {size}");
            faults.add(&at.member("value"), message);
        }
    }
}

fn is_variant(flag: &Flag, name: &str, at: &At<'_>, faults: &mut Faults) {
    if !flag.variants.iter().any(|variant| variant.name == name) {
        let hint = hint(name, flag.variants.iter().map(|variant| variant.name.as_str()));
        faults.add(at, format!("the flag has no variant {}{hint}", quote(name)));
    }
}

fn check_rules(flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT.member("rules");
    at_most(&flag.rules, MOST_RULES, &at, faults);
    let mut ids = HashSet::new();
    for (index, rule) in flag.rules.iter().enumerate() {
        let at = at.item(index);
        if !rule.id.is_empty() {
            word(&rule.id, "the id of a rule", &at.member("id"), faults);
            if !ids.insert(rule.id.as_str()) {
                let message = format!("another rule has the id {}, too; change one", quote(&rule.id));
                faults.add(&at.member("id"), message);
            }
        }
        check_description(&rule.description, &at.member("description"), faults);
        if i32::try_from(rule.priority).is_err() {
            let message = format!("a priority is between {} and {}", i32::MIN, i32::MAX);
            faults.add(&at.member("priority"), message);
        }
        if rule.conditions.is_empty() {
            let message = "a rule needs a condition; what everybody gets is the `default_variant` or the flag's `rollout`";
            faults.add(&at.member("conditions"), message);
        }
        at_most(&rule.conditions, MOST_CONDITIONS, &at.member("conditions"), faults);
        match &rule.serve {
            Serve::Variant(name) => is_variant(flag, name, &at.member("variant"), faults),
            Serve::Rollout(rollout) => {
                check_rollout(flag, rollout, &at.member("rollout"), faults);
            }
        }
    }
}

fn check_rollout(flag: &Flag, rollout: &Rollout, at: &At<'_>, faults: &mut Faults) {
    let at = at.member("weights");
    at_most(&rollout.weights, MOST_VARIANTS, &at, faults);
    let mut names = HashSet::new();
    let before = faults.len();
    for (index, weight) in rollout.weights.iter().enumerate() {
        let at = at.item(index);
        is_variant(flag, &weight.variant, &at.member("variant"), faults);
        if !names.insert(weight.variant.as_str()) {
            let message = format!("{} has a weight already; add them up", quote(&weight.variant));
            faults.add(&at.member("variant"), message);
        }
        if !weight.weight.is_finite() || weight.weight < 0.0 {
            faults.add(&at.member("weight"), "a weight cannot be negative; use 0 to serve nobody");
        }
    }
    let total: f64 = rollout.weights.iter().map(|weight| weight.weight).sum();
    if faults.len() == before && !(total > 0.0 && total.is_finite()) {
        faults.add(&at, "the weights have to add up to more than 0; give at least one variant a share");
    }
}

fn check_targets(flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT.member("targets");
    at_most(&flag.targets, MOST_TARGETS, &at, faults);
    let mut seen: HashMap<(&str, String), &Target> = HashMap::new();
    for (index, target) in flag.targets.iter().enumerate() {
        let at = at.item(index);
        is_variant(flag, &target.variant, &at.member("variant"), faults);
        let at = at.member("values");
        at_most(&target.values, MOST_TARGET_VALUES, &at, faults);
        if target.values.is_empty() {
            faults.add(&at, "a target needs values; name individuals, or remove it");
        }
        for (index, value) in target.values.iter().enumerate() {
            let at = at.item(index);
            length(value, "a target", 1..=1000, &at, faults);
            // The first entry decides, so that a second with another variant would silently do nothing.
            let other = seen.entry((&target.attribute, value.to_lowercase())).or_insert(target);
            if other.variant != target.variant {
                let (value, other) = (quote(value), quote(&other.variant));
                faults.add(&at, format!("{value} is a target of {other} already; keep one of the two"));
            }
        }
    }
}

fn check_prerequisites(flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT.member("prerequisites");
    at_most(&flag.prerequisites, MOST_PREREQUISITES, &at, faults);
    let mut keys = HashSet::new();
    for (index, required) in flag.prerequisites.iter().enumerate() {
        let at = at.item(index);
        let at = at.member("flag");
        if required.flag == flag.key {
            faults.add(&at, "a flag cannot require itself");
        } else if !keys.insert(required.flag.as_str()) {
            faults.add(&at, format!("flag {} is required already; keep one", quote(&required.flag)));
        }
    }
}
