//! Flags in the form in which they are evaluated.

use std::sync::Arc;

use serde_json::Value;

use crate::{Evaluation, Reason, ValueKind};

/// A flag ready to be evaluated.
#[derive(Debug)]
pub struct CompiledFlag {
    key: Arc<str>,
    revision: u64,
    enabled: bool,
    kind: ValueKind,
    variants: Arc<[CompiledVariant]>,
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

    /// What it can be.
    pub fn variants(&self) -> &[CompiledVariant] {
        &self.variants
    }

    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&CompiledVariant> {
        self.variants.iter().find(|variant| &*variant.name == name)
    }

    /// What a session gets for which somebody set this variant; none when the flag has no such variant (any more).
    pub fn override_with(&self, variant_name: &str) -> Option<Evaluation<'_>> {
        let variant = self.variant(variant_name)?;
        Some(Evaluation { variant, reason: Reason::Override })
    }
}
