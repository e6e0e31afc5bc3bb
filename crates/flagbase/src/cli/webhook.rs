//! `flagbase webhook`: endpoints that are told of events.

mod deliveries;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::{self, Format, View};

#[derive(Debug, Args)]
#[command(
    after_help = "With `-e '*'` it works on webhooks that belong to no environment and are told of all."
)]
pub(crate) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// List webhooks
    List,
    /// Show a webhook and how it fares
    Get {
        /// The webhook
        key: String,
    },
    /// Make a webhook; its secret is printed once and cannot be seen again
    Create {
        /// The webhook; chosen when left out
        key: Option<String>,
        /// Where messages are sent
        #[arg(long, value_name = "URL", required_unless_present = "file")]
        url: Option<String>,
        #[command(flatten)]
        definition: DefinitionArgs,
    },
    /// Change a webhook; what is not given stays
    Update {
        /// The webhook
        key: String,
        /// Where messages are sent
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        #[command(flatten)]
        definition: DefinitionArgs,
        /// Send messages again
        #[arg(long, conflicts_with = "disabled")]
        enabled: bool,
    },
    /// Remove a webhook and what was sent to it
    Delete {
        /// The webhook
        key: String,
    },
    /// Give a webhook a new secret, printed once; the old one goes on signing for a while
    Rotate {
        /// The webhook
        key: String,
        /// How long the old secret goes on signing, such as `24h`; `0s` ends it at once
        #[arg(long, value_name = "DURATION")]
        overlap: Option<String>,
    },
    /// Show what was and is to be sent
    Deliveries(deliveries::ListArgs),
    /// Send deliveries again: one, or those that failed within a time
    Replay(deliveries::ReplayArgs),
    /// Send an event that means nothing, and show what became of it
    Test {
        /// The webhook
        key: String,
    },
}

#[derive(Debug, Args)]
struct DefinitionArgs {
    /// A pattern of event types or scoped subjects, such as `flagbase.flag.*`; repeat for each
    #[arg(long = "event", value_name = "PATTERN")]
    events: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Send nothing
    #[arg(long)]
    disabled: bool,
    /// Read the whole webhook from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["url", "events", "description", "disabled"])]
    file: Option<PathBuf>,
}

const VIEW: View = View(&[
    ("key", "/key"),
    ("url", "/url"),
    ("events", "/events"),
    ("enabled", "/enabled"),
    ("disabled because", "/disabled_because"),
    ("description", "/description"),
]);

const ONE: View = View(&[
    ("key", "/key"),
    ("environment", "/environment"),
    ("url", "/url"),
    ("events", "/events"),
    ("description", "/description"),
    ("enabled", "/enabled"),
    ("disabled because", "/disabled_because"),
    ("failing since", "/failing_since"),
    ("failures", "/failures"),
    ("pending", "/pending"),
    ("secret made", "/secret_made_at"),
    ("updated", "/updated_at"),
]);

const WEBHOOKS: [&str; 3] = ["api", "v1", "webhooks"];

pub(crate) async fn run(args: WebhookArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        WebhookCommand::List => client.print(&client.list(Call::get(&WEBHOOKS).scoped(), None).await?, &VIEW),
        WebhookCommand::Get { key } => client.print(&client.call(Call::get(&at(&key)).scoped()).await?, &ONE),
        WebhookCommand::Create { key, url, definition } => create(&client, (key, url), &definition).await,
        WebhookCommand::Update { key, url, definition, enabled } => {
            update(&client, &key, (url, enabled), &definition).await
        }
        WebhookCommand::Delete { key } => {
            let current = client.send(Call::get(&at(&key)).scoped()).await?;
            ask::confirm(&format!("Delete webhook `{key}` and all that was sent to it?"), client.yes)?;
            client.call(Call::delete(&at(&key)).scoped().if_match(current.etag)).await?;
            client.printer.done(&format!("deleted webhook `{key}`"));
            Ok(())
        }
        WebhookCommand::Rotate { key, overlap } => {
            let call = Call::post(&under(&key, &["secret", "rotate"]), json!({})).scoped();
            let rotated = client.call(call.query_some("overlap", overlap)).await?;
            told(&client, &format!("gave webhook `{key}` a new secret"), &rotated)
        }
        WebhookCommand::Deliveries(args) => deliveries::list(&client, args).await,
        WebhookCommand::Replay(args) => deliveries::replay(&client, args).await,
        WebhookCommand::Test { key } => deliveries::test(&client, &key).await,
    }
}

fn at(key: &str) -> [&str; 4] {
    let [api, version, webhooks] = WEBHOOKS;
    [api, version, webhooks, key]
}

/// The path of something about a webhook.
fn under<'a>(key: &'a str, names: &[&'a str]) -> Vec<&'a str> {
    at(key).into_iter().chain(names.iter().copied()).collect()
}

async fn create(
    client: &Client,
    (key, url): (Option<String>, Option<String>),
    definition: &DefinitionArgs,
) -> Outcome {
    let mut webhook = definition.members()?;
    document::set_some(&mut webhook, "key", key);
    document::set_some(&mut webhook, "url", url);
    let created = client.call(Call::post(&WEBHOOKS, webhook).scoped()).await?;
    let key = created.get("key").and_then(Value::as_str).unwrap_or_default();
    told(client, &format!("created webhook `{key}`"), &created)
}

/// Reads before it writes, so that a change by somebody else in between is a conflict and not lost.
async fn update(
    client: &Client,
    key: &str,
    (url, enabled): (Option<String>, bool),
    definition: &DefinitionArgs,
) -> Outcome {
    let mut webhook = definition.members()?;
    document::set_some(&mut webhook, "url", url);
    document::set_some(&mut webhook, "enabled", enabled.then_some(true));
    if webhook.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(Failure::usage("nothing to change").hint("give --url, --event, --enabled, … or --file"));
    }
    let call = match definition.file {
        Some(_) => Call::put(&at(key), webhook),
        None => Call::patch(&at(key), webhook),
    };
    let current = client.send(Call::get(&at(key)).scoped()).await?;
    let updated = client.call(call.scoped().if_match(current.etag)).await?;
    client.changed(&format!("updated webhook `{key}`"), &updated, &ONE)
}

/// Says what was done, and prints the secret: alone in a table, so that it can be piped on.
fn told(client: &Client, message: &str, answer: &Value) -> Outcome {
    client.printer.done(&format!("{message}; this is the only time its secret is shown"));
    match (client.printer.format, answer.get("secret").and_then(Value::as_str)) {
        (Format::Table, Some(secret)) => output::line(secret),
        _ => client.print(answer, &ONE),
    }
}

impl DefinitionArgs {
    /// The members that were given.
    fn members(&self) -> Outcome<Value> {
        if let Some(file) = &self.file {
            return document::read(file);
        }
        let mut members = json!({});
        document::set_some(&mut members, "events", (!self.events.is_empty()).then(|| self.events.clone()));
        document::set_some(&mut members, "description", self.description.clone());
        document::set_some(&mut members, "enabled", self.disabled.then_some(false));
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_sent() {
        let nothing = DefinitionArgs { events: Vec::new(), description: None, disabled: false, file: None };
        assert_eq!(nothing.members().unwrap(), json!({}));
        let some = DefinitionArgs { events: vec!["flagbase.flag.*".into()], disabled: true, ..nothing };
        assert_eq!(some.members().unwrap(), json!({"events": ["flagbase.flag.*"], "enabled": false}));
    }
}
