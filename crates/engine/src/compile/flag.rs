//! From a definition to what is evaluated.

use std::sync::Arc;

use super::{
    CompiledFlag, CompiledPrerequisite, CompiledRollout, CompiledRule, CompiledServe, CompiledTarget,
    Compiler, Conditions, Extras, Label, Share, Variants,
};
use crate::bucket::{BUCKETS, Salted};
use crate::fault::{At, Fault, Faults};
use crate::text::TextSet;
use crate::{Flag, Reason, Rollout, Rule, Serve, Target, Weight};

/// Checks the flag against the environment (but not against other flags) and compiles it.
pub(crate) fn compile(
    flag: &Flag,
    revision: u64,
    env: &mut Compiler<'_>,
) -> Result<CompiledFlag, Vec<Fault>> {
    let mut faults = Faults::default();
    crate::flag::check(flag, &mut faults);
    let rules = rules(flag, env, &mut faults);
    let extras = extras(flag, env, &mut faults);
    let variants = Variants::new(&flag.variants, env.scope.texts);
    let varies = !flag.rules.is_empty() || extras.varies();
    faults.or(CompiledFlag {
        key: env.scope.texts.text(&flag.key),
        revision,
        variants,
        rules,
        extras: extras.boxed(),
        salt: Salted::new(&flag.salt),
        default: position(flag, &flag.default_variant),
        off: position(flag, &flag.off_variant),
        kind: flag.kind,
        enabled: flag.enabled,
        otherwise: if varies { Reason::Default } else { Reason::Static },
    })
}

/// Names were checked before, so that the first variant stands in for none in reality.
fn position(flag: &Flag, name: &str) -> u16 {
    let position = flag.variants.iter().position(|variant| variant.name == name);
    position.and_then(|position| u16::try_from(position).ok()).unwrap_or(0)
}

/// In the order in which they are tried.
fn rules(flag: &Flag, env: &mut Compiler<'_>, faults: &mut Faults) -> Box<[CompiledRule]> {
    let at = At::ROOT.member("rules");
    let mut rules: Vec<CompiledRule> = Vec::with_capacity(flag.rules.len());
    for (index, rule) in flag.rules.iter().enumerate() {
        rules.extend(compile_rule(flag, rule, &at.item(index), env, faults));
    }
    // Stable: equal priorities stay in the order given.
    rules.sort_by_key(|rule| rule.priority);
    rules.into()
}

fn compile_rule(
    flag: &Flag,
    rule: &Rule,
    at: &At<'_>,
    env: &mut Compiler<'_>,
    faults: &mut Faults,
) -> Option<CompiledRule> {
    let conditions = match rule.conditions.as_slice() {
        [condition] => Conditions::One(env.condition(condition, at, faults)?),
        several => {
            let at = at.member("conditions");
            let compiled: Vec<_> = several
                .iter()
                .enumerate()
                .filter_map(|(index, one)| env.condition(one, &at.item(index), faults))
                .collect();
            Conditions::All(compiled.into())
        }
    };
    let serve = match &rule.serve {
        Serve::Variant(name) => CompiledServe::Variant(position(flag, name)),
        Serve::Rollout(rollout) => {
            let at = at.member("rollout");
            CompiledServe::Rollout(Box::new(compile_rollout(flag, rollout, &at, env, faults)?))
        }
    };
    let labelled = !rule.id.is_empty() || !rule.description.is_empty();
    let label = labelled.then(|| {
        Box::new(Label { id: rule.id.as_str().into(), description: rule.description.as_str().into() })
    });
    let priority = i32::try_from(rule.priority).unwrap_or(i32::MAX);
    Some(CompiledRule { conditions, serve, label, priority })
}

fn compile_rollout(
    flag: &Flag,
    rollout: &Rollout,
    at: &At<'_>,
    env: &mut Compiler<'_>,
    faults: &mut Faults,
) -> Option<CompiledRollout> {
    let slot = env.slot(&rollout.bucket_by, &at.member("bucket_by"), faults)?;
    Some(CompiledRollout { slot, shares: shares(flag, &rollout.weights) })
}

/// Cumulative, so that raising the first weight only moves units into the first variant.
fn shares(flag: &Flag, weights: &[Weight]) -> Box<[Share]> {
    let total: f64 = weights.iter().map(|weight| weight.weight).sum();
    let mut sum = 0.0;
    let share = |weight: &Weight| {
        sum += weight.weight;
        Share { variant: position(flag, &weight.variant), end: part_of(sum, total) }
    };
    weights.iter().map(share).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the buckets there are before it is cast"
)]
fn part_of(sum: f64, total: f64) -> u32 {
    let buckets = f64::from(BUCKETS);
    (sum / total * buckets).round().clamp(0.0, buckets) as u32
}

fn extras(flag: &Flag, env: &mut Compiler<'_>, faults: &mut Faults) -> Extras {
    let at = At::ROOT.member("targets");
    let targets = flag.targets.iter().enumerate();
    let targets = targets
        .filter_map(|(index, target)| compile_target(flag, target, &at.item(index), env, faults))
        .collect();
    let rollout = flag
        .rollout
        .as_ref()
        .and_then(|rollout| compile_rollout(flag, rollout, &At::ROOT.member("rollout"), env, faults));
    let prerequisites = flag.prerequisites.iter().map(|required| CompiledPrerequisite {
        flag: env.scope.texts.text(&required.flag),
        variant: env.scope.texts.text(&required.variant),
    });
    let prerequisites = prerequisites.collect();
    let mut segments: Vec<Arc<str>> = flag
        .rules
        .iter()
        .flat_map(|rule| &rule.conditions)
        .flat_map(crate::Condition::segments)
        .map(|key| env.scope.texts.text(&key))
        .collect();
    segments.sort_unstable();
    segments.dedup();
    Extras { prerequisites, targets, rollout, segments: segments.into() }
}

fn compile_target(
    flag: &Flag,
    target: &Target,
    at: &At<'_>,
    env: &mut Compiler<'_>,
    faults: &mut Faults,
) -> Option<CompiledTarget> {
    let slot = env.slot(&target.attribute, &at.member("attribute"), faults)?;
    let values = target.values.iter().map(|value| env.scope.texts.text(value)).collect();
    Some(CompiledTarget { slot, variant: position(flag, &target.variant), values: TextSet::new(values) })
}

impl Extras {
    /// Whether they make the flag give different callers different variants.
    fn varies(&self) -> bool {
        !self.prerequisites.is_empty() || !self.targets.is_empty() || self.rollout.is_some()
    }

    fn boxed(self) -> Option<Box<Extras>> {
        (self.varies() || !self.segments.is_empty()).then(|| Box::new(self))
    }
}
