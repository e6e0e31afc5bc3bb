//! What a caller gets to see of a flag.

use flagbase_engine::{Context, Evaluation, Explanation, Reason, Slot, Value as Attribute};
use serde_json::Value;
use std::sync::Arc;

use super::{Flags, not_found};
use crate::{
    caller::Caller,
    permissions::Permission,
    refusal::{Class, Refusal},
    snapshot::EnvironmentSnapshot,
};

/// What one evaluation gave, borrowed from the snapshot that gave it.
#[derive(Debug)]
pub struct Seen<'s> {
    /// The environment.
    pub environment: &'s Arc<str>,
    /// The flag.
    pub flag: &'s flagbase_engine::CompiledFlag,
    /// Variant and reason.
    pub evaluation: Evaluation<'s>,
    /// Why, when asked for.
    pub explanation: Option<Explanation>,
}

impl EnvironmentSnapshot {
    /// Evaluates `key` for `caller`: the session's own override first, then the rules.
    pub fn see<'s>(&'s self, caller: &Caller, key: &str, context: &Context<'_>) -> Option<Seen<'s>> {
        let flag = self.rules.flag(key)?;
        let evaluation = caller.overridden(self, flag).unwrap_or_else(|| self.rules.evaluate(flag, context));
        Some(Seen { environment: &self.key, flag, evaluation, explanation: None })
    }
}

/// An evaluation for somebody who is not the caller.
#[derive(Debug, Default)]
pub struct Preview {
    /// Attributes by name: strings, numbers, booleans, lists of strings.
    pub context: serde_json::Map<String, Value>,
}

/// A preview's lists, kept alive while a context borrows them.
type Lists = Vec<(Slot, Vec<Arc<str>>)>;

impl Preview {
    fn lists(&self, environment: &EnvironmentSnapshot) -> Result<Lists, Refusal> {
        let mut lists = Lists::new();
        for (name, value) in &self.context {
            let slot = slot(environment, name)?;
            if let Value::Array(items) = value {
                let items: Option<_> = items.iter().map(|item| item.as_str().map(Arc::from)).collect();
                lists.push((slot, items.ok_or_else(|| wrong(name))?));
            }
        }
        Ok(lists)
    }

    fn context<'a>(
        &'a self,
        environment: &'a EnvironmentSnapshot,
        lists: &'a Lists,
    ) -> Result<Context<'a>, Refusal> {
        let mut context = Context::new();
        context.set(Slot::ENVIRONMENT, Attribute::Str(&environment.definition.key));
        context.set(Slot::ANONYMOUS, Attribute::Bool(false));
        for (name, value) in &self.context {
            let attribute = match value {
                Value::String(text) => Attribute::Str(text),
                Value::Bool(truth) => Attribute::Bool(*truth),
                Value::Number(number) => Attribute::Number(number.as_f64().ok_or_else(|| wrong(name))?),
                Value::Array(_) => continue,
                Value::Null | Value::Object(_) => return Err(wrong(name)),
            };
            context.set(slot(environment, name)?, attribute);
        }
        for (slot, items) in lists {
            context.set(*slot, Attribute::List(items));
        }
        Ok(context)
    }
}

fn slot(environment: &EnvironmentSnapshot, name: &str) -> Result<Slot, Refusal> {
    environment.rules.attributes().slot(name).ok_or_else(|| {
        let known: Vec<_> = environment.rules.attributes().names().collect();
        Refusal::fault(
            &format!("/context/{name}"),
            format!(
                "unknown attribute `{name}`; known are {}; declare others in the environment",
                known.join(", ")
            ),
        )
    })
}

fn wrong(name: &str) -> Refusal {
    Refusal::fault(&format!("/context/{name}"), "expected a string, a number, a boolean or a list of strings")
}

impl Flags {
    /// Fails unless `caller` may evaluate in `environment`.
    pub fn may_evaluate(&self, caller: &Caller, environment: &str) -> Result<(), Refusal> {
        self.feed.permitted(caller, environment, Permission::FlagEvaluate).map(drop)
    }

    /// Explains what `caller` sees of `key`, and why.
    pub fn explain<'s>(
        environment: &'s EnvironmentSnapshot,
        caller: &Caller,
        key: &str,
        context: &Context<'_>,
    ) -> Result<Seen<'s>, Refusal> {
        let mut seen = environment.see(caller, key, context).ok_or_else(|| not_found(environment, key))?;
        let mut explanation = environment.rules.explain(seen.flag, context);
        if seen.evaluation.reason == Reason::Override {
            explanation.summary =
                format!("this session has an override: variant `{}`", seen.evaluation.variant.name);
            explanation.variant = seen.evaluation.variant.name.to_string();
            explanation.value = seen.evaluation.variant.value.clone();
            explanation.reason = Reason::Override;
        }
        seen.explanation = Some(explanation);
        Ok(seen)
    }

    /// Evaluates `key` for the attributes of `preview`, with the explanation when asked for. Nothing is recorded.
    pub fn preview<'s>(
        environment: &'s EnvironmentSnapshot,
        key: &str,
        preview: &Preview,
        explain: bool,
    ) -> Result<Seen<'s>, Refusal> {
        if preview.context.len() > 100 {
            return Err(Refusal::new(
                Class::Malformed,
                "context_too_large",
                "the context has more than 100 attributes; send those the rules use",
            ));
        }
        let lists = preview.lists(environment)?;
        let context = preview.context(environment, &lists)?;
        let nobody = Caller::nobody();
        if explain {
            return Self::explain(environment, &nobody, key, &context);
        }
        environment.see(&nobody, key, &context).ok_or_else(|| not_found(environment, key))
    }
}
