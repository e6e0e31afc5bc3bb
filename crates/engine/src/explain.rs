//! Saying why a caller gets what it gets.

mod conditions;
mod rules;
mod words;

use serde::Serialize;
use serde_json::Value;
use words::{shown, shown_value};

use crate::compile::{CompiledRollout, CompiledTarget};
use crate::fault::quote;
use crate::{CompiledFlag, Context, Evaluation, Reason, Ruleset};

/// Why a caller gets what it gets, down to every condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Key of the flag.
    pub flag: String,
    /// Revision of the flag.
    pub revision: u64,
    /// What the caller gets.
    pub value: Value,
    /// Name of the variant.
    pub variant: String,
    /// What decided.
    pub reason: Reason,
    /// The whole story in a sentence or two.
    pub summary: String,
    /// Every prerequisite.
    pub prerequisites: Vec<PrerequisiteTrace>,
    /// Every list of individual targets.
    pub targets: Vec<TargetTrace>,
    /// Every rule, in the order in which they are tried.
    pub rules: Vec<RuleTrace>,
    /// The rollout for those whom no rule matched.
    pub rollout: Option<RolloutTrace>,
}

/// Whether a prerequisite was met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrerequisiteTrace {
    /// Key of the other flag.
    pub flag: String,
    /// Name of the variant it must give.
    pub required: String,
    /// Name of the variant it gives.
    pub actual: Option<String>,
    /// Whether it was met.
    pub matched: bool,
    /// Why, or why not.
    pub why: String,
}

/// Whether a list of individual targets holds the caller.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetTrace {
    /// Name of the variant it gives.
    pub variant: String,
    /// The attribute compared.
    pub attribute: String,
    /// Whether the caller is listed.
    pub matched: bool,
    /// Why, or why not.
    pub why: String,
}

/// Whether a rule matched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleTrace {
    /// Position in the order in which rules are tried, from 0.
    pub position: usize,
    /// Id, when the rule has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Description, when the rule has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Priority; lowest is tried first.
    pub priority: i64,
    /// Whether all conditions hold.
    pub matched: bool,
    /// Whether this is the rule that decided.
    pub decided: bool,
    /// Why it decided, or why not.
    pub why: String,
    /// Every condition.
    pub conditions: Vec<ConditionTrace>,
    /// The variant it serves, when it serves just one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The rollout it serves, when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutTrace>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionTrace {
    /// The attribute compared; none when the condition asks about segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Name of the operator.
    pub operator: &'static str,
    /// What the condition compares with.
    pub expected: Value,
    /// What the caller has; none when the attribute is absent.
    pub actual: Option<Value>,
    /// Whether it holds.
    pub matched: bool,
    /// Why, or why not.
    pub why: String,
}

/// Where the caller falls in a rollout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RolloutTrace {
    /// The attribute whose value is the unit.
    pub bucket_by: String,
    /// The unit; none when the attribute is absent.
    pub unit: Option<String>,
    /// The bucket, 0 to 9999; none when the attribute is absent.
    pub bucket: Option<u32>,
    /// Name of the variant the bucket belongs to.
    pub variant: Option<String>,
    /// The buckets of every variant.
    pub ranges: Vec<RangeTrace>,
    /// The same in words.
    pub why: String,
}

/// The buckets of one variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeTrace {
    /// Name of the variant.
    pub variant: String,
    /// First bucket.
    pub from: u32,
    /// The bucket after the last.
    pub to: u32,
}

impl Ruleset {
    /// Says why a caller gets what it gets. Rules after the one that decided are explained as well.
    pub fn explain(&self, flag: &CompiledFlag, context: &Context<'_>) -> Explanation {
        let evaluation = self.evaluate(flag, context);
        let mut explanation = Explanation {
            flag: flag.key().to_string(),
            revision: flag.revision(),
            value: evaluation.variant.value.clone(),
            variant: evaluation.variant.name.to_string(),
            reason: evaluation.reason,
            summary: String::new(),
            prerequisites: self.explain_prerequisites(flag, context),
            targets: self.explain_targets(flag, context),
            rules: Vec::new(),
            rollout: None,
        };
        let open = may_reach_rules(&explanation);
        explanation.rules = self.explain_rules(flag, context, open);
        let extras = flag.extras.as_ref();
        let rollout = extras.and_then(|extras| extras.rollout.as_ref());
        explanation.rollout = rollout.map(|rollout| self.explain_rollout(flag, rollout, context));
        explanation.summary = summary(&explanation, evaluation);
        explanation
    }

    fn explain_prerequisites(&self, flag: &CompiledFlag, context: &Context<'_>) -> Vec<PrerequisiteTrace> {
        let required = flag.prerequisites().iter();
        required
            .map(|required| {
                let other = self.flag(&required.flag);
                let actual = other.map(|other| self.evaluate(other, context));
                let name = actual.map(|actual| actual.variant.name.to_string());
                let matched = name.as_deref() == Some(&*required.variant);
                let key = quote(&required.flag);
                let why = match actual {
                    None => format!("there is no flag {key}"),
                    Some(actual) => format!(
                        "flag {key} gives this caller {} ({}){}",
                        quote(&actual.variant.name),
                        actual.reason.as_str(),
                        if matched {
                            ", as required".to_owned()
                        } else {
                            format!(", but {} is required", quote(&required.variant))
                        }
                    ),
                };
                PrerequisiteTrace {
                    flag: required.flag.to_string(),
                    required: required.variant.to_string(),
                    actual: name,
                    matched,
                    why,
                }
            })
            .collect()
    }

    fn explain_targets(&self, flag: &CompiledFlag, context: &Context<'_>) -> Vec<TargetTrace> {
        let targets = flag.extras.as_ref().map_or(&[][..], |extras| &extras.targets);
        targets.iter().map(|target| self.explain_target(flag, target, context)).collect()
    }

    fn explain_target(
        &self,
        flag: &CompiledFlag,
        target: &CompiledTarget,
        context: &Context<'_>,
    ) -> TargetTrace {
        let attribute = self.attributes().name(target.slot).unwrap_or_default();
        let actual = context.get(target.slot);
        let matched = actual.is_some_and(|value| target.values.matches(value));
        let count = target.values.len();
        let why = match actual {
            None => format!("the caller has no {}", quote(attribute)),
            Some(value) => format!(
                "{} is {}, which is {} the {count} listed",
                quote(attribute),
                shown_value(value),
                if matched { "one of" } else { "none of" }
            ),
        };
        TargetTrace {
            variant: flag.variants.at(target.variant).name.to_string(),
            attribute: attribute.to_owned(),
            matched,
            why,
        }
    }

    pub(crate) fn explain_rollout(
        &self,
        flag: &CompiledFlag,
        rollout: &CompiledRollout,
        context: &Context<'_>,
    ) -> RolloutTrace {
        let name = |variant: u16| flag.variants.at(variant).name.to_string();
        let mut from = 0;
        let mut ranges = Vec::with_capacity(rollout.shares.len());
        for share in &rollout.shares {
            ranges.push(RangeTrace { variant: name(share.variant), from, to: share.end });
            from = share.end;
        }
        let bucket_by = self.attributes().name(rollout.slot).unwrap_or_default();
        let bucket = rollout.bucket(flag.salt, context);
        let range =
            bucket.and_then(|bucket| ranges.iter().find(|range| (range.from..range.to).contains(&bucket)));
        let why = match (bucket, range) {
            (Some(bucket), Some(range)) => format!(
                "{} falls in bucket {bucket} of 10000; {} to {} are {}",
                shown(context.get(rollout.slot)),
                range.from,
                range.to.saturating_sub(1),
                quote(&range.variant)
            ),
            _ => format!(
                "the caller has no single {} to fall in a bucket by, so the default variant is served",
                quote(bucket_by)
            ),
        };
        RolloutTrace {
            bucket_by: bucket_by.to_owned(),
            unit: bucket.and_then(|_| context.get(rollout.slot)).map(words::plain),
            bucket,
            variant: range.map(|range| range.variant.clone()),
            ranges,
            why,
        }
    }
}

/// What, if anything, decided before any rule was asked.
fn may_reach_rules(explanation: &Explanation) -> Result<(), &'static str> {
    if explanation.reason == Reason::Disabled {
        return Err("the flag is disabled");
    }
    if explanation.prerequisites.iter().any(|one| !one.matched) {
        return Err("a prerequisite is not met");
    }
    if explanation.targets.iter().any(|one| one.matched) {
        return Err("the caller is an individual target");
    }
    Ok(())
}

fn summary(explanation: &Explanation, evaluation: Evaluation<'_>) -> String {
    let served = quote(&evaluation.variant.name);
    let decided = explanation.rules.iter().find(|rule| rule.decided);
    let cause = match (evaluation.reason, decided) {
        (Reason::Disabled, _) => "the flag is disabled".to_owned(),
        (Reason::PrerequisiteFailed, _) => {
            let failed = explanation.prerequisites.iter().find(|one| !one.matched);
            failed.map(|one| one.why.clone()).unwrap_or_default()
        }
        (Reason::Split, None) => {
            explanation.rollout.as_ref().map(|rollout| rollout.why.clone()).unwrap_or_default()
        }
        (_, Some(rule)) => format!("rule {} matched: {}", rule.position + 1, rule.why),
        (Reason::TargetingMatch, None) => {
            let target = explanation.targets.iter().find(|one| one.matched);
            target.map(|one| one.why.clone()).unwrap_or_default()
        }
        (Reason::Static, None) => "the flag gives it to everybody".to_owned(),
        (Reason::Error, _) => "prerequisites are nested too deep to be followed".to_owned(),
        _ => match &explanation.rollout {
            Some(rollout) => rollout.why.clone(),
            None if explanation.rules.is_empty() => "nothing else decided".to_owned(),
            None => format!("none of the {} rules matched", explanation.rules.len()),
        },
    };
    format!("the caller gets {served}: {cause}")
}

#[cfg(test)]
mod tests;
