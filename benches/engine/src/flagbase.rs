//! The shapes in the form of Flagbase's engine.

use std::sync::Arc;

use flagbase_engine::{
    Attributes, Condition, Context, Flag, Operator, Rollout, Rule, Ruleset, Scalar, Segment, Serve, Value,
    ValueKind, Values, Variant, Weight,
};

use crate::{Caller, Engine, Shape};

const KEY: &str = "bench";

/// A compiled ruleset with the callers it decides about.
pub struct Loaded {
    ruleset: Ruleset,
    contexts: Vec<Context<'static>>,
}

impl Loaded {
    pub fn new(shape: &Shape, callers: &[Caller]) -> Self {
        let attributes = Arc::new(Attributes::new(["version"]));
        let (ruleset, broken) = Ruleset::load(
            attributes.clone(),
            vec![segment()].into_iter(),
            vec![(flag(*shape), 1)].into_iter(),
        );
        assert!(broken.is_empty(), "{broken:?}");
        let contexts = callers.iter().map(|caller| context(&attributes, caller)).collect();
        Self { ruleset, contexts }
    }
}

impl Engine for Loaded {
    fn decide(&self, caller: usize) -> bool {
        let flag = self.ruleset.flag(KEY).expect("the flag was loaded");
        let evaluation = self.ruleset.evaluate(flag, &self.contexts[caller]);
        evaluation.variant.index == 0
    }
}

fn context(attributes: &Attributes, caller: &Caller) -> Context<'static> {
    let mut context = Context::new();
    let known = [("user_id", &caller.user), ("role", &caller.role), ("version", &caller.version)];
    for (name, value) in known {
        let slot = attributes.slot(name).expect("the attribute is declared");
        // A bench ends before it matters that these are never given back.
        context.set(slot, Value::Str(Box::leak(value.clone().into_boxed_str())));
    }
    context
}

fn flag(shape: Shape) -> Flag {
    let rollout = (shape == Shape::Rollout).then(|| Rollout {
        bucket_by: "user_id".to_owned(),
        weights: ["on", "off"].map(|name| Weight { variant: name.to_owned(), weight: 50.0 }).into(),
    });
    Flag {
        key: KEY.to_owned(),
        name: KEY.to_owned(),
        description: String::new(),
        enabled: true,
        kind: ValueKind::Boolean,
        variants: [("on", true), ("off", false)]
            .map(|(name, value)| Variant { name: name.to_owned(), value: value.into() })
            .into(),
        default_variant: if shape == Shape::Static { "on" } else { "off" }.to_owned(),
        off_variant: "off".to_owned(),
        rules: rules(shape),
        rollout,
        targets: Vec::new(),
        prerequisites: Vec::new(),
        salt: KEY.to_owned(),
        tags: Vec::new(),
    }
}

fn rules(shape: Shape) -> Vec<Rule> {
    match shape {
        Shape::Static | Shape::Rollout => Vec::new(),
        Shape::OneRule => vec![rule(0, condition("role", Operator::Equals, ["developer".to_owned()]))],
        Shape::TenRules => {
            (0..10).map(|n| rule(n, condition("role", Operator::Equals, [format!("guest-{n}")]))).collect()
        }
        Shape::LongList => {
            let users = (0..1000).map(|n| format!("other-{n}"));
            vec![rule(0, condition("user_id", Operator::In, users))]
        }
        Shape::Segment => vec![rule(0, condition("", Operator::InSegment, ["staff".to_owned()]))],
        Shape::Version => {
            vec![rule(0, condition("version", Operator::SemverGte, ["2.0.0".to_owned()]))]
        }
    }
}

fn rule(priority: i64, condition: Condition) -> Rule {
    Rule {
        id: format!("rule-{priority}"),
        description: String::new(),
        priority,
        conditions: vec![condition],
        serve: Serve::Variant("on".to_owned()),
    }
}

fn condition(attribute: &str, operator: Operator, values: impl IntoIterator<Item = String>) -> Condition {
    let values: Vec<Scalar> = values.into_iter().map(Scalar::Text).collect();
    let values = match <[Scalar; 1]>::try_from(values) {
        Ok([one]) => Values::One(one),
        Err(many) => Values::Many(many),
    };
    Condition { attribute: attribute.to_owned(), operator, values }
}

fn segment() -> Segment {
    Segment {
        key: "staff".to_owned(),
        name: "staff".to_owned(),
        description: String::new(),
        conditions: vec![vec![
            condition("role", Operator::Equals, ["developer".to_owned()]),
            condition("user_id", Operator::StartsWith, ["user-".to_owned()]),
        ]],
        included: Vec::new(),
        excluded: Vec::new(),
    }
}
