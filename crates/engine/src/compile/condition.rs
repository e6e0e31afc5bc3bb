//! Conditions in the form in which they are evaluated.

use super::Compiler;
use crate::attributes::Slot;
use crate::fault::{At, Faults, hint, quote};
use crate::matcher::Matcher;
use crate::segments::Segments;
use crate::{Condition, Context, Operator, Value, text};

/// A condition ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct CompiledCondition {
    pub(crate) matcher: Matcher,
    /// What is compared; [`Slot::NONE`] when segments are asked about.
    pub(crate) slot: Slot,
    pub(crate) operator: Operator,
    /// Whether it holds when the matcher does not match.
    pub(crate) negated: bool,
}

impl CompiledCondition {
    #[inline]
    pub(crate) fn holds(&self, context: &Context<'_>, segments: &Segments) -> bool {
        match (context.peek(self.slot), &self.matcher) {
            // By far the most frequent comparison, and the one that rules that do not match are made of.
            (Some(Value::Str(actual)), Matcher::EqualsAscii(expected)) => {
                text::equals_ascii(actual, expected) != self.negated
            }
            (Some(value), matcher) => matcher.matches(*value) != self.negated,
            (None, _) => self.holds_of_nothing(context, segments),
        }
    }

    /// An absent attribute fits no comparison, not even a negated one; only being absent can be asked for.
    #[inline(never)]
    fn holds_of_nothing(&self, context: &Context<'_>, segments: &Segments) -> bool {
        match &self.matcher {
            Matcher::Exists(wanted) => !wanted,
            Matcher::Segments(positions) => segments.any_contains(positions, context) != self.negated,
            _ => false,
        }
    }
}

impl Compiler<'_> {
    /// `at` is where the condition is.
    pub(crate) fn condition(
        &mut self,
        condition: &Condition,
        at: &At<'_>,
        faults: &mut Faults,
    ) -> Option<CompiledCondition> {
        let operator = condition.operator;
        let slot = if operator.is_segment() {
            Some(Slot::NONE)
        } else {
            self.slot(&condition.attribute, &at.member("attribute"), faults)
        };
        let matcher = Matcher::new(condition, at, &mut self.scope, faults);
        Some(CompiledCondition { matcher: matcher?, slot: slot?, operator, negated: operator.is_negated() })
    }

    /// The slot of a declared attribute.
    pub(crate) fn slot(&self, name: &str, at: &At<'_>, faults: &mut Faults) -> Option<Slot> {
        let slot = self.attributes.slot(name);
        if slot.is_none() {
            let hint = hint(name, self.attributes.names());
            let message = format!(
                "this environment has no attribute {}{hint}{}declare it in the environment to use it",
                quote(name),
                if hint.ends_with('?') { " or " } else { "; " },
            );
            faults.add(at, message);
        }
        slot
    }
}
