//! The flag engine of Flagbase: what a flag is, and what a caller gets to see of it.
//!
//! Definitions ([`Flag`], [`Segment`]) are read from JSON and checked once. A [`Ruleset`] holds them compiled, for one
//! environment; it never changes, so that readers share it without a lock, and an edit makes a new one that shares
//! everything but the edited flag. [`Ruleset::evaluate`] decides for a [`Context`]; [`Ruleset::explain`] says why.
//!
//! The engine does no I/O, starts nothing, and knows neither time nor chance: what it answers follows from its inputs.
#![forbid(unsafe_code)]

mod attributes;
mod bucket;
mod compile;
mod condition;
mod context;
mod evaluate;
mod explain;
mod fault;
mod flag;
pub mod guard;
mod matcher;
mod moment;
mod network;
mod operator;
mod read;
mod ruleset;
mod segment;
mod segments;
mod shards;
mod text;
mod version;

pub use attributes::{Attributes, Slot};
pub use bucket::{BUCKETS, bucket, murmur3_32};
pub use compile::{CompiledFlag, CompiledVariant};
pub use condition::{Condition, Scalar, Values};
pub use context::{Context, Value};
pub use evaluate::{Evaluation, Reason};
pub use explain::{
    ConditionTrace, Explanation, PrerequisiteTrace, RangeTrace, RolloutTrace, RuleTrace, TargetTrace,
};
pub use fault::Fault;
pub use flag::{Flag, Prerequisite, Rollout, Rule, Serve, Target, ValueKind, Variant, Weight};
pub use operator::Operator;
pub use ruleset::Ruleset;
pub use segment::Segment;
