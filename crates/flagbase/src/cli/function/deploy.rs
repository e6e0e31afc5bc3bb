//! `flagbase fn deploy`: code from this machine becomes a version on the server.

use std::path::PathBuf;

use clap::Args;
use flagbase_core::engine::Flag;
use serde_json::{Value, json};

use super::manifest::Local;
use super::{VERSIONS, address, alias, at, build, under};
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Failure, Outcome};
use crate::progress;

#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    /// A .js, .ts or .wasm file, or the directory with a `function.yaml`
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The function's name [default: that of the file or directory]
    #[arg(long)]
    name: Option<String>,
    /// Only put it there: everybody keeps the version they have
    #[arg(long)]
    no_promote: bool,
    /// Only callers who meet this get it, such as `role=developer` or `email ends_with @example.com`; everybody else keeps
    /// the version they have
    #[arg(long = "for", value_name = "CONDITION", conflicts_with = "no_promote")]
    only_for: Option<String>,
    /// With --for: turn the function's flag on again when it is off, such as after a guard turned it off
    #[arg(long, requires = "only_for")]
    enable: bool,
    /// What is new in it, for the list of versions
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not run the build commands first
    #[arg(long)]
    no_build: bool,
}

pub(super) async fn run(args: &DeployArgs, client: &Client) -> Outcome {
    let local = Local::find(&args.path, args.name.as_deref())?;
    let condition = args.only_for.as_deref().map(condition).transpose()?;
    if condition.is_some() {
        alias::check(client, &local.name, args.enable).await?;
    }
    if !args.no_build {
        build::build_if_needed(&local, client.printer).await?;
    }
    let promote = !args.no_promote && condition.is_none();
    let deployed = deploy(client, &local, (promote, args.note.as_deref())).await?;
    let number = deployed.pointer("/version/number").and_then(Value::as_u64).unwrap_or_default();
    let name = &local.name;
    let url = address(client, name);
    let message = match (&condition, &args.only_for) {
        (Some(condition), Some(text)) => {
            let function = client.call(Call::get(&at(name)).scoped()).await?;
            let key = match alias::put_behind(client, &function, (number, condition), args.enable).await {
                Ok(key) => key,
                Err(failure) => return Err(taken_back(client, (name, number), failure).await),
            };
            let others = alias::for_others(&function);
            format!(
                "deployed version {number} of function `{name}` for callers with {text} (flag `{key}`); everybody \
                 else gets {others} at {url}"
            )
        }
        _ if promote => format!("deployed version {number} of function `{name}`; it answers at {url}"),
        _ => {
            let function = client.call(Call::get(&at(name)).scoped()).await?;
            for_nobody(name, number, alias::ensure(client, &function).await?.as_deref())
        }
    };
    client.changed(&message, deployed.get("version").unwrap_or(&Value::Null), &VERSIONS)?;
    client.say_who_serves();
    if promote {
        let function = client.call(Call::get(&at(name)).scoped()).await?;
        alias::tell_of_others(client, &function).await;
    }
    Ok(())
}

/// Removes a version that did not come behind its flag, such as because no caller has what the condition asks about: nobody
/// asked for it alone. Returns why it did not, and what became of it.
async fn taken_back(client: &Client, (name, number): (&str, u64), failure: Failure) -> Failure {
    let version = number.to_string();
    let [api, v1, functions, name, versions] = under(name, "versions");
    let removed = client.call(Call::delete(&[api, v1, functions, name, versions, &version]).scoped()).await;
    failure.hint(match removed {
        Ok(_) => "nothing was deployed".to_owned(),
        Err(_) => format!(
            "version {number} was deployed, and nobody gets it: `flagbase fn promote {name} {number} --for …`"
        ),
    })
}

/// What can be done with a version that nobody gets.
fn for_nobody(name: &str, number: u64, flag: Option<&str>) -> String {
    let mine =
        flag.map(|key| format!(", or in your own session with `flagbase override set {key} v{number}`"));
    format!(
        "deployed version {number} of function `{name}`, which nobody gets yet; try it with `flagbase fn invoke {name} \
         --version {number}`{}; let it run with `flagbase fn promote {name} {number}`",
        mine.unwrap_or_default()
    )
}

/// Sends the settings of the manifest, then the code, and shows what the server does with it. Returns its last word:
/// `{"version": …, "function": …}`.
pub(super) async fn deploy(
    client: &Client,
    local: &Local,
    (promote, note): (bool, Option<&str>),
) -> Outcome<Value> {
    if let Some(settings) = &local.settings {
        // Before anything is changed: without code there is nothing to do.
        local.code()?;
        put_settings(client, &local.name, settings).await?;
    }
    upload(client, local, (promote, note)).await
}

/// Sends the code alone.
pub(super) async fn upload(
    client: &Client,
    local: &Local,
    (promote, note): (bool, Option<&str>),
) -> Outcome<Value> {
    let (file, bytes) = local.code()?;
    let call = Call::post(&under(&local.name, "versions"), Value::Null)
        .scoped()
        .query("file", file)
        .query("promote", promote)
        .query_some("note", note);
    let steps = progress::Steps::new("sending the code");
    let result = client.upload(&call, bytes, |line| {
        if let Some(step) = line.get("step").and_then(Value::as_str) {
            steps.at(step, line.get("percent").and_then(Value::as_u64));
        }
    });
    let last = result.await;
    steps.finish();
    last
}

/// Settings come before the code, because the code is checked against what they grant.
pub(super) async fn put_settings(client: &Client, name: &str, settings: &Value) -> Outcome {
    match client.call(Call::patch(&at(name), settings.clone()).scoped()).await {
        Err(failure) if failure.exit() == crate::exit::Exit::NotFound => {
            client.call(Call::put(&at(name), settings.clone()).scoped()).await?;
        }
        other => {
            other?;
        }
    }
    Ok(())
}

/// `role=developer`, or a condition in full: one that a flag can have, so that nothing is sent in vain.
pub(super) fn condition(text: &str) -> Outcome<Value> {
    let condition = written(text)?;
    Flag::from_json(&alias::new_flag("callers", &Value::Null, Some((1, &condition)))).map_err(|faults| {
        let why: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
        Failure::usage(format!("`{text}` is not a condition: {}", why.join("; ")))
    })?;
    Ok(condition)
}

fn written(text: &str) -> Outcome<Value> {
    match text.split_once('=') {
        Some((attribute, value)) if !attribute.trim().contains(char::is_whitespace) => {
            let value = value.trim();
            let refused = |hint: &str| Err(Failure::usage(format!("`{text}` is not a condition")).hint(hint));
            if attribute.trim().is_empty() || value.is_empty() || value.starts_with('=') {
                return refused("write it like `role=developer`");
            }
            if value.contains(" and ") {
                return refused(
                    "there can be one condition here; write a rule for several: `flagbase flag update --rule`",
                );
            }
            if value.contains(',') {
                return refused("several values are written like `role in developer,admin`");
            }
            Ok(json!({"attribute": attribute.trim(), "operator": "equals", "value": value}))
        }
        _ => document::condition(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_a_version_is_said_in_short_or_in_full() {
        let developers = json!({"attribute": "role", "operator": "equals", "value": "developer"});
        assert_eq!(condition("role=developer").unwrap(), developers);
        assert_eq!(condition("role equals developer").unwrap(), developers);
        assert_eq!(condition("email ends_with @example.com").unwrap()["operator"], "ends_with");
        assert!(condition("=x").is_err() && condition("developer").is_err());
        for (text, hint) in [
            ("role==developer", "write it like `role=developer`"),
            ("role=developer and email=a@example.com", "one condition"),
            ("role=developer,admin", "`role in developer,admin`"),
        ] {
            let refused = condition(text).unwrap_err().to_string();
            assert!(refused.contains(hint), "{refused}");
        }
        assert_eq!(condition("role in developer,admin").unwrap()["operator"], "in");
        let unknown = condition("email endswith @example.com").unwrap_err().to_string();
        assert!(unknown.contains("unknown operator `endswith`"), "{unknown}");
    }
}
