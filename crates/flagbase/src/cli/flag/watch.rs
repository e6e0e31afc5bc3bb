//! `flagbase flag watch`.

use serde_json::Value;

use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::{events, stream};
use crate::exit::{Exit, Outcome};

/// Prints what `key` is for the caller now and after every change; or, without a key, what happens to all flags.
pub(super) async fn run(client: &Client, key: Option<&str>) -> Outcome {
    if let Some(key) = key {
        show(client, key).await?;
    }
    let call = Call::get(&["api", "v1", "events"]).query("type", "flagbase.flag.*");
    stream::follow(client, call, async |event| match key {
        Some(key) if !events::is_about(&event.data, key) => Ok(()),
        Some(key) => show(client, key).await,
        None => events::print(client, &event.data),
    })
    .await
}

async fn show(client: &Client, key: &str) -> Outcome {
    let answer = match client.call(Call::get(&under(key, "evaluate")).scoped()).await {
        Err(failure) if failure.exit() == Exit::NotFound => {
            client.printer.done(&format!("flag `{key}` does not exist (yet)"));
            return Ok(());
        }
        other => other?,
    };
    let member = |name: &str| answer.get(name).map_or_else(|| "-".to_owned(), plain);
    let summary = format!("{key}  {}  {}  {}", member("value"), member("variant"), member("reason"));
    client.printer.print_item(&answer, &summary)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
