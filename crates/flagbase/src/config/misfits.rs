//! Finding everything that cannot be used in one go: each key that does not exist, each value of the wrong kind, and
//! variables that were probably meant for us.

use std::collections::BTreeSet;

use figment::Figment;

use super::layers::Layer;
use super::load::explain;
use super::{Config, Environment, Problem, keys};

/// Variables with a meaning of their own, which are no keys.
const NOT_KEYS: [&str; 7] = [
    "FLAGBASE_SERVER",
    "FLAGBASE_TOKEN",
    "FLAGBASE_TOKEN_FILE",
    "FLAGBASE_ENVIRONMENT",
    "FLAGBASE_CONFIG",
    "FLAGBASE_ADMIN_EMAIL",
    "FLAGBASE_ADMIN_PASSWORD_FILE",
];

/// Takes out of `layers` whatever cannot be used and says why; returns the paths of values of the wrong kind.
///
/// Each value is tried alone above the defaults, because reading them all together ends at the first one that does not
/// fit. A value that a later layer replaces is not looked at.
pub(super) fn take_out(layers: &mut [Layer], problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    let mut out = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        for (path, problem) in layer.unknown_keys() {
            problems.push(problem);
            out.push((at, path));
        }
    }
    let Some(defaults) = layers.first() else { return wrong };
    for (at, layer) in layers.iter().enumerate().skip(1) {
        for (path, _) in keys::leaves(&layer.values) {
            let last = layers.iter().rposition(|layer| layer.has(&path)) == Some(at);
            if !last || out.contains(&(at, path.clone())) {
                continue;
            }
            let Some(alone) = layer.only(&path) else { continue };
            if let Err(error) = Figment::from(defaults.clone()).merge(alone).extract::<Config>() {
                problems.extend(error.into_iter().map(|error| explain(&error, layers)));
                wrong.insert(path.clone());
                out.push((at, path));
            }
        }
    }
    // What is below a wrong value must not come to light when it is taken out.
    for path in out.iter().map(|(_, path)| path) {
        layers.iter_mut().skip(1).for_each(|layer| layer.remove(path));
    }
    wrong
}

/// Variables that look like keys written with one underscore instead of two, or without their section. Only a warning,
/// because a platform may have set them for reasons of its own, as Kubernetes does with addresses (`tcp://…`).
pub(super) fn near_misses(environment: &Environment) -> Vec<String> {
    let set = environment.iter().filter(|(name, value)| {
        name.starts_with("FLAGBASE_") && !value.starts_with("tcp://") && !value.starts_with("udp://")
    });
    set.filter_map(|(name, _)| {
        let meant = meant_by(name);
        (!meant.is_empty()).then(|| format!("`{name}` is ignored: the variable is {}", meant.join(" or ")))
    })
    .collect()
}

/// The variables that `name` was probably meant to be.
fn meant_by(name: &str) -> Vec<String> {
    let rest = name.strip_prefix("FLAGBASE_").unwrap_or_default();
    if rest.contains("__") || NOT_KEYS.contains(&name) {
        return Vec::new();
    }
    let flat = |key: &&keys::Key| key.variable() != name && key.variable().replace("__", "_") == name;
    let last =
        |key: &&keys::Key| key.path.split_once('.').is_some_and(|(_, leaf)| leaf.eq_ignore_ascii_case(rest));
    let quoted = |key: &keys::Key| format!("`{}`", key.variable());
    let all = keys::keys();
    match all.iter().find(flat) {
        Some(key) => vec![quoted(key)],
        None => all.iter().filter(last).map(quoted).collect(),
    }
}
