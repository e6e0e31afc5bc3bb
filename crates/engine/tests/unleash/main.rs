//! Unleash's published client specification, decided by our engine.
//!
//! The package `@unleash/client-specification` is the touchstone of Unleash's clients. `cargo xtask test --only flags` fetches
//! it and runs this; without it there is nothing to compare with. How its features become flags is in `mapping`, what
//! cannot be mapped is counted by its reason, and where the two are meant to differ is listed here.

#![expect(clippy::indexing_slicing, reason = "of JSON that was made just before")]

mod mapping;
mod spec;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use flagbase_engine::{Attributes, Context, Flag, Reason, Ruleset, Segment, Value};

use self::{
    mapping::{BY_CHANCE, Mapped, Mapping, Unmapped, attribute, segment_key},
    spec::{Case, Feature, Person, Specification},
};

/// Where the unpacked package is.
const DIRECTORY: &str = "UNLEASH_SPECIFICATION";

/// Cases in which we decide otherwise on purpose, and why.
const DIFFERENT: [(&str, &str); 3] = [
    (
        "14-constraint-semver-operators.json: F8.invalidSemverWithLeadingV - invalid semver resolves to false",
        "versions are read leniently: `v1.2.3` is one",
    ),
    (
        "17-dependent-features.json: Child is disabled if a transitive dependency exists.",
        "prerequisites may have prerequisites",
    ),
    (
        "17-dependent-features.json: Child yields a disabled variant because of a transitive dependency.",
        "prerequisites may have prerequisites",
    ),
];

/// How one case ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Same,
    Other(String),
    Unmapped(Unmapped),
}

/// The features of one file as a ruleset.
struct World {
    ruleset: Ruleset,
    keys: HashMap<String, String>,
    unmapped: HashMap<String, Unmapped>,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is told where the package is")]
fn unleashs_published_cases_come_out_the_same() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        println!("nothing is compared: run `cargo xtask test --only flags`");
        return;
    };
    let directory = Path::new(&directory).join("specifications");
    let index = std::fs::read_to_string(directory.join("index.json")).unwrap();
    let files: Vec<String> = serde_json::from_str(&index).unwrap();
    let (mut same, mut unmapped, mut other) = (0, BTreeMap::<Unmapped, usize>::new(), BTreeMap::new());
    for file in &files {
        let text = std::fs::read_to_string(directory.join(file)).unwrap();
        for (description, outcome) in outcomes(&serde_json::from_str(&text).unwrap()) {
            match outcome {
                Outcome::Same => same += 1,
                Outcome::Unmapped(why) => *unmapped.entry(why).or_default() += 1,
                Outcome::Other(got) => drop(other.insert(format!("{file}: {description}"), got)),
            }
        }
    }
    println!("{same} cases the same, {} different on purpose, not mapped: {unmapped:?}", DIFFERENT.len());
    let found: BTreeSet<&str> = other.keys().map(String::as_str).collect();
    let meant: BTreeSet<&str> = DIFFERENT.iter().map(|(case, _)| *case).collect();
    assert!(found == meant, "not as listed: {other:#?}");
    assert!(same > 240, "the package is not what it was: {same} cases");
}

fn outcomes(specification: &Specification) -> Vec<(String, Outcome)> {
    let Some(features) = &specification.state.features else { return Vec::new() };
    let world = World::new(specification, features);
    let switches = specification.tests.iter().map(|case| {
        let outcome = world.decide(case, |served, _| {
            if (served != "off") == case.expected_result {
                Outcome::Same
            } else {
                Outcome::Other(served.into())
            }
        });
        (case.description.clone(), outcome)
    });
    let variants = specification.variant_tests.iter().map(|case| {
        let expected = &case.expected_result;
        let outcome = world.decide(case, |served, reason| {
            let name = served.strip_prefix("on:").unwrap_or("disabled");
            match (served != "off") == expected.feature_enabled {
                true if name == expected.name => Outcome::Same,
                true if reason == Reason::Split || served == BY_CHANCE => Outcome::Unmapped(Unmapped::Share),
                _ => Outcome::Other(served.into()),
            }
        });
        (case.description.clone(), outcome)
    });
    switches.chain(variants).collect()
}

impl World {
    fn new(specification: &Specification, features: &[Feature]) -> Self {
        let keys: HashMap<_, _> = features
            .iter()
            .enumerate()
            .map(|(at, feature)| (feature.name.clone(), format!("f{at}")))
            .collect();
        let names = names(specification);
        let mut ruleset = Ruleset::new(Arc::new(Attributes::new(names.iter().map(String::as_str))));
        for segment in &specification.state.segments {
            let mut mapping = Mapping::new(&keys, features, &segment_key(segment.id));
            let mut all: Vec<Vec<serde_json::Value>> = vec![Vec::new()];
            for constraint in &segment.constraints {
                let any = mapping.constraint(constraint);
                all = all
                    .iter()
                    .flat_map(|one| any.iter().map(|other| [one.as_slice(), other].concat()))
                    .collect();
            }
            let inner = mapping.into_segments();
            let body = serde_json::json!({ "key": segment_key(segment.id), "conditions": all });
            ruleset = with_segments(ruleset, &[inner, vec![body]].concat());
        }
        let mut world = Self { ruleset, keys, unmapped: HashMap::new() };
        let mut waiting: Vec<&Feature> = features.iter().collect();
        // Those that others require come first; what is left in the end requires something that cannot be.
        loop {
            let before = waiting.len();
            waiting.retain(|feature| !world.take(feature, features));
            if waiting.len() == before {
                return world;
            }
        }
    }

    /// Takes one feature in; false when it cannot be taken yet.
    fn take(&mut self, feature: &Feature, features: &[Feature]) -> bool {
        let key = &self.keys[&feature.name];
        match Mapping::new(&self.keys, features, key).feature(feature) {
            Err(why) => {
                self.unmapped.insert(feature.name.clone(), why);
                true
            }
            Ok(mapped) => match with_flag(&self.ruleset, mapped) {
                Some(ruleset) => {
                    self.ruleset = ruleset;
                    true
                }
                None => false,
            },
        }
    }

    fn decide<T>(&self, case: &Case<T>, judge: impl Fn(&str, Reason) -> Outcome) -> Outcome {
        if let Some(why) = self.unmapped.get(&case.toggle_name) {
            return Outcome::Unmapped(*why);
        }
        let flag = self.keys.get(&case.toggle_name).and_then(|key| self.ruleset.flag(key));
        // What is not there or could not be saved is off.
        let Some(flag) = flag else { return judge("off", Reason::Default) };
        let attributes = attributes(&case.context);
        let mut context = Context::new();
        for (name, value) in &attributes {
            if let Some(slot) = self.ruleset.attributes().slot(attribute(name)) {
                context.set(slot, Value::Str(value));
            }
        }
        let evaluation = self.ruleset.evaluate(flag, &context);
        judge(&evaluation.variant.name, evaluation.reason)
    }
}

/// The attributes of a caller; the present, where no other moment is given, is later than all that is asked for.
fn attributes(person: &Person) -> HashMap<String, String> {
    let mut attributes = person.attributes();
    attributes.entry("currentTime".into()).or_insert_with(|| "2100-01-01T00:00:00Z".into());
    attributes
}

/// Every attribute that is asked for or given and that we do not know anyway.
fn names(specification: &Specification) -> BTreeSet<String> {
    let features = specification.state.features.iter().flatten();
    let strategies = features.clone().flat_map(|feature| feature.strategies.iter().flatten());
    let asked = strategies.clone().flat_map(|strategy| strategy.constraints.iter().flatten());
    let asked = asked.chain(specification.state.segments.iter().flat_map(|segment| &segment.constraints));
    let by = strategies.filter_map(|strategy| strategy.parameters.as_ref()?.get("stickiness").cloned());
    let variants = features.flat_map(|feature| {
        let own = feature.strategies.iter().flatten().flat_map(|strategy| strategy.variants.iter().flatten());
        feature.variants.iter().flatten().chain(own)
    });
    let by = by.chain(variants.clone().filter_map(|variant| variant.stickiness.clone()));
    let overridden = variants.flat_map(|variant| variant.overrides.iter().flatten());
    let overridden = overridden.map(|one| one.context_name.clone());
    let known = Attributes::new([]);
    asked
        .map(|constraint| constraint.context_name.clone())
        .chain(by)
        .chain(overridden)
        .chain(["currentTime".to_owned()])
        .filter(|name| known.slot(attribute(name)).is_none())
        .collect()
}

fn with_segments(ruleset: Ruleset, segments: &[serde_json::Value]) -> Ruleset {
    segments.iter().fold(ruleset, |ruleset, body| {
        let segment = Segment::from_json(body).ok();
        segment.and_then(|segment| ruleset.put_segment(&segment).ok()).unwrap_or(ruleset)
    })
}

/// The ruleset with one more flag. A rule that would be refused when saved decides nothing.
fn with_flag(ruleset: &Ruleset, mapped: Mapped) -> Option<Ruleset> {
    let Mapped { segments, mut flag } = mapped;
    let ruleset = with_segments(ruleset.clone(), &segments);
    let rules = flag["rules"].as_array().cloned().unwrap_or_default();
    let alone = |rule: &serde_json::Value| {
        let mut only = flag.clone();
        only["rules"] = serde_json::json!([rule]);
        only["prerequisites"] = serde_json::json!([]);
        Flag::from_json(&only).is_ok_and(|flag| ruleset.put_flag(&flag, 1).is_ok())
    };
    let valid: Vec<_> = rules.into_iter().filter(|rule| alone(rule)).collect();
    flag["rules"] = valid.into();
    let flag = Flag::from_json(&flag).ok()?;
    ruleset.put_flag(&flag, 1).ok()
}
