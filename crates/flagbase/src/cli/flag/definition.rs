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
    /// A variant; repeat for each
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
        let mut flag = self.changes()?;
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

    /// What to change of a flag, as a merge patch.
    pub(crate) fn patch(&self) -> Outcome<Value> {
        let changes = self.changes()?;
        if changes.as_object().is_none_or(serde_json::Map::is_empty) {
            return Err(Failure::usage("nothing to change")
                .hint("give at least one of the options, such as --name or --rule"));
        }
        Ok(changes)
    }

    fn changes(&self) -> Outcome<Value> {
        let mut flag = json!({});
        document::set_some(&mut flag, "name", self.name.clone());
        document::set_some(&mut flag, "description", self.description.clone());
        document::set_some(&mut flag, "enabled", self.enabled);
        document::set_some(&mut flag, "type", self.kind.clone());
        document::set_some(
            &mut flag,
            "default_value",
            self.default_value.as_deref().map(|text| self.value(text)),
        );
        if !self.variants.is_empty() {
            document::set(&mut flag, "variants", self.variants()?);
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

    fn variants(&self) -> Outcome<Value> {
        self.variants
            .iter()
            .map(|pair| {
                let (name, text) = pair.split_once('=').ok_or_else(|| {
                    Failure::usage(format!("`{pair}` is not NAME=VALUE")).hint("write it like `blue=#0000ff`")
                })?;
                Ok(json!({"name": name, "value": self.value(text)}))
            })
            .collect()
    }

    /// Text stays text for flags of type string, even when it looks like a number.
    fn value(&self, text: &str) -> Value {
        if self.kind.as_deref() == Some("string") { Value::from(text) } else { document::value(text) }
    }

    fn default_of_kind(&self) -> Value {
        match self.kind.as_deref() {
            None | Some("boolean") if self.variants.is_empty() => Value::Bool(false),
            _ => Value::Null,
        }
    }
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
        assert_eq!(args.patch().unwrap(), json!({"name": "New"}));
        assert!(DefinitionArgs::default().patch().is_err());
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
