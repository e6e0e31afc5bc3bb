//! `flagbase events`: what happens, as it happens.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Call, Client, ClientArgs};
use super::stream;
use crate::config::Environment;
use crate::exit::Outcome;

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Print events as they happen
    Tail {
        /// Only events of this type, such as `flagbase.flag.disabled` or `flagbase.flag.*`
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Also print what happened after this revision
        #[arg(long, value_name = "REVISION")]
        after: Option<u64>,
    },
}

pub(crate) async fn run(args: EventsArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    let EventsCommand::Tail { kind, after } = args.command;
    let call = Call::get(&["api", "v1", "events"]).query_some("type", kind).query_some("after", after);
    client.printer.done("following events; end with Ctrl-C");
    stream::follow(&client, call, async |event| print(&client, &event.data)).await
}

/// Prints one event: whole, or as time, type and subject.
pub(crate) fn print(client: &Client, event: &Value) -> Outcome {
    let member = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("-");
    let who = event.pointer("/data/actor/name").and_then(Value::as_str).unwrap_or_default();
    let summary = format!("{}  {}  {}  {who}", member("time"), member("type"), member("subject"));
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
