//! Why a condition holds, or does not.

use serde_json::json;

use super::ConditionTrace;
use super::words::{as_json, number_json, shown_list, shown_value, verbs};
use crate::compile::CompiledCondition;
use crate::fault::quote;
use crate::matcher::Matcher;
use crate::segments::Membership;
use crate::{Context, Ruleset, Value};

/// How many values of a long list are shown.
const SHOWN: usize = 100;

impl Ruleset {
    pub(super) fn explain_condition(
        &self,
        condition: &CompiledCondition,
        context: &Context<'_>,
    ) -> ConditionTrace {
        let attribute = self.attributes().name(condition.slot);
        let actual = context.get(condition.slot);
        let matched = condition.holds(context, self.segments());
        let why = match (&condition.matcher, actual) {
            (Matcher::Segments(positions), _) => self.why_segments(positions, context),
            (Matcher::Exists(_), _) => why_exists(attribute, actual),
            (_, None) => format!("the caller has no {}", quote(attribute.unwrap_or_default())),
            (_, Some(value)) => why_compared(condition, attribute, value, matched),
        };
        ConditionTrace {
            attribute: attribute.map(str::to_owned),
            operator: condition.operator.as_str(),
            expected: self.expected(&condition.matcher),
            actual: actual.map(as_json),
            matched,
            why,
        }
    }

    fn why_segments(&self, positions: &[u32], context: &Context<'_>) -> String {
        let segments = positions.iter().filter_map(|position| self.segments().at(*position));
        let parts = segments.map(|segment| {
            let key = quote(&segment.key);
            match segment.membership(context, self.segments()) {
                Membership::Included => format!("the caller is included in segment {key}"),
                Membership::Excluded => format!("the caller is excluded from segment {key}"),
                Membership::Conditions(group) => {
                    let group = group + 1;
                    format!("the caller belongs to segment {key} by its condition group {group}")
                }
                Membership::None => format!("the caller does not belong to segment {key}"),
            }
        });
        parts.collect::<Vec<_>>().join("; ")
    }

    /// What the condition compares with, as JSON.
    fn expected(&self, matcher: &Matcher) -> serde_json::Value {
        match matcher {
            Matcher::EqualsAscii(text)
            | Matcher::Equals(text)
            | Matcher::Contains(text)
            | Matcher::StartsWith(text)
            | Matcher::EndsWith(text) => json!(text),
            Matcher::In(texts) => texts.iter().take(SHOWN).map(|text| json!(text)).collect(),
            Matcher::Pattern(pattern) => json!(pattern.as_str()),
            Matcher::Number(_, number) => number_json(*number),
            Matcher::Version(_, version) => json!(version.source),
            Matcher::Moment(_, moment) => json!(moment.1),
            Matcher::Exists(wanted) => json!(wanted),
            Matcher::Networks(networks) => networks.source.iter().take(SHOWN).map(|net| json!(net)).collect(),
            Matcher::Segments(positions) => {
                let segments = positions.iter().filter_map(|position| self.segments().at(*position));
                segments.map(|segment| json!(segment.key)).collect()
            }
        }
    }
}

fn why_exists(attribute: Option<&str>, actual: Option<Value<'_>>) -> String {
    let name = quote(attribute.unwrap_or_default());
    match actual {
        None => format!("the caller has no {name}"),
        Some(Value::List([])) => format!("{name} is an empty list, which counts as absent"),
        Some(value) => format!("the caller has {name}: {}", shown_value(value)),
    }
}

/// `` `role` is `user`, which does not equal `developer` ``.
fn why_compared(
    condition: &CompiledCondition,
    attribute: Option<&str>,
    value: Value<'_>,
    matched: bool,
) -> String {
    let name = quote(attribute.unwrap_or_default());
    let actual = shown_value(value);
    if let Err(expected) = condition.matcher.expects(value) {
        return format!("{name} is {actual}, which is not {expected}");
    }
    let fits = matched != condition.negated;
    let verb = verbs(condition.operator, fits);
    let expected = shown_expected(&condition.matcher);
    match value {
        Value::List([]) => format!("{name} is an empty list, which {verb} {expected}"),
        Value::List(_) if fits => format!("{name} is {actual}, one of which {verb} {expected}"),
        Value::List(_) => {
            format!("{name} is {actual}, none of which {} {expected}", verbs(condition.operator, true))
        }
        _ => format!("{name} is {actual}, which {verb} {expected}"),
    }
}

fn shown_expected(matcher: &Matcher) -> String {
    match matcher {
        Matcher::EqualsAscii(text)
        | Matcher::Equals(text)
        | Matcher::Contains(text)
        | Matcher::StartsWith(text)
        | Matcher::EndsWith(text) => quote(text),
        Matcher::In(texts) => shown_list(texts.iter().map(AsRef::as_ref), texts.len()),
        Matcher::Pattern(pattern) => quote(pattern.as_str()),
        Matcher::Number(_, number) => format!("`{number}`"),
        Matcher::Version(_, version) => quote(&version.source),
        Matcher::Moment(_, moment) => quote(&moment.1),
        Matcher::Networks(networks) => {
            shown_list(networks.source.iter().map(AsRef::as_ref), networks.source.len())
        }
        Matcher::Exists(wanted) => format!("`{wanted}`"),
        Matcher::Segments(_) => "the segments".to_owned(),
    }
}
