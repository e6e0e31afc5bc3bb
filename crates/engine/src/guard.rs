//! Taking a feature back: rules that look at measurements and say when a flag has to go.
//!
//! A guard judges numbers it is given; counting them, and doing what the verdict says, is the caller's business.

use serde::{Deserialize, Serialize};

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
        AbsoluteCount {
            more_than: 10,
            window_seconds: 300,
            event_type: "error".into(),
        }
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
        let relation = if tripped {
            "more than"
        } else {
            "not more than"
        };
        let summary = format!(
            "{count} `{}` events within {} seconds, {relation} {}",
            self.event_type, self.window_seconds, self.more_than
        );
        let evidence = Evidence {
            rule: Rule::AbsoluteCount(self.clone()),
            count,
            summary,
        };
        if tripped {
            Verdict::Trip(evidence)
        } else {
            Verdict::Keep(evidence)
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
