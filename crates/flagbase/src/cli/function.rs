//! `flagbase fn`: everything one does with functions.

mod alias;
mod build;
mod delete;
mod deploy;
mod dev;
mod invoke;
mod letters;
mod logs;
mod manifest;
mod new;
mod promote;
mod secret;
mod settings;
mod versions;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use crate::config::Environment;
use crate::exit::Outcome;
use crate::output::{Format, View};

/// Where functions live.
const FUNCTIONS: [&str; 3] = ["api", "v1", "functions"];

const LIST: View = View(&[
    ("name", "/name"),
    ("current", "/current"),
    ("flag", "/flag_key"),
    ("versions", "/versions_kept"),
    ("description", "/description"),
    ("updated", "/updated_at"),
]);

const ONE: View = View(&[
    ("name", "/name"),
    ("description", "/description"),
    ("environment", "/environment_key"),
    ("current", "/current"),
    ("flag", "/flag_key"),
    ("address", "/address"),
    ("who may call", "/require"),
    ("forwards tokens", "/forward_token"),
    ("warm", "/warm"),
    ("limits", "/limits"),
    ("grants", "/grants"),
    ("variables", "/environment"),
    ("triggers", "/triggers"),
    ("updated", "/updated_at"),
]);

const VERSIONS: View = View(&[
    ("version", "/number"),
    ("runs", "/runs"),
    ("shape", "/shape"),
    ("file", "/file"),
    ("size", "/size"),
    ("serves", "/serves"),
    ("by", "/created_by"),
    ("made", "/created_at"),
    ("note", "/note"),
]);

#[derive(Debug, Args)]
pub(crate) struct FunctionArgs {
    #[command(subcommand)]
    command: FunctionCommand,
}

#[derive(Debug, Subcommand)]
enum FunctionCommand {
    /// Write the beginnings of a function
    New(new::NewArgs),
    /// Run a function on this machine, again after every change of its files
    Dev(dev::DevArgs),
    /// Run the build commands of `function.yaml`
    Build(build::BuildArgs),
    /// Put code on the server as a new version, and let it run
    Deploy(deploy::DeployArgs),
    /// Call a function, also a version that nobody else gets
    Invoke(invoke::InvokeArgs),
    /// Show what a function wrote
    Logs(logs::LogsArgs),
    /// List functions
    List {
        /// Only functions whose name or description contains this
        #[arg(long)]
        search: Option<String>,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a function
    Get {
        /// The function
        name: String,
    },
    /// List the versions of a function
    Versions {
        /// The function
        name: String,
        #[command(subcommand)]
        command: Option<versions::VersionCommand>,
    },
    /// Let a version run for everybody whom no flag gives another one, or only for some
    Promote(promote::PromoteArgs),
    /// Let the version run that ran before, or the one named
    Rollback {
        /// The function
        name: String,
        /// The version
        #[arg(value_parser = version_number)]
        version: Option<u32>,
    },
    /// Change what a function may use, reach and be told
    Set(settings::SetArgs),
    /// Work with the secrets of a function
    Secret(secret::SecretArgs),
    /// Look at events that a function did not manage to take, and offer them again
    DeadLetters(letters::LettersArgs),
    /// Show how often each version was called and how it went
    Metrics {
        /// The function
        name: String,
    },
    /// Remove a function with all its versions, secrets and logs, and its flag
    Delete(delete::DeleteArgs),
}

/// A version as a number or as lists and variants show it: `3` or `v3`.
fn version_number(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix('v').unwrap_or(text);
    number
        .parse()
        .map_err(|_| "a version is a number, such as `3`; `flagbase fn versions` lists them".to_owned())
}

pub(crate) async fn run(args: FunctionArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let command = match args.command {
        FunctionCommand::New(args) => return new::run(&args, client),
        FunctionCommand::Build(args) => return build::run(&args, client).await,
        FunctionCommand::Dev(args) => return dev::run(&args, client, environment).await,
        other => other,
    };
    let client = Client::new(client, environment)?;
    match command {
        FunctionCommand::Deploy(args) => deploy::run(&args, &client).await,
        FunctionCommand::Invoke(args) => invoke::run(&args, &client).await,
        FunctionCommand::Logs(args) => logs::run(&args, &client).await,
        FunctionCommand::List { search, limit } => {
            let call = Call::get(&FUNCTIONS).scoped().query_some("search", search);
            let mut functions = client.list(call, limit).await?;
            if client.printer.format == Format::Table {
                functions.as_array_mut().into_iter().flatten().for_each(count_versions);
            }
            client.print(&functions, &LIST)
        }
        FunctionCommand::Get { name } => show(&client, &name).await,
        FunctionCommand::Versions { name, command } => versions::run(&client, &name, command).await,
        FunctionCommand::Promote(args) => promote::run(&args, &client).await,
        FunctionCommand::Rollback { name, version } => rollback(&client, &name, version).await,
        FunctionCommand::Set(args) => settings::run(&args, &client).await,
        FunctionCommand::Secret(args) => secret::run(args, &client).await,
        FunctionCommand::DeadLetters(args) => letters::run(args, &client).await,
        FunctionCommand::Metrics { name } => metrics(&client, &name).await,
        FunctionCommand::Delete(args) => delete::run(&args, &client).await,
        FunctionCommand::New(_) | FunctionCommand::Build(_) | FunctionCommand::Dev(_) => Ok(()),
    }
}

/// How many versions there are, for those who do not want to read all of them.
fn count_versions(function: &mut Value) {
    let count = function.get("versions").and_then(Value::as_array).map_or(0, Vec::len);
    super::document::set(function, "versions_kept", count);
}

/// The path of a function.
fn at(name: &str) -> [&str; 4] {
    let [api, version, functions] = FUNCTIONS;
    [api, version, functions, name]
}

/// The path of something about a function.
fn under<'a>(name: &'a str, part: &'a str) -> [&'a str; 5] {
    let [api, version, functions, name] = at(name);
    [api, version, functions, name, part]
}

/// Where people reach a function.
fn address(client: &Client, name: &str) -> String {
    format!("{}/functions/{name}/", client.server())
}

async fn show(client: &Client, name: &str) -> Outcome {
    let mut function = client.call(Call::get(&at(name)).scoped()).await?;
    super::document::set(&mut function, "address", address(client, name));
    client.print(&function, &ONE)
}

async fn rollback(client: &Client, name: &str, version: Option<u32>) -> Outcome {
    let before = client.call(Call::get(&at(name)).scoped()).await?;
    let body = version.map_or_else(|| json!({}), |version| json!({"version": version}));
    let function = match client.call(Call::post(&under(name, "rollback"), body).scoped()).await {
        Err(failure) if failure.is("nothing_before") => {
            alias::tell_of_others(client, &before).await;
            return Err(failure);
        }
        done => done?,
    };
    let current = |function: &Value| function.get("current").and_then(Value::as_u64).unwrap_or_default();
    let (now, then) = (current(&function), current(&before));
    let message = if now == then {
        format!("version {now} of function `{name}` runs already; nothing changed")
    } else {
        format!("version {now} of function `{name}` runs again, and version {then} does not any more")
    };
    client.changed(&message, &function, &ONE)?;
    alias::tell_of_others(client, &function).await;
    if let Some(hint) = after_rollback(&function).filter(|_| client.printer.format == Format::Table) {
        client.printer.hint(&hint);
    }
    Ok(())
}

/// What one more rollback would do; `None` when there is nothing to go back to.
fn after_rollback(function: &Value) -> Option<String> {
    let former = function.get("before")?.as_array()?.last()?.as_u64()?;
    Some(format!("one more rollback goes on to version {former}; `flagbase fn promote` lets any version run"))
}

async fn metrics(client: &Client, name: &str) -> Outcome {
    let measured = client.call(Call::get(&under(name, "metrics")).scoped()).await?;
    let view = View(&[
        ("version", "/version"),
        ("calls", "/calls"),
        ("failed", "/failed"),
        ("outcomes", "/outcomes"),
        ("p50 ms", "/latency_ms/p50"),
        ("p95 ms", "/latency_ms/p95"),
        ("p99 ms", "/latency_ms/p99"),
    ]);
    if measured.get("versions").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        client.printer.hint("nothing called it since the server started");
    }
    match measured.get("versions") {
        Some(versions) if client.printer.format == Format::Table => client.print(versions, &view),
        _ => client.print(&measured, &View::ALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_taken_as_lists_show_it() {
        assert_eq!((version_number("3"), version_number("v3")), (Ok(3), Ok(3)));
        for text in ["", "v", "vv3", "-1", "latest"] {
            assert!(version_number(text).unwrap_err().contains("a version is a number"), "{text}");
        }
    }

    #[test]
    fn what_one_more_rollback_would_do_is_said() {
        assert!(after_rollback(&json!({"before": [1, 4]})).unwrap().contains("version 4"));
        assert_eq!(after_rollback(&json!({"before": []})), None);
        assert_eq!(after_rollback(&json!({})), None);
    }
}
