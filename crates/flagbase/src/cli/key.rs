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
        /// The key's id, as `key list` shows it
        id: String,
    },
}

const VIEW: View = View(&[
    ("id", "/id"),
    ("name", "/name"),
    ("environment", "/environment"),
    ("permissions", "/permissions"),
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
        KeyCommand::List => client.print(&client.list(Call::get(&KEYS), None).await?, &VIEW),
        KeyCommand::Revoke { id } => {
            ask::confirm(&format!("Revoke key `{id}`? Whoever uses it is locked out at once."), client.yes)?;
            let [api, version, keys] = KEYS;
            client.call(Call::delete(&[api, version, keys, &id])).await?;
            client.printer.done(&format!("revoked key `{id}`"));
            Ok(())
        }
    }
}
