//! Why a rule decided, or did not.

use super::{ConditionTrace, RuleTrace};
use crate::compile::{CompiledRule, CompiledServe};
use crate::fault::quote;
use crate::{CompiledFlag, Context, Ruleset};

impl Ruleset {
    /// All rules in the order in which they are tried; `open` is why none was, if none was.
    pub(super) fn explain_rules(
        &self,
        flag: &CompiledFlag,
        context: &Context<'_>,
        open: Result<(), &'static str>,
    ) -> Vec<RuleTrace> {
        let mut before = open.map_err(str::to_owned);
        let mut traces = Vec::with_capacity(flag.rules.len());
        for (position, rule) in flag.rules.iter().enumerate() {
            let mut trace = self.explain_rule(flag, rule, context);
            trace.position = position;
            if trace.matched {
                match &before {
                    Ok(()) => {
                        trace.decided = true;
                        before = Err(format!("rule {} decided before", position + 1));
                    }
                    Err(reason) => trace.why = format!("it would match, but {reason}"),
                }
            }
            traces.push(trace);
        }
        traces
    }

    fn explain_rule(&self, flag: &CompiledFlag, rule: &CompiledRule, context: &Context<'_>) -> RuleTrace {
        let conditions = rule.conditions.as_slice().iter();
        let conditions: Vec<ConditionTrace> =
            conditions.map(|condition| self.explain_condition(condition, context)).collect();
        let rollout = match &rule.serve {
            CompiledServe::Rollout(rollout) => Some(self.explain_rollout(flag, rollout, context)),
            CompiledServe::Variant(_) => None,
        };
        let variant = match &rule.serve {
            CompiledServe::Variant(variant) => Some(flag.variants.at(*variant).name.to_string()),
            CompiledServe::Rollout(_) => None,
        };
        let matched = conditions.iter().all(|condition| condition.matched);
        let mut why = why(&conditions);
        if let (true, Some(rollout)) = (matched, &rollout) {
            why = format!("{why}; {}", rollout.why);
        } else if let (true, Some(variant)) = (matched, &variant) {
            why = format!("{why}; it serves {}", quote(variant));
        }
        let label = rule.label.as_ref();
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        RuleTrace {
            position: 0,
            id: label.and_then(|label| given(&label.id)),
            description: label.and_then(|label| given(&label.description)),
            priority: i64::from(rule.priority),
            matched,
            decided: false,
            why,
            conditions,
            variant,
            rollout,
        }
    }
}

/// The condition that does not hold, or all of them.
fn why(conditions: &[ConditionTrace]) -> String {
    let failed = conditions.iter().position(|condition| !condition.matched);
    match (failed.and_then(|index| conditions.get(index)), conditions) {
        (Some(failed), [_]) => failed.why.clone(),
        (Some(other), _) => {
            let number = failed.unwrap_or(0) + 1;
            format!("condition {number} does not hold: {}", other.why)
        }
        (None, [only]) => only.why.clone(),
        (None, all) => {
            let all: Vec<&str> = all.iter().map(|condition| condition.why.as_str()).collect();
            format!("all conditions hold: {}", all.join("; "))
        }
    }
}
