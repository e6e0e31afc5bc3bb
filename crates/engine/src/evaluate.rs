//! Deciding what a caller gets.

use serde::Serialize;

use crate::bucket::Salted;
use crate::compile::{CompiledRollout, CompiledRule, CompiledServe, Conditions, Extras};
use crate::{CompiledFlag, CompiledVariant, Context, Ruleset, Value};

/// How deep prerequisites may be followed. Saving refuses less, so this is only ever met by a ruleset put together
/// from flags of another.
const DEEPEST: u32 = 32;

/// What a caller gets, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation<'r> {
    /// What the caller gets.
    pub variant: &'r CompiledVariant,
    /// What decided.
    pub reason: Reason,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The flag gives everybody the same.
    Static,
    /// A target or a rule.
    TargetingMatch,
    /// The share the caller falls in.
    Split,
    /// Nothing else did.
    Default,
    /// The flag is disabled.
    Disabled,
    /// Another flag did not give what this one requires.
    PrerequisiteFailed,
    /// Somebody set the flag for this session.
    Override,
    /// The flag could not be evaluated; this is the off variant.
    Error,
}

impl Reason {
    /// The name in JSON, such as `TARGETING_MATCH`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Static => "STATIC",
            Reason::TargetingMatch => "TARGETING_MATCH",
            Reason::Split => "SPLIT",
            Reason::Default => "DEFAULT",
            Reason::Disabled => "DISABLED",
            Reason::PrerequisiteFailed => "PREREQUISITE_FAILED",
            Reason::Override => "OVERRIDE",
            Reason::Error => "ERROR",
        }
    }
}

impl Ruleset {
    /// Decides what a caller gets. Neither locks nor allocates, except that `matches` borrows scratch memory from a
    /// pool of its pattern.
    ///
    /// In this order: a disabled flag gives its off variant, and so does one with an unmet prerequisite (which is met
    /// when the other flag gives this caller the required variant, for whatever reason); then individual targets,
    /// rules, the rollout, and last the default variant. A rollout by an attribute the caller does not have gives the
    /// default variant.
    #[inline]
    pub fn evaluate<'r>(&'r self, flag: &'r CompiledFlag, context: &Context<'_>) -> Evaluation<'r> {
        let decision = self.decide(flag, context, 0);
        Evaluation { variant: flag.variants.at(decision.variant), reason: decision.reason }
    }

    fn decide(&self, flag: &CompiledFlag, context: &Context<'_>, depth: u32) -> Decision {
        if !flag.enabled {
            return Decision { variant: flag.off, reason: Reason::Disabled };
        }
        if let Some(extras) = &flag.extras
            && let Some(decision) = self.decide_first(flag, extras, context, depth)
        {
            return decision;
        }
        let matching = flag.rules.iter().find(|rule| self.rule_matches(rule, context));
        if let Some(rule) = matching {
            return rule.serve.decide(flag, context);
        }
        let rollout = flag.extras.as_ref().and_then(|extras| extras.rollout.as_ref());
        match rollout.and_then(|rollout| rollout.choose(flag.salt, context)) {
            Some(variant) => Decision { variant, reason: Reason::Split },
            None => Decision { variant: flag.default, reason: flag.otherwise },
        }
    }

    /// Prerequisites and targets.
    #[inline(never)]
    fn decide_first(
        &self,
        flag: &CompiledFlag,
        extras: &Extras,
        context: &Context<'_>,
        depth: u32,
    ) -> Option<Decision> {
        if depth > DEEPEST {
            return Some(Decision { variant: flag.off, reason: Reason::Error });
        }
        for required in &extras.prerequisites {
            let met = self.flag(&required.flag).is_some_and(|other| {
                let decision = self.decide(other, context, depth + 1);
                other.variants.at(decision.variant).name == required.variant
            });
            if !met {
                return Some(Decision { variant: flag.off, reason: Reason::PrerequisiteFailed });
            }
        }
        let target = extras
            .targets
            .iter()
            .find(|target| context.get(target.slot).is_some_and(|value| target.values.matches(value)))?;
        Some(Decision { variant: target.variant, reason: Reason::TargetingMatch })
    }

    #[inline]
    pub(crate) fn rule_matches(&self, rule: &CompiledRule, context: &Context<'_>) -> bool {
        let segments = self.segments();
        match &rule.conditions {
            Conditions::One(condition) => condition.holds(context, segments),
            Conditions::All(conditions) => {
                conditions.iter().all(|condition| condition.holds(context, segments))
            }
        }
    }
}

/// An evaluation by number.
#[derive(Clone, Copy)]
struct Decision {
    variant: u16,
    reason: Reason,
}

impl CompiledServe {
    fn decide(&self, flag: &CompiledFlag, context: &Context<'_>) -> Decision {
        match self {
            CompiledServe::Variant(variant) => Decision { variant: *variant, reason: Reason::TargetingMatch },
            CompiledServe::Rollout(rollout) => match rollout.choose(flag.salt, context) {
                Some(variant) => Decision { variant, reason: Reason::Split },
                None => Decision { variant: flag.default, reason: Reason::Default },
            },
        }
    }
}

impl CompiledRollout {
    /// The variant the caller's unit falls in; none when the caller has no unit.
    fn choose(&self, salt: Salted, context: &Context<'_>) -> Option<u16> {
        let bucket = self.bucket(salt, context)?;
        self.shares.iter().find(|share| bucket < share.end).map(|share| share.variant)
    }

    /// The bucket of the caller's unit. A list is no unit.
    pub(crate) fn bucket(&self, salt: Salted, context: &Context<'_>) -> Option<u32> {
        match context.get(self.slot)? {
            Value::Str(unit) => Some(salt.bucket(unit)),
            Value::Number(unit) => Some(salt.bucket_of(&unit)),
            Value::Bool(unit) => Some(salt.bucket_of(&unit)),
            Value::List(_) => None,
        }
    }
}
