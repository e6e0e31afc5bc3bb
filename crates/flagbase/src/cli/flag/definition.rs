//! A flag as described on the command line.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::document;
use crate::exit::{Failure, Outcome};

#[derive(Debug, Default, Args)]
pub(crate) struct DefinitionArgs {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether it is on; `--enabled` alone means true
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    enabled: Option<bool>,
    /// The kind of value: boolean, string, number or json
    #[arg(long = "type", value_name = "TYPE", value_parser = ["boolean", "string", "number", "json"])]
    kind: Option<String>,
    /// The value when no rule matches
    #[arg(long = "default", value_name = "VALUE")]
    default_value: Option<String>,
    /// A variant; repeat for each. An update adds it, or changes the one of this name, and keeps the others
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    variants: Vec<String>,
    /// A rule, such as `role equals developer` or `email ends_with @example.com and version gte 2 => blue`; repeat for each, in order
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Who gets it when no rule matches: this percentage of callers
    #[arg(long, value_name = "PERCENT", conflicts_with = "weights", allow_negative_numbers = true)]
    rollout: Option<f64>,
    /// Who gets what when no rule matches, by weight; repeat for each variant
    #[arg(long = "weight", value_name = "VARIANT=WEIGHT")]
    weights: Vec<String>,
    /// What rollouts stick to, such as `user_id`
    #[arg(long, value_name = "ATTRIBUTE")]
    bucket_by: Option<String>,
    /// A tag; repeat for each
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Read the whole flag from this JSON or YAML file; `-` is standard input
    #[arg(
        short, long, value_name = "FILE",
        conflicts_with_all = ["name", "description", "enabled", "kind", "default_value", "variants", "rules", "rollout", "weights", "bucket_by", "tags"]
    )]
    file: Option<PathBuf>,
}

impl DefinitionArgs {
    /// The flag to be made.
    pub(crate) fn new_flag(&self, key: &str) -> Outcome<Value> {
        if let Some(flag) = self.replacement(key)? {
            return Ok(flag);
        }
        let mut flag = self.changes(self.kind.as_deref())?;
        document::set(&mut flag, "key", key);
        for (member, value) in [
            ("name", Value::from(key)),
            ("enabled", Value::Bool(false)),
            ("default_value", self.default_of_kind()),
        ] {
            if flag.get(member).is_none() && !(member == "default_value" && value.is_null()) {
                document::set(&mut flag, member, value);
            }
        }
        Ok(flag)
    }

    /// Whether a rollout is asked for.
    pub(crate) fn rolls_out(&self) -> bool {
        self.rollout.is_some() || !self.weights.is_empty()
    }

    /// The whole flag from a file, when one is given.
    pub(crate) fn replacement(&self, key: &str) -> Outcome<Option<Value>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let mut flag = document::read(file)?;
        if !flag.is_object() {
            return Err(Failure::usage(format!("`{}` does not hold one flag", file.display())));
        }
        match flag.get("key").and_then(Value::as_str) {
            Some(other) if other != key => {
                return Err(Failure::usage(format!("`{}` is flag `{other}`, not `{key}`", file.display())));
            }
            _ => document::set(&mut flag, "key", key),
        }
        Ok(Some(flag))
    }

    /// What to change of the flag `current`, as a merge patch. Variants are added to those there are, or take the place of
    /// those of the same name; values are read as those of the flag's type. `removed` names variants that go.
    pub(crate) fn patch(&self, current: &Value, removed: &[String]) -> Outcome<Value> {
        let kind = self.kind.as_deref().or_else(|| current.get("type").and_then(Value::as_str));
        let mut changes = self.changes(kind)?;
        let is_other_type = self.kind.is_some() && kind != current.get("type").and_then(Value::as_str);
        let before = current.get("variants").and_then(Value::as_array).filter(|_| !is_other_type);
        if let (Some(before), true) = (before, changes.get("variants").is_some() || !removed.is_empty()) {
            let given =
                changes.get("variants").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let variants = merged(before, given, removed)?;
            document::set(&mut changes, "variants", variants);
        }
        // One kind of rollout takes the place of the other; a patch would have both.
        if let Some(rollout) = changes.get_mut("rollout") {
            let other = if rollout.get("weights").is_some() { "percentage" } else { "weights" };
            document::set(rollout, other, Value::Null);
        }
        if changes.as_object().is_none_or(serde_json::Map::is_empty) && removed.is_empty() {
            return Err(Failure::usage("nothing to change")
                .hint("give at least one of the options, such as --name or --rule"));
        }
        Ok(changes)
    }

    /// What a patch does to variants, for people; empty when it leaves them alone.
    pub(crate) fn said_of_variants(&self, current: &Value, removed: &[String]) -> String {
        let before = current.get("variants").and_then(Value::as_array).into_iter().flatten();
        let before: Vec<&str> = before.filter_map(name_of).collect();
        let mut said: Vec<String> = Vec::new();
        for (name, _) in self.variants.iter().filter_map(|pair| pair.split_once('=')) {
            let verb = if before.contains(&name) { "changed" } else { "added" };
            said.push(format!("{verb} variant `{name}`"));
        }
        said.extend(removed.iter().map(|name| format!("removed variant `{name}`")));
        said.join(", ")
    }

    fn changes(&self, kind: Option<&str>) -> Outcome<Value> {
        let mut flag = json!({});
        document::set_some(&mut flag, "name", self.name.clone());
        document::set_some(&mut flag, "description", self.description.clone());
        document::set_some(&mut flag, "enabled", self.enabled);
        document::set_some(&mut flag, "type", self.kind.clone());
        let default = self.default_value.as_deref().map(|text| value_of(kind, text)).transpose()?;
        document::set_some(&mut flag, "default_value", default);
        if !self.variants.is_empty() {
            document::set(&mut flag, "variants", self.variants(kind)?);
        }
        if !self.rules.is_empty() {
            let rules = self.rules.iter().zip(1..).map(|(rule, at)| document::rule(rule, at));
            document::set(&mut flag, "rules", rules.collect::<Outcome<Value>>()?);
        }
        document::set_some(&mut flag, "rollout", self.rollout()?);
        if !self.tags.is_empty() {
            document::set(&mut flag, "tags", self.tags.clone());
        }
        Ok(flag)
    }

    fn rollout(&self) -> Outcome<Option<Value>> {
        let mut rollout = match (self.rollout, self.weights.as_slice()) {
            (Some(percentage), _) => json!({"percentage": percentage}),
            (None, []) => return Ok(None),
            (None, weights) => {
                json!({"weights": weights.iter().map(|pair| weight(pair)).collect::<Outcome<Value>>()?})
            }
        };
        document::set_some(&mut rollout, "bucket_by", self.bucket_by.clone());
        Ok(Some(rollout))
    }

    fn variants(&self, kind: Option<&str>) -> Outcome<Value> {
        self.variants
            .iter()
            .map(|pair| {
                let (name, text) = pair.split_once('=').ok_or_else(|| {
                    Failure::usage(format!("`{pair}` is not NAME=VALUE")).hint("write it like `blue=#0000ff`")
                })?;
                Ok(json!({"name": name, "value": value_of(kind, text)?}))
            })
            .collect()
    }

    fn default_of_kind(&self) -> Value {
        match self.kind.as_deref() {
            None | Some("boolean") if self.variants.is_empty() => Value::Bool(false),
            _ => Value::Null,
        }
    }
}

/// A value as typed, for a flag of this type: text stays text where it looks like a number.
fn value_of(kind: Option<&str>, text: &str) -> Outcome<Value> {
    let value = document::value(text);
    let (fits, such) = match kind {
        Some("string") => return Ok(Value::from(text)),
        Some("number") => (value.is_number(), "7 or 2.5"),
        Some("boolean") => (value.is_boolean(), "true or false"),
        _ => return Ok(value),
    };
    if fits {
        return Ok(value);
    }
    Err(Failure::usage(format!("`{text}` is no value of a flag of type {}", kind.unwrap_or_default()))
        .hint(format!("write it like {such}")))
}

/// The variants `before`, with `given` ones in the place of those of the same name, or at the end.
fn merged(before: &[Value], given: &[Value], removed: &[String]) -> Outcome<Vec<Value>> {
    let mut variants = before.to_vec();
    for name in removed {
        let count = variants.len();
        variants.retain(|variant| name_of(variant) != Some(name));
        if variants.len() == count {
            let names: Vec<_> = before.iter().filter_map(name_of).map(|name| format!("`{name}`")).collect();
            return Err(Failure::usage(format!("there is no variant `{name}` to remove"))
                .hint(format!("the flag has {}", names.join(", "))));
        }
    }
    for new in given {
        match variants.iter_mut().find(|variant| name_of(variant) == name_of(new)) {
            Some(old) => old.clone_from(new),
            None => variants.push(new.clone()),
        }
    }
    Ok(variants)
}

fn name_of(variant: &Value) -> Option<&str> {
    variant.get("name").and_then(Value::as_str)
}

fn weight(pair: &str) -> Outcome<Value> {
    let wrong = || Failure::usage(format!("`{pair}` is not VARIANT=WEIGHT")).hint("write it like `blue=50`");
    let (variant, weight) = pair.split_once('=').ok_or_else(wrong)?;
    let weight: Value = weight.parse().map_err(|_| wrong())?;
    Ok(json!({"variant": document::value(variant), "weight": weight}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_new_flag_is_boolean_and_off() {
        let flag = DefinitionArgs::default().new_flag("checkout").unwrap();
        assert_eq!(
            flag,
            json!({"key": "checkout", "name": "checkout", "enabled": false, "default_value": false})
        );
    }

    #[test]
    fn a_flag_for_developers_is_one_option_away() {
        let args = DefinitionArgs {
            enabled: Some(true),
            rules: vec!["role equals developer".into()],
            ..DefinitionArgs::default()
        };
        let flag = args.new_flag("checkout").unwrap();
        assert_eq!(flag["rules"][0]["attribute"], "role");
        assert_eq!(flag["rules"][0]["variant"], true);
        assert_eq!(flag["enabled"], true);
    }

    #[test]
    fn variants_and_weights_describe_an_experiment() {
        let args = DefinitionArgs {
            kind: Some("string".into()),
            variants: vec!["a=1".into(), "b=2".into()],
            weights: vec!["a=50".into(), "b=50".into()],
            bucket_by: Some("email".into()),
            default_value: Some("1".into()),
            ..DefinitionArgs::default()
        };
        let flag = args.new_flag("x").unwrap();
        assert_eq!(flag["variants"][0], json!({"name": "a", "value": "1"}));
        assert_eq!(flag["rollout"]["weights"][1], json!({"variant": "b", "weight": 50}));
        assert_eq!(flag["rollout"]["bucket_by"], "email");
        assert_eq!(flag["default_value"], "1");
    }

    #[test]
    fn an_update_sends_only_what_was_given() {
        let args = DefinitionArgs { name: Some("New".into()), ..DefinitionArgs::default() };
        assert_eq!(args.patch(&Value::Null, &[]).unwrap(), json!({"name": "New"}));
        assert!(DefinitionArgs::default().patch(&Value::Null, &[]).is_err());
    }

    #[test]
    fn one_kind_of_rollout_takes_the_place_of_the_other() {
        let patch = |args: DefinitionArgs| args.patch(&json!({"type": "boolean"}), &[]).unwrap();
        let share = DefinitionArgs { rollout: Some(20.0), ..DefinitionArgs::default() };
        assert_eq!(patch(share), json!({"rollout": {"percentage": 20.0, "weights": null}}));
        let weights = DefinitionArgs { weights: vec!["true=1".into()], ..DefinitionArgs::default() };
        assert_eq!(patch(weights)["rollout"]["percentage"], Value::Null);
    }

    #[test]
    fn an_update_adds_and_changes_variants_and_keeps_the_others() {
        let flag = json!({"type": "string", "variants": [{"name": "current", "value": "current"}, {"name": "v2", "value": "2"}]});
        let args =
            DefinitionArgs { variants: vec!["v3=3".into(), "v2=v2".into()], ..DefinitionArgs::default() };
        assert_eq!(
            args.patch(&flag, &[]).unwrap(),
            json!({"variants": [
                {"name": "current", "value": "current"}, {"name": "v2", "value": "v2"}, {"name": "v3", "value": "3"}
            ]}),
        );
        assert_eq!(args.said_of_variants(&flag, &[]), "added variant `v3`, changed variant `v2`");
        let none = DefinitionArgs::default();
        let removed = none.patch(&flag, &["v2".to_owned()]).unwrap();
        assert_eq!(removed, json!({"variants": [{"name": "current", "value": "current"}]}));
        let failure = none.patch(&flag, &["v9".to_owned()]).unwrap_err().to_string();
        assert!(failure.contains("`v9`") && failure.contains("`current`, `v2`"), "{failure}");
    }

    #[test]
    fn values_are_read_as_the_flags_type_has_them() {
        let of = |kind: &str, text: &str| value_of(Some(kind), text);
        assert_eq!(of("string", "3").unwrap(), json!("3"));
        assert_eq!(of("number", "3").unwrap(), json!(3));
        assert_eq!(of("json", "[3]").unwrap(), json!([3]));
        assert_eq!(value_of(None, "3").unwrap(), json!(3));
        for (kind, text, hint) in [("number", "v3", "2.5"), ("boolean", "3", "true or false")] {
            let failure = of(kind, text).unwrap_err().to_string();
            assert!(failure.contains(kind) && failure.contains(hint), "{failure}");
        }
        let other_type = DefinitionArgs {
            kind: Some("number".into()),
            variants: vec!["a=1".into()],
            ..DefinitionArgs::default()
        };
        let flag = json!({"type": "boolean", "variants": [{"name": "true", "value": true}]});
        let patch = other_type.patch(&flag, &[]).unwrap();
        assert_eq!(
            patch["variants"],
            json!([{"name": "a", "value": 1}]),
            "those of another type cannot stay"
        );
    }

    #[test]
    fn a_file_for_another_flag_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("flag.yaml");
        std::fs::write(&path, "key: other\n").unwrap();
        let args = DefinitionArgs { file: Some(path), ..DefinitionArgs::default() };
        assert!(args.new_flag("mine").is_err());
        assert_eq!(args.new_flag("other").unwrap()["key"], "other");
    }
}
