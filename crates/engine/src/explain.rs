//! Saying why a caller gets what it gets.

use serde::Serialize;
use serde_json::Value;

use crate::Reason;

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
