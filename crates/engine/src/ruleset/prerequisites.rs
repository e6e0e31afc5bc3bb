//! Which flags may require which.

use super::users::User;
use crate::fault::{At, Faults, hint, listing, quote};
use crate::{Flag, Ruleset};

/// How many flags may stand in a row, each requiring the next.
const LONGEST_CHAIN: usize = 10;

/// How many flags one evaluation may look at, counted with repetition: what one request can cost has a bound.
const MOST_EVALUATIONS: usize = 200;

/// Notes whatever is wrong between `flag` and the others, if it replaced the flag of its key.
pub(super) fn check(ruleset: &Ruleset, flag: &Flag, faults: &mut Faults) {
    let at = At::ROOT.member("prerequisites");
    let before = faults.len();
    for (index, required) in flag.prerequisites.iter().enumerate() {
        let at = at.item(index);
        if required.flag == flag.key {
            // The check of the flag itself says so.
            continue;
        }
        let Some(other) = ruleset.flag(&required.flag) else {
            let hint = nearest_flag(ruleset, &required.flag);
            let message = format!("there is no flag {}{hint}", quote(&required.flag));
            faults.add(&at.member("flag"), message);
            continue;
        };
        if other.variant(&required.variant).is_none() {
            let hint = hint(&required.variant, other.variants().map(|variant| &*variant.name));
            let (flag, variant) = (quote(&required.flag), quote(&required.variant));
            let message = format!("flag {flag} has no variant {variant}{hint}");
            faults.add(&at.member("variant"), message);
        }
        if let Some(path) = path_back(ruleset, &required.flag, &flag.key) {
            let message = format!(
                "this closes a circle: {} requires {}, and so on back to {}",
                quote(&flag.key),
                listing(path.iter().map(String::as_str)),
                quote(&flag.key)
            );
            faults.add(&at.member("flag"), message);
        }
    }
    if !flag.prerequisites.is_empty() && faults.len() == before {
        check_cost(ruleset, flag, &at, faults);
    }
    check_dependents(ruleset, flag, faults);
}

/// Looking at all keys for the nearest is fine for some thousands of flags only.
fn nearest_flag(ruleset: &Ruleset, key: &str) -> String {
    if ruleset.len() > 5000 {
        return "; create it first".to_owned();
    }
    let hint = hint(key, ruleset.flags().map(|flag| &**flag.key()));
    if hint.ends_with('?') { hint } else { "; create it first".to_owned() }
}

/// The flags from `from` to the one that requires `to`. What is in the ruleset has no circles and no long chains.
fn path_back(ruleset: &Ruleset, from: &str, to: &str) -> Option<Vec<String>> {
    let flag = ruleset.flag(from)?;
    for required in flag.prerequisites() {
        if &*required.flag == to {
            return Some(vec![from.to_owned()]);
        }
        if let Some(mut path) = path_back(ruleset, &required.flag, to) {
            path.insert(0, from.to_owned());
            return Some(path);
        }
    }
    None
}

/// What evaluating a flag costs.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Flags in the longest chain.
    chain: usize,
    evaluations: usize,
}

impl Cost {
    fn of(ruleset: &Ruleset, required: &mut dyn Iterator<Item = &str>, changed: (&str, Cost)) -> Cost {
        let mut cost = Cost { chain: 0, evaluations: 1 };
        for key in required {
            let other = if key == changed.0 {
                changed.1
            } else if let Some(flag) = ruleset.flag(key) {
                let mut required = flag.prerequisites().iter().map(|required| &*required.flag);
                Cost::of(ruleset, &mut required, changed)
            } else {
                Cost::default()
            };
            cost.chain = cost.chain.max(other.chain);
            cost.evaluations += other.evaluations;
        }
        Cost { chain: cost.chain + 1, ..cost }
    }

    fn complaint(self) -> Option<String> {
        if self.chain > LONGEST_CHAIN {
            let chain = self.chain;
            return Some(format!("{chain} flags in a row require each other, at most {LONGEST_CHAIN} may"));
        }
        (self.evaluations > MOST_EVALUATIONS).then(|| {
            let count = self.evaluations;
            format!("evaluating it looks at {count} flags, at most {MOST_EVALUATIONS} may be needed")
        })
    }
}

fn check_cost(ruleset: &Ruleset, flag: &Flag, at: &At<'_>, faults: &mut Faults) {
    let mut required = flag.prerequisites.iter().map(|required| required.flag.as_str());
    let cost = Cost::of(ruleset, &mut required, ("", Cost::default()));
    if let Some(complaint) = cost.complaint() {
        faults.add(at, format!("{complaint}; require fewer flags"));
        return;
    }
    let mut above = vec![flag.key.clone()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(key) = above.pop() {
        let Some(users) = ruleset.dependents.get(&key) else {
            continue;
        };
        for user in users.by.iter() {
            let User::Flag(user) = user else { continue };
            if !seen.insert(user.clone()) {
                continue;
            }
            above.push(user.to_string());
            let required = ruleset.flag(user).map_or(&[][..], |flag| flag.prerequisites());
            let mut required = required.iter().map(|required| &*required.flag);
            let cost = Cost::of(ruleset, &mut required, (&flag.key, cost));
            if let Some(complaint) = cost.complaint() {
                let user = quote(user);
                faults.add(at, format!("with this, flag {user} requires too much: {complaint}"));
                return;
            }
        }
    }
}

/// A variant that another flag requires has to stay.
fn check_dependents(ruleset: &Ruleset, flag: &Flag, faults: &mut Faults) {
    let Some(users) = ruleset.dependents.get(&flag.key) else {
        return;
    };
    for user in users.by.iter() {
        let User::Flag(user) = user else { continue };
        let required = ruleset.flag(user).map_or(&[][..], |user| user.prerequisites());
        let missing = required
            .iter()
            .filter(|required| *required.flag == *flag.key)
            .find(|required| !flag.variants.iter().any(|variant| *variant.name == *required.variant));
        if let Some(missing) = missing {
            let (user, variant) = (quote(user), quote(&missing.variant));
            let message =
                format!("flag {user} requires the variant {variant}; keep it, or change {user} first");
            faults.add(&At::ROOT.member("variants"), message);
        }
    }
}
