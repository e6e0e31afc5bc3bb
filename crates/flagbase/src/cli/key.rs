//! `flagbase key`: API keys of service accounts.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::Outcome;
use crate::output::{self, Format, View};

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key; its token is printed once and cannot be seen again
    Create {
        /// What people call it
        name: String,
        /// What it permits in its environment; repeat for each
        #[arg(long = "permit", value_name = "PERMISSION", value_delimiter = ',', required = true)]
        permissions: Vec<String>,
        /// How long it is valid, such as `720h`; for ever when left out
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
    },
    /// List keys
    List,
    /// Withdraw a key at once
    Revoke {
        /// The key's id, or the S3 access key it is, as `key list` shows them
        id: String,
    },
}

const VIEW: View = View(&[
    ("id", "/id"),
    ("name", "/name"),
    ("environment", "/environment"),
    ("permissions", "/permissions"),
    ("buckets", "/places"),
    ("S3 access key", "/access_key_id"),
    ("expires", "/expires_at"),
]);

const KEYS: [&str; 3] = ["api", "v1", "keys"];

pub(crate) async fn run(args: KeyArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let in_environment = client.environment.as_deref().unwrap_or("default");
    let client = Client::new(client, environment)?;
    match args.command {
        KeyCommand::Create { name, permissions, expires_in } => {
            let mut body = json!({"name": name, "environment": in_environment, "permissions": permissions});
            document::set_some(&mut body, "expires_in", expires_in);
            let created = client.call(Call::post(&KEYS, body)).await?;
            client.printer.done(&format!("created key `{name}`; this is the only time its token is shown"));
            match (client.printer.format, created.get("token").and_then(Value::as_str)) {
                (Format::Table, Some(token)) => output::line(token),
                _ => client.print(&created, &VIEW),
            }
        }
        KeyCommand::List => {
            let mut keys = client.list(Call::get(&KEYS), None).await?;
            if client.printer.format == Format::Table {
                keys.as_array_mut().into_iter().flatten().for_each(name_places);
            }
            client.print(&keys, &VIEW)
        }
        KeyCommand::Revoke { id } => {
            let id = found(&client.list(Call::get(&KEYS), None).await?, &id);
            ask::confirm(&format!("Revoke key `{id}`? Whoever uses it is locked out at once."), client.yes)?;
            let [api, version, keys] = KEYS;
            client.call(Call::delete(&[api, version, keys, &id])).await?;
            client.printer.done(&format!("revoked key `{id}`"));
            Ok(())
        }
    }
}

/// Adds where a key's permissions about buckets hold, as `bucket/prefix`.
fn name_places(key: &mut Value) {
    let named = |place: &Value| {
        let part = |name| place.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{}", part("bucket"), part("prefix"))
    };
    let places = key.get("buckets").and_then(Value::as_array);
    let places: Option<Vec<String>> = places.map(|places| places.iter().map(named).collect());
    document::set_some(key, "places", places);
}

/// The id of the key that is the S3 access key `id`; `id` itself when there is none.
fn found(keys: &Value, id: &str) -> String {
    let mut keys = keys.as_array().into_iter().flatten();
    let key = keys.find(|key| key.get("access_key_id").is_some_and(|access| access == id));
    key.and_then(|key| key.get("id")?.as_str()).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_either_id_and_say_where_they_hold() {
        let mut keys = json!([{"id": "1"}, {"id": "2", "access_key_id": "FB2", "buckets": [{"bucket": "b", "prefix": "p/"}]}]);
        assert_eq!((found(&keys, "FB2").as_str(), found(&keys, "1").as_str()), ("2", "1"));
        keys.as_array_mut().unwrap().iter_mut().for_each(name_places);
        assert_eq!((&keys[0], &keys[1]["places"]), (&json!({"id": "1"}), &json!(["b/p/"])));
    }
}
