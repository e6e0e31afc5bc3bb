//! `flagbase fn logs`.

use clap::Args;
use serde_json::Value;

use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::stream;
use crate::exit::Outcome;
use crate::output::Format;

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The function
    name: String,
    /// Go on showing lines as they come
    #[arg(short, long)]
    follow: bool,
    /// Only lines of this version
    #[arg(long, value_name = "NUMBER", value_parser = super::version_number)]
    version: Option<u32>,
    /// At most so many of the lines that are there
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub(super) async fn run(args: &LogsArgs, client: &Client) -> Outcome {
    let call = Call::get(&under(&args.name, "logs"))
        .scoped()
        .query_some("version", args.version)
        .query("limit", args.limit);
    if args.follow {
        return follow(client, call.query("follow", true)).await;
    }
    let lines = client.call(call).await?;
    let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
    if lines.is_empty() && client.printer.format == Format::Table {
        client
            .printer
            .done("no lines; what a function wrote before the server started is in the server's own log");
    }
    lines.iter().try_for_each(|line| print(client, line))
}

/// Shows lines until the person ends the command.
pub(super) async fn follow(client: &Client, call: Call) -> Outcome {
    stream::follow(client, call, async |event| print(client, &event.data)).await
}

/// One line for people: when, which version, how loud, what.
fn print(client: &Client, line: &Value) -> Outcome {
    client.printer.print_item(line, &summary(line))
}

fn summary(line: &Value) -> String {
    let member = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = member("time").get(11..19).unwrap_or_default();
    let version = line.get("version").and_then(Value::as_u64).unwrap_or_default();
    let mut shown = format!("{time}  v{version}  {:5}  {}", member("level"), member("message"));
    for (name, value) in line.get("fields").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        shown.push_str("  ");
        shown.push_str(name);
        shown.push('=');
        shown.push_str(&value);
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_line_says_when_which_version_how_loud_and_what() {
        let line = json!({
            "time": "2026-01-31T12:00:01.5Z", "version": 2, "level": "info", "message": "hello", "fields": {"n": 1}
        });
        assert_eq!(super::summary(&line), "12:00:01  v2  info   hello  n=1");
    }
}
