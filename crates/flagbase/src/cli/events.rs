//! `flagbase events`: what happens, as it happens.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::stream;
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::View;

/// What is shown of a sink.
const SINKS: View = View(&[
    ("sink", "/name"),
    ("revision", "/revision"),
    ("head", "/head"),
    ("behind", "/behind"),
    ("seconds", "/behind_seconds"),
    ("passed over", "/passed_over"),
    ("error", "/error"),
]);

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Print events as they happen
    Tail {
        #[command(flatten)]
        which: Which,
        /// Also print what happened after this revision
        #[arg(long, value_name = "REVISION")]
        after: Option<u64>,
    },
    /// Print events that have happened, and end
    Replay {
        #[command(flatten)]
        which: Which,
        /// Begin after this revision; 0 is before the first one
        #[arg(long, value_name = "REVISION")]
        after: u64,
        /// End after this revision [default: the last one there is]
        #[arg(long, value_name = "REVISION")]
        until: Option<u64>,
    },
    /// Send a message to whoever is subscribed on the embedded bus now
    Pub {
        /// Where to, such as `orders.created`; not below `flagbase`
        subject: String,
        /// The message; `-` reads it from standard input
        #[arg(default_value = "")]
        payload: String,
    },
    /// Show how far each sink is behind: the embedded bus, NATS, Kafka, webhooks
    Lag,
}

/// Which events are meant.
#[derive(Debug, Args)]
struct Which {
    /// Only events on these subjects, such as `flagbase.>` or `flagbase.flag.disabled` [default: all]
    #[arg(value_name = "SUBJECT")]
    subject: Option<String>,
    /// The same, as an option
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "subject")]
    kind: Option<String>,
}

impl Which {
    fn call(self, client: &Client) -> Call {
        let subject = self.subject.or(self.kind);
        Call::get(&["api", "v1", "events"])
            .query_some("type", subject)
            .query_some("environment", client.environment())
    }
}

pub(crate) async fn run(args: EventsArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        EventsCommand::Tail { which, after } => {
            client.printer.done("following events; end with Ctrl-C");
            follow(&client, which.call(&client).query_some("after", after)).await
        }
        EventsCommand::Replay { which, after, until } => {
            if let Some(until) = until.filter(|until| *until < after) {
                return Err(Failure::usage(format!("--until {until} is before --after {after}"))
                    .hint("a replay goes forward: --after is where it begins, --until where it ends"));
            }
            let until = until.map_or_else(|| "head".to_owned(), |until| until.to_string());
            follow(&client, which.call(&client).query("after", after).query("until", until)).await
        }
        EventsCommand::Pub { subject, payload } => send(&client, &subject, payload).await,
        EventsCommand::Lag => lag(&client).await,
    }
}

async fn follow(client: &Client, call: Call) -> Outcome {
    stream::follow(client, call, async |event| print(client, &event.data)).await
}

async fn send(client: &Client, subject: &str, payload: String) -> Outcome {
    let payload = if payload == "-" { from_stdin()? } else { payload };
    let body = json!({ "subject": subject, "payload": payload });
    client.call(Call::post(&["api", "v1", "events"], body)).await?;
    client.printer.done(&format!("sent to {subject}"));
    Ok(())
}

fn from_stdin() -> Outcome<String> {
    std::io::read_to_string(std::io::stdin())
        .map_err(|error| Failure::plain(format!("cannot read the message: {error}")).hint("it must be UTF-8"))
}

async fn lag(client: &Client) -> Outcome {
    let sinks = client.call(Call::get(&["api", "v1", "events", "sinks"])).await?;
    client.print(&sinks, &SINKS)
}

/// Prints one event: whole, or as revision, time, type and subject.
pub(crate) fn print(client: &Client, event: &Value) -> Outcome {
    let member = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("-");
    let who = event.pointer("/data/actor/name").and_then(Value::as_str).unwrap_or_default();
    let revision = event.get("flagbaseseq").and_then(Value::as_u64).unwrap_or_default();
    let summary =
        format!("{revision:>6}  {}  {}  {}  {who}", member("time"), member("type"), member("subject"));
    client.printer.print_item(event, summary.trim_end())
}

/// Whether an event is about the flag `key`.
pub(crate) fn is_about(event: &Value, key: &str) -> bool {
    let subject = event.get("subject").and_then(Value::as_str);
    let named = ["/data/key", "/data/flag", "/data/flag_key"];
    subject.is_some_and(|subject| subject.rsplit('/').next() == Some(key))
        || named.iter().any(|at| event.pointer(at).and_then(Value::as_str) == Some(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_about_the_flag_it_names() {
        assert!(is_about(&json!({"subject": "default/checkout"}), "checkout"));
        assert!(is_about(&json!({"data": {"key": "checkout"}}), "checkout"));
        assert!(!is_about(&json!({"subject": "default/checkout-2"}), "checkout"));
    }
}
