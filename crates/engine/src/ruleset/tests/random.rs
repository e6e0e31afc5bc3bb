//! Whatever is edited in whatever order: what is accepted stays sound, what is refused changes nothing.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Edit {
    PutFlag { key: usize, requires: Vec<usize>, asks: Option<usize>, implied: bool },
    RemoveFlag(usize),
    PutSegment { key: usize, asks: Vec<usize> },
    RemoveSegment(usize),
}

const KEYS: usize = 6;

fn edit() -> impl Strategy<Value = Edit> {
    let some = || prop::collection::vec(0..KEYS, 0..3);
    prop_oneof![
        5 => (0..KEYS, some(), prop::option::of(0..KEYS), any::<bool>())
            .prop_map(|(key, requires, asks, implied)| Edit::PutFlag { key, requires, asks, implied }),
        2 => (0..KEYS).prop_map(Edit::RemoveFlag),
        2 => (0..KEYS, some()).prop_map(|(key, asks)| Edit::PutSegment { key, asks }),
        1 => (0..KEYS).prop_map(Edit::RemoveSegment),
    ]
}

fn flag_of(key: usize, requires: &[usize], asks: Option<usize>, implied: bool) -> Option<Flag> {
    let names = if implied { ["true", "false"] } else { ["on", "false"] };
    let others = requires.iter().map(
        |other| json!({ "flag": format!("f{other}"), "variant": if other % 2 == 0 { "true" } else { "on" } }),
    );
    let rules = asks
        .map(|other| json!({ "operator": "in_segment", "value": format!("s{other}"), "variant": names[0] }));
    let body = json!({
        "key": format!("f{key}"), "enabled": true, "default_variant": "false",
        "variants": [{ "name": names[0], "value": true }, { "name": names[1], "value": false }],
        "prerequisites": others.collect::<Vec<_>>(), "rules": rules.into_iter().collect::<Vec<_>>()
    });
    Flag::from_json(&body).ok()
}

fn apply(ruleset: &Ruleset, edit: &Edit) -> Result<Ruleset, Vec<Fault>> {
    match edit {
        Edit::PutFlag { key, requires, asks, implied } => {
            let flag = flag_of(*key, requires, *asks, *implied).ok_or_else(Vec::new)?;
            ruleset.put_flag(&flag, 1)
        }
        Edit::RemoveFlag(key) => ruleset.remove_flag(&format!("f{key}")),
        Edit::PutSegment { key, asks } => {
            let asks: Vec<String> = asks.iter().map(|other| format!("s{other}")).collect();
            let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
            ruleset.put_segment(&asking(&format!("s{key}"), &asks))
        }
        Edit::RemoveSegment(key) => ruleset.remove_segment(&format!("s{key}")),
    }
}

/// Keys of flags with the keys and variants they require, and how they are noted the other way round.
fn is_sound(ruleset: &Ruleset) {
    let mut noted = 0;
    for flag in ruleset.flags() {
        for required in flag.prerequisites() {
            let other = ruleset.flag(&required.flag).expect("the required flag is there");
            assert!(other.variant(&required.variant).is_some());
            let users = ruleset.dependents.get(&required.flag).expect("the use is noted");
            assert!(users.by.iter().any(|user| *user == super::super::User::Flag(flag.key().clone())));
            noted += 1;
        }
        for segment in flag.segments() {
            assert!(ruleset.has_segment(segment) && ruleset.segment_users.get(segment).is_some());
        }
        let context = Context::new();
        let reason = ruleset.evaluate(flag, &context).reason;
        assert_ne!(reason, Reason::Error);
        assert_eq!(ruleset.explain(flag, &context).reason, reason);
    }
    let all: usize = ruleset.dependents.iter().map(|users| users.by.len()).sum();
    assert_eq!(all, noted, "nothing is noted that is not so");
}

proptest! {
    #[test]
    fn a_ruleset_stays_sound(edits in prop::collection::vec(edit(), 0..40)) {
        let mut ruleset = empty();
        for edit in &edits {
            if let Ok(next) = apply(&ruleset, edit) {
                is_sound(&next);
                ruleset = next;
            } else {
                is_sound(&ruleset);
            }
        }
    }

    #[test]
    fn loading_accepts_what_putting_one_after_the_other_accepted(edits in prop::collection::vec(edit(), 0..30)) {
        let (mut ruleset, mut flags, mut segments) = (empty(), std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
        for edit in &edits {
            let Ok(next) = apply(&ruleset, edit) else { continue };
            ruleset = next;
            match edit {
                Edit::PutFlag { key, requires, asks, implied } => {
                    flags.extend(flag_of(*key, requires, *asks, *implied).map(|flag| (*key, flag)));
                }
                Edit::RemoveFlag(key) => { flags.remove(key); }
                Edit::PutSegment { key, asks } => {
                    let asks: Vec<String> = asks.iter().map(|other| format!("s{other}")).collect();
                    let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
                    segments.insert(*key, asking(&format!("s{key}"), &asks));
                }
                Edit::RemoveSegment(key) => { segments.remove(key); }
            }
        }
        let attributes = Arc::new(Attributes::default());
        let flags = flags.into_values().map(|flag| (flag, 1));
        let (loaded, reports) = Ruleset::load(attributes, segments.into_values(), flags);
        prop_assert_eq!(reports, vec![]);
        prop_assert_eq!(loaded.len(), ruleset.len());
        is_sound(&loaded);
    }
}
