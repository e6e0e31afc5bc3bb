//! Deciding what a caller gets.

use serde::Serialize;

use crate::CompiledVariant;

/// What a caller gets, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation<'r> {
    /// What the caller gets.
    pub variant: &'r CompiledVariant,
    /// What decided.
    pub reason: Reason,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The flag gives everybody the same.
    Static,
    /// A target or a rule.
    TargetingMatch,
    /// The share the caller falls in.
    Split,
    /// Nothing else did.
    Default,
    /// The flag is disabled.
    Disabled,
    /// Another flag did not give what this one requires.
    PrerequisiteFailed,
    /// Somebody set the flag for this session.
    Override,
    /// The flag could not be evaluated; this is the off variant.
    Error,
}

impl Reason {
    /// The name in JSON, such as `TARGETING_MATCH`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Static => "STATIC",
            Reason::TargetingMatch => "TARGETING_MATCH",
            Reason::Split => "SPLIT",
            Reason::Default => "DEFAULT",
            Reason::Disabled => "DISABLED",
            Reason::PrerequisiteFailed => "PREREQUISITE_FAILED",
            Reason::Override => "OVERRIDE",
            Reason::Error => "ERROR",
        }
    }
}
