//! Taking a feature back: rules that look at measurements and say when a flag has to go.
//!
//! A guard judges numbers it is given; counting them, and doing what the verdict says, is the caller's business.

use serde::{Deserialize, Serialize};

use crate::Fault;

/// Measurements further back are no reason to act in haste.
const LONGEST_WINDOW_SECONDS: u64 = 86_400;

/// A rule a flag is guarded by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Rule {
    /// Too many events of one type.
    AbsoluteCount(AbsoluteCount),
}

/// Trips on strictly more than a number of events of one type within a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbsoluteCount {
    /// The largest number that is still fine.
    pub more_than: u64,
    /// How far back events count, in seconds.
    pub window_seconds: u64,
    /// The type of event counted.
    pub event_type: String,
}

/// What a guard says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to do.
    Keep(Evidence),
    /// The flag has to be disabled.
    Trip(Evidence),
}

/// The numbers behind a verdict, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that judged.
    pub rule: Rule,
    /// What was counted.
    pub count: u64,
    /// The same in words.
    pub summary: String,
}

impl Default for AbsoluteCount {
    fn default() -> AbsoluteCount {
        AbsoluteCount { more_than: 10, window_seconds: 300, event_type: "error".into() }
    }
}

impl Default for Rule {
    fn default() -> Rule {
        Rule::AbsoluteCount(AbsoluteCount::default())
    }
}

impl AbsoluteCount {
    /// Judges the number of events of [`AbsoluteCount::event_type`] in the last [`AbsoluteCount::window_seconds`].
    pub fn judge(&self, count: u64) -> Verdict {
        let tripped = count > self.more_than;
        let relation = if tripped { "more than" } else { "not more than" };
        let summary = format!(
            "{count} `{}` events within {} seconds, {relation} {}",
            self.event_type, self.window_seconds, self.more_than
        );
        let evidence = Evidence { rule: Rule::AbsoluteCount(self.clone()), count, summary };
        if tripped { Verdict::Trip(evidence) } else { Verdict::Keep(evidence) }
    }
}

impl AbsoluteCount {
    /// What is wrong with it, as a person typed it.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !(1..=LONGEST_WINDOW_SECONDS).contains(&self.window_seconds) {
            let message = format!(
                "a window is between 1 and {LONGEST_WINDOW_SECONDS} seconds, not {}",
                self.window_seconds
            );
            faults.push(Fault::new("/window_seconds", message));
        }
        if self.event_type.is_empty() {
            let message = "an event type is missing; name what is counted, such as `error`";
            faults.push(Fault::new("/event_type", message));
        }
        faults
    }
}

impl Rule {
    /// What is wrong with it, as a person typed it.
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Rule::AbsoluteCount(rule) => rule.check(),
        }
    }
}

impl Verdict {
    /// Whether the flag has to be disabled.
    pub fn is_trip(&self) -> bool {
        matches!(self, Verdict::Trip(_))
    }

    /// The numbers behind it.
    pub fn evidence(&self) -> &Evidence {
        match self {
            Verdict::Keep(evidence) | Verdict::Trip(evidence) => evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ten_errors_are_fine_and_eleven_are_not() {
        let rule = AbsoluteCount::default();
        assert!(!rule.judge(0).is_trip());
        assert!(!rule.judge(10).is_trip());
        assert!(rule.judge(11).is_trip());
        assert!(rule.judge(u64::MAX).is_trip());
    }

    #[test]
    fn the_evidence_holds_the_rule_and_the_number() {
        let verdict = AbsoluteCount::default().judge(11);
        assert_eq!(
            serde_json::to_value(&verdict).unwrap(),
            json!({
                "verdict": "trip",
                "rule": { "type": "absolute_count", "more_than": 10, "window_seconds": 300, "event_type": "error" },
                "count": 11,
                "summary": "11 `error` events within 300 seconds, more than 10"
            })
        );
        assert_eq!(verdict.evidence().count, 11);
    }

    #[test]
    fn a_rule_is_read_with_defaults_and_without_what_it_does_not_know() {
        let read = |value| serde_json::from_value::<Rule>(value);
        assert_eq!(read(json!({ "type": "absolute_count" })).unwrap(), Rule::default());
        assert!(read(json!({ "type": "absolute_count", "more_then": 1 })).is_err());
        assert!(read(json!({ "type": "statistical" })).is_err());
    }

    #[test]
    fn a_rule_that_could_never_be_judged_is_refused() {
        let rule = |more_than, window_seconds, event_type: &str| AbsoluteCount {
            more_than,
            window_seconds,
            event_type: event_type.into(),
        };
        assert_eq!(rule(0, 1, "error").check(), []);
        let faults = rule(0, 0, "").check();
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["/window_seconds", "/event_type"]);
        assert_eq!(rule(0, 86_401, "error").check().len(), 1);
    }
}
