//! What is wrong with a definition, and where.

use std::fmt;

use serde::Serialize;

/// More faults than this help nobody, and must not let a hostile body grow the answer without end.
const MOST_FAULTS: usize = 100;

/// One thing wrong with a flag or a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// JSON pointer into the body, such as `/rules/0/operator`; empty for the body as a whole.
    pub pointer: String,
    /// What was expected, what came and what to do: lower case, no full stop.
    pub message: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return out.write_str(&self.message);
        }
        write!(out, "{}: {}", self.pointer, self.message)
    }
}

impl std::error::Error for Fault {}

/// Faults as they are found, so that people get to see all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
}

impl Faults {
    /// Notes a fault.
    pub(crate) fn add(&mut self, at: &At<'_>, message: impl Into<String>) {
        if self.found.len() < MOST_FAULTS {
            self.found.push(Fault::new(at.to_string(), message));
        }
    }

    /// `value`, provided nothing was found.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }

    /// How many were found so far.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Everything found.
    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.found
    }
}

/// A place in a body. Costs nothing until a fault is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    /// The body as a whole.
    pub(crate) const ROOT: At<'static> = At { parent: None, step: Step::Item(0) };

    /// A member of the object here.
    pub(crate) fn member(&'a self, name: &'a str) -> At<'a> {
        At { parent: Some(self), step: Step::Member(name) }
    }

    /// An element of the array here.
    pub(crate) fn item(&'a self, index: usize) -> At<'a> {
        At { parent: Some(self), step: Step::Item(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        parent.fmt(out)?;
        match self.step {
            Step::Member(name) => write!(out, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Item(index) => write!(out, "/{index}"),
        }
    }
}

/// ``; did you mean `x`?`` when one of the known names is close to what was given, otherwise all of them (if few).
pub(crate) fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let short: String = given.chars().take(64).collect();
    let close = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&short.to_lowercase(), name), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match close {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => String::new(),
        None if known.len() <= 30 => format!("; known are {}", listing(known)),
        None => format!("; known are {} and more", listing(known.into_iter().take(30))),
    }
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn listing<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(quote).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "none".to_owned(),
    }
}

/// User input in backticks, cut when it is long.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| if c == '`' { '\''.escape_debug() } else { c.escape_debug() })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    // `escape_debug` also escapes quotes, which stand for themselves between backticks.
    format!("`{}`", shown.replace("\\'", "'").replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_a_json_pointer() {
        let rules = At::ROOT.member("rules");
        let rule = rules.item(3);
        assert_eq!(rule.member("a/b~c").to_string(), "/rules/3/a~1b~0c");
        assert_eq!(At::ROOT.to_string(), "");
    }

    #[test]
    fn a_near_miss_is_answered_with_the_name_that_was_meant() {
        assert_eq!(hint("prioriti", ["priority", "variant"]), "; did you mean `priority`?");
        assert_eq!(hint("zzz", ["a", "b", "c"]), "; known are `a`, `b` and `c`");
        assert_eq!(hint("zzz", []), "");
    }

    #[test]
    fn what_is_quoted_can_break_out_of_neither_the_backticks_nor_the_line() {
        assert_eq!(quote("a`b\nc"), "`a'b\\nc`");
        assert_eq!(quote("it's \"so\""), "`it's \"so\"`");
        assert_eq!(quote(&"x".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn a_hostile_body_gets_no_endless_answer() {
        let mut faults = Faults::default();
        for _ in 0..1000 {
            faults.add(&At::ROOT, "again");
        }
        assert_eq!(faults.len(), MOST_FAULTS);
    }

    #[test]
    fn a_fault_reads_as_place_and_message() {
        assert_eq!(Fault::new("/key", "too long").to_string(), "/key: too long");
        assert_eq!(Fault::new("", "not an object").to_string(), "not an object");
    }
}
