//! The flag behind a function: each new version is something that it can be, for nobody until somebody says for whom.

use flagbase_engine::{Flag, Serve, ValueKind, Variant};
use serde_json::{Value, json};

use super::{Functions, Refusal};
use crate::{
    catalog::{Document, DocumentId, Draft, Expect, Kind, Write},
    functions::{Definition, named_version},
    snapshot::EnvironmentSnapshot,
};

/// Variants of versions that are kept although nothing uses them, at most; the oldest go first.
const MOST_UNUSED: usize = 20;

/// A function's flag as it is stored, and what else hangs on it.
pub(super) struct Alias {
    document: Document,
    flag: Flag,
    /// Routes, other flags or other functions ask for its variants: none of them may go.
    named_elsewhere: bool,
}

impl Functions {
    /// The flag of a function; `None` when it has none, or the flag is not there any more.
    pub(super) async fn alias(
        &self,
        environment: &EnvironmentSnapshot,
        function: &Definition,
    ) -> Result<Option<Alias>, Refusal> {
        let Some(key) = &function.flag_key else { return Ok(None) };
        let id = DocumentId::new(Kind::Flag, &environment.definition.key, key);
        let Some(document) = self.feed.catalog().get(&id).await? else { return Ok(None) };
        // A flag that makes no sense to this release is none.
        let Ok(flag) = Flag::from_json(&document.body) else { return Ok(None) };
        let mut routes = environment.routes.routes();
        let mut functions = environment.functions.values();
        let named_elsewhere = environment.rules.remove_flag(key).is_err()
            || functions
                .any(|other| *other.name != *function.name && other.flag.as_deref() == Some(key.as_str()))
            || routes.any(|route| route.route.flag_key.as_deref() == Some(key.as_str()));
        Ok(Some(Alias { document, flag, named_elsewhere }))
    }
}

impl Alias {
    /// The flag's key.
    pub(super) fn key(&self) -> &str {
        &self.flag.key
    }

    /// The variant that keeps a version: one that names it and is used, or was not made for it by [`Alias::follow`].
    pub(super) fn keeps(&self, number: u32) -> Option<&str> {
        let mut variants = self.flag.variants.iter();
        let keeps = |variant: &&Variant| {
            named_version(&variant.value) == Some(number)
                && (made_for(variant).is_none() || self.uses(variant))
        };
        variants.find(keeps).map(|variant| variant.name.as_str())
    }

    /// The change of the flag that goes with `function` as it will be: a variant for the version `fresh`, and none for versions
    /// that are gone or old, unless they are used. Nobody gets another version by that.
    pub(super) fn follow(
        &self,
        environment: &EnvironmentSnapshot,
        function: &Definition,
        fresh: Option<u32>,
    ) -> Option<Draft> {
        let mut flag = self.flag.clone();
        flag.variants.retain(|variant| self.stays(variant, function, fresh));
        flag.variants.extend(fresh.and_then(|number| self.variant(number)));
        // What does not fit stays as it was: the version is what was asked for.
        let fits = flag != self.flag && environment.rules.put_flag(&flag, 0).is_ok();
        fits.then(|| Draft {
            id: self.document.id.clone(),
            verb: "updated",
            expect: Expect::At(self.document.revision),
            write: Write::Put(flag.to_json()),
            detail: json!({"function": function.name, "version": fresh}),
        })
    }

    fn stays(&self, variant: &Variant, function: &Definition, fresh: Option<u32>) -> bool {
        let Some(number) = made_for(variant) else { return true };
        if self.uses(variant) {
            return true;
        }
        let numbers = self.flag.variants.iter().filter_map(made_for);
        let newer = numbers.filter(|other| *other > number).count() + usize::from(fresh.is_some());
        newer < MOST_UNUSED && function.version(number).is_some()
    }

    /// The variant of a new version; none when there is one already, or values cannot be numbers.
    fn variant(&self, number: u32) -> Option<Variant> {
        let name = format!("v{number}");
        let taken = |variant: &Variant| variant.name == name || named_version(&variant.value) == Some(number);
        if self.flag.variants.iter().any(taken) {
            return None;
        }
        let value = match self.flag.kind {
            ValueKind::String => Value::from(number.to_string()),
            ValueKind::Number | ValueKind::Json => Value::from(number),
            ValueKind::Boolean => return None,
        };
        Some(Variant { name, value })
    }

    /// Whether somebody gets this variant, or could because it is named somewhere.
    fn uses(&self, variant: &Variant) -> bool {
        let flag = &self.flag;
        let is = |name: &String| *name == variant.name;
        let weighs =
            |rollout: &flagbase_engine::Rollout| rollout.weights.iter().any(|share| is(&share.variant));
        self.named_elsewhere
            || is(&flag.default_variant)
            || is(&flag.off_variant)
            || flag.rollout.as_ref().is_some_and(weighs)
            || flag.targets.iter().any(|target| is(&target.variant))
            || flag.rules.iter().any(|rule| match &rule.serve {
                Serve::Variant(name) => is(name),
                Serve::Rollout(rollout) => weighs(rollout),
            })
    }
}

/// The version that a variant was made for, such as `v3` with the value 3.
fn made_for(variant: &Variant) -> Option<u32> {
    let number = named_version(&variant.value)?;
    (variant.name == format!("v{number}")).then_some(number)
}
