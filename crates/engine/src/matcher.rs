//! The right-hand side of a condition, prepared so that comparing needs neither the heap nor parsing of its own side.

mod build;

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashSet;
use regex::Regex;

use crate::Value;
use crate::moment::Moment;
use crate::network::Networks;
use crate::segments::Segments;
use crate::text::{self, NumberText, TextSet};
use crate::version::{OwnedVersion, Version};

/// What an attribute is compared with. Negation is not its business.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// An ASCII text, which most are and which is the fastest to compare.
    EqualsAscii(Arc<str>),
    Equals(Arc<str>),
    Contains(Arc<str>),
    StartsWith(Arc<str>),
    EndsWith(Arc<str>),
    In(Box<TextSet>),
    Pattern(Box<Regex>),
    Number(Relation, f64),
    Version(Relation, Box<OwnedVersion>),
    Moment(Relation, Box<(Moment, Box<str>)>),
    Exists(bool),
    Networks(Box<Networks>),
    /// Positions in the environment's [`Segments`].
    Segments(Box<[u32]>),
}

/// How two ordered things relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What preparing a matcher needs to know and to share.
pub(crate) struct Scope<'a> {
    /// Texts seen before, so that equal ones are kept once.
    pub(crate) texts: &'a mut Interner,
    /// The segments that may be referred to; none when references cannot be checked yet.
    pub(crate) segments: Option<&'a Segments>,
}

/// Keeps equal texts once.
#[derive(Debug, Default)]
pub(crate) struct Interner(HashSet<Arc<str>>);

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.0.insert(new.clone());
        new
    }
}

impl Relation {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Relation::Equal => order.is_eq(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterOrEqual => order.is_ge(),
            Relation::Less => order.is_lt(),
            Relation::LessOrEqual => order.is_le(),
        }
    }
}

impl Matcher {
    /// Whether the attribute, or any of several values of it, fits.
    #[inline(never)]
    pub(crate) fn matches(&self, value: Value<'_>) -> bool {
        match value {
            Value::Str(text) => self.matches_text(text),
            Value::Number(number) => self.matches_number(number),
            Value::Bool(truth) => self.matches_text(if truth { "true" } else { "false" }),
            // A list without elements counts as absent.
            Value::List([]) => matches!(self, Matcher::Exists(false)),
            Value::List(items) => items.iter().any(|item| self.matches_text(item)),
        }
    }

    fn matches_text(&self, actual: &str) -> bool {
        match self {
            Matcher::EqualsAscii(expected) => text::equals_ascii(actual, expected),
            Matcher::Equals(expected) => text::equals(actual, expected),
            Matcher::Contains(expected) => text::contains(actual, expected),
            Matcher::StartsWith(expected) => text::starts_with(actual, expected),
            Matcher::EndsWith(expected) => text::ends_with(actual, expected),
            Matcher::In(expected) => expected.contains(actual),
            Matcher::Pattern(pattern) => pattern.is_match(actual),
            Matcher::Number(relation, expected) => number_of(actual)
                .and_then(|actual| actual.partial_cmp(expected))
                .is_some_and(|order| relation.holds(order)),
            Matcher::Version(relation, expected) => {
                Version::parse(actual).is_some_and(|actual| relation.holds(actual.compare(expected)))
            }
            Matcher::Moment(relation, expected) => {
                Moment::parse(actual).is_some_and(|actual| relation.holds(actual.cmp(&expected.0)))
            }
            Matcher::Exists(wanted) => *wanted,
            Matcher::Networks(networks) => networks.contain(actual).unwrap_or(false),
            Matcher::Segments(_) => false,
        }
    }

    fn matches_number(&self, actual: f64) -> bool {
        match self {
            Matcher::Number(relation, expected) => {
                actual.partial_cmp(expected).is_some_and(|order| relation.holds(order))
            }
            Matcher::EqualsAscii(expected) => number_of(expected) == Some(actual),
            other => other.matches_text(NumberText::new(actual).as_str()),
        }
    }

    /// Whether the value is of a kind that can be compared at all, and if not, what it would have to be.
    pub(crate) fn expects(&self, value: Value<'_>) -> Result<(), &'static str> {
        let fits = |fit: &dyn Fn(&str) -> bool| match value {
            Value::Str(text) => fit(text),
            Value::Number(number) => fit(NumberText::new(number).as_str()),
            Value::Bool(_) => false,
            Value::List(items) => items.is_empty() || items.iter().any(|item| fit(item)),
        };
        match self {
            Matcher::Number(..) if !fits(&|text| number_of(text).is_some()) => Err("a number"),
            Matcher::Version(..) if !fits(&|text| Version::parse(text).is_some()) => {
                Err("a version such as `2.1.0`")
            }
            Matcher::Moment(..) if !fits(&|text| Moment::parse(text).is_some()) => {
                Err("a date or an RFC 3339 time")
            }
            Matcher::Networks(networks) if !fits(&|text| networks.contain(text).is_some()) => {
                Err("an IP address")
            }
            _ => Ok(()),
        }
    }
}

/// The finite number that a text is.
fn number_of(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests;
