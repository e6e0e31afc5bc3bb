//! The shapes in the form of Unleash's engine.

use std::collections::HashMap;

use unleash_types::client_features::{
    ClientFeature, ClientFeatures, Constraint, Operator, Segment, Strategy,
};
use unleash_yggdrasil::{Context, EngineState, UpdateMessage};

use crate::{Caller, Engine, Shape};

const KEY: &str = "bench";

/// An engine state with the callers it decides about.
pub struct Loaded {
    state: EngineState,
    contexts: Vec<Context>,
}

impl Loaded {
    pub fn new(shape: &Shape, callers: &[Caller]) -> Self {
        let state = EngineState::default();
        let warnings = state.take_state(UpdateMessage::FullResponse(ClientFeatures {
            version: 2,
            features: vec![ClientFeature {
                name: KEY.to_owned(),
                enabled: true,
                strategies: Some(strategies(*shape)),
                ..ClientFeature::default()
            }],
            segments: Some(vec![segment()]),
            query: None,
            meta: None,
        }));
        assert!(warnings.is_none(), "{}", warnings.map_or(0, |warnings| warnings.len()));
        Self { state, contexts: callers.iter().map(context).collect() }
    }
}

impl Engine for Loaded {
    fn decide(&self, caller: usize) -> bool {
        self.state.is_enabled(KEY, &self.contexts[caller], &None)
    }
}

fn context(caller: &Caller) -> Context {
    let properties = HashMap::from([
        ("role".to_owned(), caller.role.clone()),
        ("version".to_owned(), caller.version.clone()),
    ]);
    Context {
        user_id: Some(caller.user.clone()),
        session_id: None,
        environment: None,
        app_name: None,
        current_time: None,
        remote_address: None,
        properties: Some(properties),
    }
}

fn strategies(shape: Shape) -> Vec<Strategy> {
    match shape {
        Shape::Static => vec![strategy(Vec::new())],
        Shape::OneRule => {
            vec![strategy(vec![list("role", vec!["developer".to_owned()])])]
        }
        Shape::TenRules => {
            (0..10).map(|n| strategy(vec![list("role", vec![format!("guest-{n}")])])).collect()
        }
        Shape::LongList => {
            let users = (0..1000).map(|n| format!("other-{n}")).collect();
            vec![strategy(vec![list("userId", users)])]
        }
        Shape::Segment => {
            vec![Strategy { segments: Some(vec![1]), ..strategy(Vec::new()) }]
        }
        Shape::Version => vec![strategy(vec![version()])],
        Shape::Rollout => vec![rollout()],
    }
}

fn strategy(constraints: Vec<Constraint>) -> Strategy {
    Strategy {
        name: "default".to_owned(),
        segments: None,
        variants: None,
        constraints: Some(constraints),
        parameters: None,
        sort_order: None,
    }
}

fn rollout() -> Strategy {
    let parameters = [("rollout", "50"), ("stickiness", "userId"), ("groupId", KEY)];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Strategy {
        name: "flexibleRollout".to_owned(),
        parameters: Some(HashMap::from(parameters)),
        ..strategy(Vec::new())
    }
}

fn list(attribute: &str, values: Vec<String>) -> Constraint {
    constraint(attribute, Operator::In, Some(values), None)
}

fn version() -> Constraint {
    constraint("version", Operator::SemverGte, None, Some("2.0.0".to_owned()))
}

fn constraint(
    attribute: &str,
    operator: Operator,
    values: Option<Vec<String>>,
    value: Option<String>,
) -> Constraint {
    Constraint {
        context_name: attribute.to_owned(),
        operator,
        case_insensitive: false,
        inverted: false,
        values,
        value,
    }
}

fn segment() -> Segment {
    let prefix = Some(vec!["user-".to_owned()]);
    Segment {
        id: 1,
        constraints: vec![
            list("role", vec!["developer".to_owned()]),
            constraint("userId", Operator::StrStartsWith, prefix, None),
        ],
    }
}
