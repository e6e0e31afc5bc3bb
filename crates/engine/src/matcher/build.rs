//! Preparing matchers, and saying what is wrong with the values of a condition.

use std::sync::Arc;

use regex::RegexBuilder;

use super::{Matcher, Relation, Scope, number_of};
use crate::condition::MOST_VALUES;
use crate::fault::{At, Faults, hint, listing, quote};
use crate::moment::Moment;
use crate::network::Networks;
use crate::text::TextSet;
use crate::version::Version;
use crate::{Condition, Operator, Scalar, Values};

/// The longest single value, in characters.
const LONGEST_VALUE: usize = 1000;

/// What a compiled pattern may take, in bytes; also for its lazily built automaton.
const PATTERN_BYTES: usize = 256 * 1024;

impl Matcher {
    /// The values of `condition`, prepared; `at` is where the condition is.
    pub(crate) fn new(
        condition: &Condition,
        at: &At<'_>,
        scope: &mut Scope<'_>,
        faults: &mut Faults,
    ) -> Option<Matcher> {
        let at = at.member("value");
        match build(condition, scope) {
            Ok(matcher) => Some(matcher),
            Err(message) => {
                faults.add(&at, message);
                None
            }
        }
    }
}

fn build(condition: &Condition, scope: &mut Scope<'_>) -> Result<Matcher, String> {
    let Condition { operator, values, .. } = condition;
    match operator {
        Operator::Equals | Operator::NotEquals => Ok(equals(scope.texts.text(&single(*operator, values)?))),
        Operator::Contains | Operator::NotContains => {
            Ok(Matcher::Contains(scope.texts.text(&part(*operator, values)?)))
        }
        Operator::StartsWith => Ok(Matcher::StartsWith(scope.texts.text(&part(*operator, values)?))),
        Operator::EndsWith => Ok(Matcher::EndsWith(scope.texts.text(&part(*operator, values)?))),
        Operator::In | Operator::NotIn => {
            let texts = list(*operator, values)?;
            let texts = texts.iter().map(|text| scope.texts.text(text)).collect();
            Ok(Matcher::In(Box::new(TextSet::new(texts))))
        }
        Operator::Matches => pattern(&single(*operator, values)?),
        Operator::Exists => exists(values),
        Operator::Cidr | Operator::NotCidr => networks(&list(*operator, values)?),
        Operator::InSegment | Operator::NotInSegment => segments(&list(*operator, values)?, scope),
        other => ordered(*other, &single(*other, values)?),
    }
}

fn equals(text: Arc<str>) -> Matcher {
    if text.is_ascii() { Matcher::EqualsAscii(text) } else { Matcher::Equals(text) }
}

/// Operators that compare sizes.
fn ordered(operator: Operator, text: &str) -> Result<Matcher, String> {
    let relation = match operator {
        Operator::Gt | Operator::SemverGt | Operator::After => Relation::Greater,
        Operator::Gte | Operator::SemverGte => Relation::GreaterOrEqual,
        Operator::Lt | Operator::SemverLt | Operator::Before => Relation::Less,
        Operator::Lte | Operator::SemverLte => Relation::LessOrEqual,
        _ => Relation::Equal,
    };
    match operator {
        Operator::Gt | Operator::Gte | Operator::Lt | Operator::Lte => number_of(text)
            .map(|number| Matcher::Number(relation, number))
            .ok_or_else(|| wrong(operator, "a number", text)),
        Operator::Before | Operator::After => Moment::parse(text)
            .map(|moment| Matcher::Moment(relation, Box::new((moment, text.into()))))
            .ok_or_else(|| {
                let expected = "a date such as `2026-07-01` or a time such as `2026-07-01T12:00:00Z`";
                wrong(operator, expected, text)
            }),
        _ => Version::parse(text)
            .map(|version| Matcher::Version(relation, Box::new(version.to_owned(text))))
            .ok_or_else(|| wrong(operator, "a version such as `2.1.0`", text)),
    }
}

fn wrong(operator: Operator, expected: &str, text: &str) -> String {
    format!("`{}` compares with {expected}, not with {}", operator.as_str(), quote(text))
}

/// Exactly one value.
fn single(operator: Operator, values: &Values) -> Result<String, String> {
    let name = operator.as_str();
    let Some(text) = values.single() else {
        return Err(match values {
            Values::Absent => format!("`{name}` needs a value to compare with"),
            _ if operator == Operator::Equals => {
                "`equals` compares with one value; use `in` for several".to_owned()
            }
            _ if operator == Operator::NotEquals => {
                "`not_equals` compares with one value; use `not_in` for several".to_owned()
            }
            _ => format!("`{name}` compares with one value; add a rule for each further one"),
        });
    };
    not_longer(&text)?;
    Ok(text)
}

/// One value that is not empty.
fn part(operator: Operator, values: &Values) -> Result<String, String> {
    let text = single(operator, values)?;
    if text.is_empty() {
        return Err(format!("every text fits an empty value of `{}`; give a value", operator.as_str()));
    }
    Ok(text)
}

/// At least one value.
fn list(operator: Operator, values: &Values) -> Result<Vec<String>, String> {
    let list = values.list();
    if list.is_empty() {
        return Err(format!("`{}` needs values, as an array or separated by commas", operator.as_str()));
    }
    if list.len() > MOST_VALUES {
        let count = list.len();
        return Err(format!(
            "at most {MOST_VALUES} values are possible in a condition, these are {count}; use a segment"
        ));
    }
    list.iter().try_for_each(|text| not_longer(text))?;
    Ok(list)
}

fn not_longer(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > LONGEST_VALUE {
        return Err(format!("a value has at most {LONGEST_VALUE} characters, this one has {length}"));
    }
    Ok(())
}

fn pattern(text: &str) -> Result<Matcher, String> {
    if text.is_empty() {
        return Err("an empty pattern matches every text; give one".to_owned());
    }
    let built = RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .nest_limit(50)
        .build();
    built.map(|pattern| Matcher::Pattern(Box::new(pattern))).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("the pattern {} grows too large; use smaller repetitions", quote(text))
        }
        error => {
            // The last line says what is wrong, those before point at it.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.trim().trim_start_matches("error: ").trim_end_matches('.');
            format!("the pattern {} cannot be read: {reason}", quote(text))
        }
    })
}

fn exists(values: &Values) -> Result<Matcher, String> {
    match values {
        Values::Absent => Ok(Matcher::Exists(true)),
        Values::One(Scalar::Bool(wanted)) => Ok(Matcher::Exists(*wanted)),
        other => match other.single().as_deref().map(str::trim) {
            Some("true") => Ok(Matcher::Exists(true)),
            Some("false") => Ok(Matcher::Exists(false)),
            _ => Err("`exists` takes `true` (the attribute is there) or `false` (it is not)".to_owned()),
        },
    }
}

fn networks(texts: &[String]) -> Result<Matcher, String> {
    match Networks::new(texts) {
        Ok(networks) => Ok(Matcher::Networks(Box::new(networks))),
        Err(text) => Err(format!(
            "{} is not a network; write one as `10.0.0.0/8` or `2001:db8::/32`, or an address",
            quote(text)
        )),
    }
}

fn segments(keys: &[String], scope: &mut Scope<'_>) -> Result<Matcher, String> {
    let Some(segments) = scope.segments else {
        return Ok(Matcher::Segments(Box::default()));
    };
    let missing: Vec<&str> =
        keys.iter().map(String::as_str).filter(|key| segments.position(key).is_none()).collect();
    match missing.as_slice() {
        [] => Ok(Matcher::Segments(keys.iter().filter_map(|key| segments.position(key)).collect())),
        [one] => Err(format!(
            "there is no segment {}{}",
            quote(one),
            hint(one, segments.iter().map(|segment| &*segment.key))
        )),
        several => Err(format!("there are no segments {}", listing(several.iter().copied()))),
    }
}
