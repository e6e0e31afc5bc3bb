//! What a function may reach and what it is told while it is written: by its manifest, and by the command line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::super::manifest::Local;
use super::super::{at, deploy, settings, under};
use super::DevArgs;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::config::Secret;
use crate::exit::{Failure, Outcome};

/// Makes the throw-away server's function what is wanted now, but for its code: that is checked against what is granted.
pub(super) async fn apply(client: &Client, local: &Local, args: &DevArgs) -> Outcome {
    let name = &local.name;
    let secrets = secrets(&args.secrets, args.secrets_file.as_deref())?;
    let manifest = local.settings.clone().unwrap_or_else(|| json!({}));
    deploy::put_settings(client, name, &manifest).await?;
    let mut patch = json!({});
    if !args.variables.is_empty() {
        document::set(&mut patch, "environment", document::pairs(&args.variables)?);
    }
    if !args.grants.is_empty() {
        let function = client.call(Call::get(&at(name))).await?;
        document::set(&mut patch, "grants", settings::grants(&function, &args.grants, &[])?);
    }
    if patch != json!({}) {
        client.call(Call::patch(&at(name), patch)).await?;
    }
    for (secret, value) in &secrets {
        let [api, v1, functions, name, kept] = under(name, "secrets");
        let value = json!({"value": value.reveal()});
        client.call(Call::put(&[api, v1, functions, name, kept, secret], value)).await?;
    }
    Ok(())
}

/// Secrets from pairs like `API_KEY=k3y`, and from a file, whose values count where both name one.
fn secrets(pairs: &[String], file: Option<&Path>) -> Outcome<BTreeMap<String, Secret>> {
    let pair = |pair: &String| {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            // What was typed may be the secret itself.
            Failure::usage("a --secret is not NAME=VALUE").hint("write it like `API_KEY=value`")
        })?;
        Ok((name.to_owned(), Secret::new(value)))
    };
    let mut secrets = pairs.iter().map(pair).collect::<Outcome<BTreeMap<_, _>>>()?;
    let Some(file) = file else { return Ok(secrets) };
    let listed = match document::read(file)? {
        Value::Object(members) => members,
        Value::Null => serde_json::Map::new(),
        _ => {
            return Err(Failure::usage(format!("`{}` does not list secrets", file.display()))
                .hint("write a line for each, such as `API_KEY: value`"));
        }
    };
    for (name, value) in listed {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        secrets.insert(name, Secret::new(value));
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_the_command_line_and_from_a_file() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("secrets.yaml");
        std::fs::write(&file, "API_KEY: from the file\nPIN: 1234\n").unwrap();
        let given = ["API_KEY=typed".to_owned(), "TOKEN=a=b".to_owned()];
        let secrets = secrets(&given, Some(&file)).unwrap();
        let shown: Vec<_> = secrets.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        assert_eq!(shown, [("API_KEY", "from the file"), ("PIN", "1234"), ("TOKEN", "a=b")]);
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let failure = secrets(&["hunter2".to_owned()], None).unwrap_err().to_string();
        assert!(failure.contains("NAME=VALUE") && !failure.contains("hunter2"), "{failure}");
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("secrets.yaml");
        std::fs::write(&file, "- hunter2\n").unwrap();
        let failure = secrets(&[], Some(&file)).unwrap_err().to_string();
        assert!(failure.contains("API_KEY: value") && !failure.contains("hunter2"), "{failure}");
    }
}
