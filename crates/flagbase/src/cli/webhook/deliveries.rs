//! What was sent: looking at it, and sending it again.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Failure, Outcome};
use crate::output::View;
use crate::progress;

/// How often, and how many times, a test's delivery is looked at: longer than an endpoint may take by default.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 100;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The webhook
    key: String,
    /// Only this one, with what is sent
    id: Option<u64>,
    /// Only in this state: pending, delivered, failed or cancelled
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only made at this time or later, such as `2026-01-01T00:00:00Z`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only made before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The webhook
    key: String,
    /// The delivery, as `webhook deliveries` shows it; a range when left out
    id: Option<u64>,
    /// Only in this state; repeat for each [default: failed and cancelled]
    #[arg(long = "state", value_name = "STATE", conflicts_with = "id")]
    states: Vec<String>,
    /// Only made at this time or later, such as `2026-01-01T00:00:00Z`
    #[arg(long, value_name = "TIME", conflicts_with = "id")]
    since: Option<String>,
    /// Only made before this time
    #[arg(long, value_name = "TIME", conflicts_with = "id")]
    until: Option<String>,
    /// Also what happened after this revision and was never to be sent, such as while it was disabled
    #[arg(long, value_name = "REVISION", conflicts_with = "id")]
    missed_after: Option<u64>,
}

const VIEW: View = View(&[
    ("id", "/id"),
    ("created", "/created_at"),
    ("type", "/type"),
    ("state", "/state"),
    ("tries", "/tries"),
    ("status", "/status"),
    ("error", "/error"),
    ("next", "/due_at"),
]);

pub(super) async fn list(client: &Client, args: ListArgs) -> Outcome {
    if let Some(id) = args.id {
        let found =
            client.call(Call::get(&under(&args.key, &["deliveries", &id.to_string()])).scoped()).await?;
        return client.print(&found, &View::ALL);
    }
    let call = Call::get(&under(&args.key, &["deliveries"]))
        .scoped()
        .query_some("state", args.state)
        .query_some("since", args.since)
        .query_some("until", args.until);
    client.print(&client.list(call, Some(args.limit)).await?, &VIEW)
}

pub(super) async fn replay(client: &Client, args: ReplayArgs) -> Outcome {
    if let Some(id) = args.id {
        let path = under(&args.key, &["deliveries"]);
        let (id, mut path) = (id.to_string(), path);
        path.extend([id.as_str(), "replay"]);
        let replayed = client.call(Call::post(&path, json!({})).scoped()).await?;
        return client.changed(&format!("delivery {id} is sent again"), &replayed, &VIEW);
    }
    let mut range = json!({ "states": args.states });
    document::set_some(&mut range, "since", args.since);
    document::set_some(&mut range, "until", args.until);
    document::set_some(&mut range, "missed_after", args.missed_after);
    let call = Call::post(&under(&args.key, &["deliveries", "replay"]), range).scoped();
    let replayed = client.call(call).await?;
    let count = replayed.get("replayed").and_then(Value::as_u64).unwrap_or_default();
    client.changed(&format!("{count} deliveries are sent again"), &replayed, &View::ALL)
}

pub(super) async fn test(client: &Client, key: &str) -> Outcome {
    let made = client.call(Call::post(&under(key, &["test"]), json!({})).scoped()).await?;
    let id = made.get("id").and_then(Value::as_u64).unwrap_or_default().to_string();
    let found = progress::during("waiting for the endpoint", attempted(client, key, &id)).await?;
    let state = found.get("state").and_then(Value::as_str).unwrap_or_default();
    if state == "delivered" {
        return client.changed(&format!("webhook `{key}` took the test event"), &found, &VIEW);
    }
    let error = found.get("error").and_then(Value::as_str).unwrap_or("it was not sent in time");
    Err(Failure::plain(format!("webhook `{key}` did not take the test event: {error}"))
        .hint(format!("`flagbase webhook deliveries {key} {id}` shows what it answered")))
}

/// The delivery once it was attempted, or as it is when that takes too long.
async fn attempted(client: &Client, key: &str, id: &str) -> Outcome<Value> {
    let mut found = Value::Null;
    for _ in 0..LOOKS {
        found = client.call(Call::get(&under(key, &["deliveries", id])).scoped()).await?;
        if found.get("state").and_then(Value::as_str) != Some("pending") {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(found)
}
