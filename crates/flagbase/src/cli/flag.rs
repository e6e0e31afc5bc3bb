//! `flagbase flag`: everything one does with flags.

mod advice;
mod definition;
mod evaluate;
mod history;
mod rules;
mod watch;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask;
use super::client::{Call, Client, ClientArgs};
use crate::config::Environment;
use crate::exit::Outcome;
use crate::output::{Format, View};
use definition::DefinitionArgs;

/// Where flags live.
const FLAGS: [&str; 3] = ["api", "v1", "flags"];

const LIST: View = View(&[
    ("key", "/key"),
    ("enabled", "/enabled"),
    ("type", "/type"),
    ("default", "/default_value"),
    ("name", "/name"),
    ("updated", "/updated_at"),
]);

const ONE: View = View(&[
    ("key", "/key"),
    ("name", "/name"),
    ("description", "/description"),
    ("environment", "/environment"),
    ("enabled", "/enabled"),
    ("type", "/type"),
    ("variants", "/variants"),
    ("default value", "/default_value"),
    ("default variant", "/default_variant"),
    ("off variant", "/off_variant"),
    ("rules", "/rules"),
    ("rollout", "/rollout"),
    ("targets", "/targets"),
    ("prerequisites", "/prerequisites"),
    ("tags", "/tags"),
    ("revision", "/revision"),
    ("updated", "/updated_at"),
]);

#[derive(Debug, Args)]
pub(crate) struct FlagArgs {
    #[command(subcommand)]
    command: FlagCommand,
}

#[derive(Debug, Subcommand)]
enum FlagCommand {
    /// List flags
    List {
        /// Only flags whose key or name contains this
        #[arg(long)]
        search: Option<String>,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a flag
    Get {
        /// The flag
        key: String,
    },
    /// Make a flag
    Create {
        /// The flag
        key: String,
        #[command(flatten)]
        definition: DefinitionArgs,
    },
    /// Change a flag: what is given replaces what was, the rest stays
    Update {
        /// The flag
        key: String,
        #[command(flatten)]
        definition: DefinitionArgs,
        /// Take a variant away; repeat for each
        #[arg(long = "remove-variant", value_name = "NAME", conflicts_with = "file")]
        removed: Vec<String>,
    },
    /// Turn a flag on
    Enable {
        /// The flag
        key: String,
    },
    /// Turn a flag off for everyone
    Disable {
        /// The flag
        key: String,
    },
    /// Remove a flag
    Delete {
        /// The flag
        key: String,
    },
    /// Show what a flag is for you, or for anybody
    Eval(evaluate::EvalArgs),
    /// Follow what a flag is for you, or what happens to all flags
    Watch {
        /// The flag; all flags when left out
        key: Option<String>,
    },
    /// Show who changed a flag, when and why
    History {
        /// The flag
        key: String,
        /// At most so many changes
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Bring back what a flag was after a revision, also when it was deleted since
    Revert {
        /// The flag
        key: String,
        /// The revision, as `flag history` shows it
        revision: u64,
    },
    /// Show what was measured per variant
    Metrics {
        /// The flag
        key: String,
    },
}

pub(crate) async fn run(args: FlagArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        FlagCommand::List { search, limit } => {
            let call = Call::get(&FLAGS).scoped().query_some("search", search);
            client.print(&client.list(call, limit).await?, &LIST)
        }
        FlagCommand::Get { key } => show(&client, &key).await,
        FlagCommand::Create { key, definition } => create(&client, &key, &definition).await,
        FlagCommand::Update { key, definition, removed } => {
            update(&client, &key, (&definition, &removed)).await
        }
        FlagCommand::Enable { key } => switch(&client, &key, "enable").await,
        FlagCommand::Disable { key } => switch(&client, &key, "disable").await,
        FlagCommand::Delete { key } => delete(&client, &key).await,
        FlagCommand::Eval(args) => evaluate::run(&client, &args).await,
        FlagCommand::Watch { key } => watch::run(&client, key.as_deref()).await,
        FlagCommand::History { key, limit } => history::show(&client, &key, limit).await,
        FlagCommand::Revert { key, revision } => history::revert(&client, &key, revision).await,
        FlagCommand::Metrics { key } => metrics(&client, &key).await,
    }
}

/// The path of a flag.
fn at(key: &str) -> [&str; 4] {
    let [api, version, flags] = FLAGS;
    [api, version, flags, key]
}

/// The path of something about a flag.
fn under<'a>(key: &'a str, name: &'a str) -> [&'a str; 5] {
    let [api, version, flags] = FLAGS;
    [api, version, flags, key, name]
}

async fn show(client: &Client, key: &str) -> Outcome {
    let flag = client.call(Call::get(&at(key)).scoped()).await?;
    let flag = if client.printer.format == Format::Table { rules::readable(flag) } else { flag };
    client.print(&flag, &ONE)
}

async fn create(client: &Client, key: &str, definition: &DefinitionArgs) -> Outcome {
    let flag = definition.new_flag(key)?;
    let created = client.call(Call::post(&FLAGS, flag).scoped()).await?;
    let on = if is_on(&created) { "on" } else { "off" };
    client.changed(&format!("created flag `{key}`, which is {on}"), &created, &ONE)?;
    advice::give(client, &created);
    Ok(())
}

/// Reads before it writes, so that a change by somebody else in between is a conflict and not lost.
async fn update(client: &Client, key: &str, (definition, removed): (&DefinitionArgs, &[String])) -> Outcome {
    let whole = definition.replacement(key)?;
    if whole.is_none() {
        // What can be wrong without knowing the flag is said without asking for it.
        definition.patch(&Value::Null, removed)?;
    }
    let current = client.send(Call::get(&at(key)).scoped()).await?;
    let (call, said) = match whole {
        Some(flag) => (Call::put(&at(key), flag), String::new()),
        None => (
            Call::patch(&at(key), definition.patch(&current.body, removed)?),
            definition.said_of_variants(&current.body, removed),
        ),
    };
    let updated = client.call(call.scoped().if_match(current.etag)).await?;
    let said = if said.is_empty() { said } else { format!(": {said}") };
    client.changed(&format!("updated flag `{key}`{said}"), &updated, &ONE)?;
    if definition.rolls_out() {
        advice::give_of_rollout(client, &updated);
    }
    Ok(())
}

async fn switch(client: &Client, key: &str, verb: &'static str) -> Outcome {
    let before = client.call(Call::get(&at(key)).scoped()).await?;
    let flag = client.call(Call::post(&under(key, verb), json!({})).scoped()).await?;
    let message = if before.get("revision") == flag.get("revision") {
        let on = if is_on(&flag) { "on" } else { "off" };
        format!("flag `{key}` is {on} already; nothing changed")
    } else {
        format!("{verb}d flag `{key}`")
    };
    client.changed(&message, &flag, &ONE)?;
    advice::give(client, &flag);
    Ok(())
}

fn is_on(flag: &Value) -> bool {
    flag.get("enabled") == Some(&Value::Bool(true))
}

async fn delete(client: &Client, key: &str) -> Outcome {
    let current = client.send(Call::get(&at(key)).scoped()).await?;
    ask::confirm(&format!("Delete flag `{key}`?"), client.yes)?;
    client.call(Call::delete(&at(key)).scoped().if_match(current.etag)).await?;
    client.printer.done(&format!("deleted flag `{key}`; `flagbase flag revert` can bring it back"));
    Ok(())
}

async fn metrics(client: &Client, key: &str) -> Outcome {
    let measured = client.call(Call::get(&under(key, "metrics")).scoped()).await?;
    let view = View(&[
        ("variant", "/variant"),
        ("exposures", "/exposures"),
        ("requests", "/requests"),
        ("errors", "/errors_5xx"),
        ("error rate", "/error_rate"),
        ("latency ms", "/latency_ms/mean"),
        ("events", "/events"),
    ]);
    match (client.printer.format, measured.get("variants")) {
        (Format::Table, Some(variants)) => client.print(&with_counts(variants), &view),
        _ => client.print(&measured, &View::ALL),
    }
}

/// Of each type of event only how many there were: there is no room for more in a column.
fn with_counts(variants: &Value) -> Value {
    let mut variants = variants.clone();
    for variant in variants.as_array_mut().into_iter().flatten() {
        if let Some(events) = variant.get_mut("events").and_then(Value::as_object_mut) {
            for event in events.values_mut() {
                *event = event.get("count").cloned().unwrap_or_default();
            }
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_events_only_the_counts_are_shown_in_a_table() {
        let variants = json!([{"variant": "a", "events": {"error": {"count": 3, "sum": 1.5}}}]);
        assert_eq!(with_counts(&variants), json!([{"variant": "a", "events": {"error": 3}}]));
    }
}
