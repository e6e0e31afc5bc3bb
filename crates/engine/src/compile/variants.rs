//! The variants of a flag, of which there is always at least one.

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::flag::implied_variants;
use crate::matcher::Interner;
use crate::{CompiledVariant, Variant};

/// One or more variants; so that serving one cannot fail.
#[derive(Debug)]
pub(crate) struct Variants {
    first: CompiledVariant,
    others: Box<[CompiledVariant]>,
}

/// Shared by nearly all flags there are.
static IMPLIED: LazyLock<Arc<Variants>> =
    LazyLock::new(|| Arc::new(build(&implied_variants(), &mut Interner::default())));

impl Variants {
    /// The variants of a checked definition.
    pub(crate) fn new(variants: &[Variant], texts: &mut Interner) -> Arc<Variants> {
        if variants == implied_variants() {
            return IMPLIED.clone();
        }
        Arc::new(build(variants, texts))
    }

    #[inline]
    pub(crate) fn at(&self, index: u16) -> &CompiledVariant {
        match index.checked_sub(1) {
            None => &self.first,
            Some(index) => self.others.get(usize::from(index)).unwrap_or(&self.first),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CompiledVariant> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }
}

fn build(variants: &[Variant], texts: &mut Interner) -> Variants {
    let mut compiled = variants.iter().zip(0..).map(|(variant, index)| CompiledVariant {
        index,
        name: texts.text(&variant.name),
        value: variant.value.clone(),
        json: variant.value.to_string().into(),
    });
    // The check of definitions refuses a flag without variants; this is what such a flag would be.
    let nothing = || CompiledVariant { index: 0, name: "".into(), value: Value::Null, json: "null".into() };
    Variants { first: compiled.next().unwrap_or_else(nothing), others: compiled.collect() }
}
