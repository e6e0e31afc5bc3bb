//! Flags in the form in which they are evaluated.

mod condition;
mod flag;
mod segment;
mod variants;

use std::sync::Arc;

pub(crate) use condition::CompiledCondition;
pub(crate) use flag::compile as compile_flag;
pub(crate) use segment::compile as compile_segment;
use serde_json::Value;
pub(crate) use variants::Variants;

use crate::attributes::Slot;
use crate::bucket::Salted;
use crate::matcher::Scope;
use crate::text::TextSet;
use crate::{Attributes, Evaluation, Reason, ValueKind};

/// A flag ready to be evaluated.
#[derive(Debug)]
pub struct CompiledFlag {
    pub(crate) key: Arc<str>,
    pub(crate) revision: u64,
    pub(crate) variants: Arc<Variants>,
    pub(crate) rules: Box<[CompiledRule]>,
    /// What few flags have.
    pub(crate) extras: Option<Box<Extras>>,
    pub(crate) salt: Salted,
    pub(crate) default: u16,
    pub(crate) off: u16,
    pub(crate) kind: ValueKind,
    pub(crate) enabled: bool,
    /// When neither rule nor rollout decided.
    pub(crate) otherwise: Reason,
}

/// One thing a flag can be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompiledVariant {
    /// Position among the flag's variants.
    pub index: u16,
    /// Unique within the flag.
    pub name: Arc<str>,
    /// What the caller gets.
    pub value: Value,
    /// The value as JSON text, so that answering needs no serialising.
    pub json: Box<str>,
}

#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) prerequisites: Box<[CompiledPrerequisite]>,
    pub(crate) targets: Box<[CompiledTarget]>,
    pub(crate) rollout: Option<CompiledRollout>,
    /// Keys of the segments that rules ask about.
    pub(crate) segments: Box<[Arc<str>]>,
}

#[derive(Debug)]
pub(crate) struct CompiledPrerequisite {
    pub(crate) flag: Arc<str>,
    pub(crate) variant: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct CompiledTarget {
    pub(crate) slot: Slot,
    pub(crate) variant: u16,
    pub(crate) values: TextSet,
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) conditions: Conditions,
    pub(crate) serve: CompiledServe,
    pub(crate) label: Option<Box<Label>>,
    pub(crate) priority: i32,
}

/// What only explanations need.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) id: Box<str>,
    pub(crate) description: Box<str>,
}

/// Nearly all rules have one condition, which then needs no allocation of its own.
#[derive(Debug)]
pub(crate) enum Conditions {
    One(CompiledCondition),
    All(Box<[CompiledCondition]>),
}

#[derive(Debug)]
pub(crate) enum CompiledServe {
    Variant(u16),
    Rollout(Box<CompiledRollout>),
}

#[derive(Debug)]
pub(crate) struct CompiledRollout {
    pub(crate) slot: Slot,
    pub(crate) shares: Box<[Share]>,
}

/// The buckets of a variant, from the end of the share before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) variant: u16,
    /// The bucket after the last.
    pub(crate) end: u32,
}

/// What compiling needs to know of the environment.
pub(crate) struct Compiler<'a> {
    pub(crate) attributes: &'a Attributes,
    pub(crate) scope: Scope<'a>,
}

impl Conditions {
    pub(crate) fn as_slice(&self) -> &[CompiledCondition] {
        match self {
            Conditions::One(condition) => std::slice::from_ref(condition),
            Conditions::All(conditions) => conditions,
        }
    }
}

impl CompiledFlag {
    /// Unique in its environment.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// The revision it was put with.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether it is switched on.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// The kind of its values.
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// What it can be, in the order in which it was defined.
    pub fn variants(&self) -> impl Iterator<Item = &CompiledVariant> + Clone {
        self.variants.iter()
    }

    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&CompiledVariant> {
        self.variants().find(|variant| &*variant.name == name)
    }

    /// The variant served when nothing else decides.
    pub fn default_variant(&self) -> &CompiledVariant {
        self.variants.at(self.default)
    }

    /// The variant served while the flag is disabled.
    pub fn off_variant(&self) -> &CompiledVariant {
        self.variants.at(self.off)
    }

    /// What a session gets for which somebody set this variant; none when the flag has no such variant (any more).
    pub fn override_with(&self, variant_name: &str) -> Option<Evaluation<'_>> {
        let variant = self.variant(variant_name)?;
        Some(Evaluation { variant, reason: Reason::Override })
    }

    pub(crate) fn prerequisites(&self) -> &[CompiledPrerequisite] {
        self.extras.as_ref().map_or(&[], |extras| &extras.prerequisites)
    }

    pub(crate) fn segments(&self) -> &[Arc<str>] {
        self.extras.as_ref().map_or(&[], |extras| &extras.segments)
    }
}
