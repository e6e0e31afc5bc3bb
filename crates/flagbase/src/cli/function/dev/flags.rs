//! What flags give while a function is written: said on the command line, and in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Exit, Failure, Outcome};

const FLAGS: [&str; 3] = ["api", "v1", "flags"];

/// Flags of the throw-away server, each with the one value it gives.
pub(super) struct Flags {
    given: BTreeMap<String, Value>,
    file: Option<PathBuf>,
    there: BTreeMap<String, Value>,
}

impl Flags {
    /// From pairs like `loud-greeting=true`, and a file whose values count where both name a flag.
    pub(super) fn new(pairs: &[String], file: Option<PathBuf>) -> Outcome<Self> {
        let given = pairs.iter().map(|pair| pair_of(pair)).collect::<Outcome<_>>()?;
        Ok(Self { given, file, there: BTreeMap::new() })
    }

    /// Makes the server's flags what is wanted now.
    pub(super) async fn apply(&mut self, client: &Client) -> Outcome {
        let wanted = self.wanted()?;
        let gone: Vec<String> = self
            .there
            .iter()
            .filter(|(key, value)| wanted.get(*key) != Some(value))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            let [api, v1, flags] = FLAGS;
            match client.call(Call::delete(&[api, v1, flags, &key])).await {
                Err(failure) if failure.exit() != Exit::NotFound => return Err(failure),
                _ => self.there.remove(&key),
            };
        }
        for (key, value) in
            wanted.into_iter().filter(|(key, _)| !self.there.contains_key(key)).collect::<Vec<_>>()
        {
            client.call(Call::post(&FLAGS, flag(&key, &value))).await?;
            self.there.insert(key, value);
        }
        Ok(())
    }

    fn wanted(&self) -> Outcome<BTreeMap<String, Value>> {
        let mut wanted = self.given.clone();
        if let Some(file) = &self.file {
            match document::read(file)? {
                Value::Object(members) => wanted.extend(members),
                Value::Null => {}
                _ => {
                    return Err(Failure::usage(format!("`{}` does not list flags", file.display()))
                        .hint("write a line for each, such as `loud-greeting: true`"));
                }
            }
        }
        Ok(wanted)
    }
}

fn pair_of(pair: &str) -> Outcome<(String, Value)> {
    let (key, text) = pair.split_once('=').ok_or_else(|| {
        Failure::usage(format!("`{pair}` is not KEY=VALUE")).hint("write it like `loud-greeting=true`")
    })?;
    Ok((key.to_owned(), document::value(text)))
}

/// A flag that gives everybody this value.
fn flag(key: &str, value: &Value) -> Value {
    let kind = match value {
        Value::Bool(on) => return json!({"key": key, "name": key, "enabled": true, "default_value": on}),
        Value::Number(_) => "number",
        Value::String(_) => "string",
        _ => "json",
    };
    json!({
        "key": key, "name": key, "type": kind, "enabled": true,
        "variants": [{"name": "given", "value": value}], "default_variant": "given", "off_variant": "given",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_counts_where_both_name_a_flag() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("flags.yaml");
        std::fs::write(&file, "loud: true\ncolor: blue\n").unwrap();
        let flags = Flags::new(&["loud=false".into(), "size=3".into()], Some(file.clone())).unwrap();
        let wanted = flags.wanted().unwrap();
        assert_eq!(json!(wanted), json!({"color": "blue", "loud": true, "size": 3}));
        std::fs::write(&file, "- loud\n").unwrap();
        assert!(flags.wanted().unwrap_err().to_string().contains("loud-greeting: true"));
    }

    #[test]
    fn a_value_says_what_kind_of_flag_it_is() {
        assert_eq!(flag("a", &json!(true))["default_value"], true);
        assert_eq!(flag("a", &json!("x"))["type"], "string");
        assert_eq!(flag("a", &json!(1))["variants"][0]["value"], 1);
        assert_eq!(flag("a", &json!([1]))["type"], "json");
        assert!(Flags::new(&["loud".into()], None).is_err());
    }
}
