//! `flagbase guard`: rules that take a flag back.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    #[command(subcommand)]
    command: GuardCommand,
}

#[derive(Debug, Subcommand)]
enum GuardCommand {
    /// List guards
    List,
    /// Show a guard
    Get {
        /// The guard
        key: String,
    },
    /// Make or replace a guard
    Put(PutArgs),
    /// Remove a guard
    Delete {
        /// The guard
        key: String,
    },
}

#[derive(Debug, Args)]
struct PutArgs {
    /// The guard
    key: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// A flag it watches; repeat for each, or leave out for all
    #[arg(long = "flag", value_name = "KEY")]
    flags: Vec<String>,
    /// The type of event it counts
    #[arg(long, default_value = "error")]
    event_type: String,
    /// It acts on more events than this
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    more_than: u64,
    /// Within this time, such as `5m`
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    window: String,
    /// Keep it without letting it act
    #[arg(long)]
    disabled: bool,
    /// Read the whole guard from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["name", "flags", "disabled"])]
    file: Option<PathBuf>,
}

const VIEW: View = View(&[
    ("key", "/key"),
    ("name", "/name"),
    ("enabled", "/enabled"),
    ("flags", "/flags"),
    ("rule", "/rule"),
]);

const GUARDS: [&str; 3] = ["api", "v1", "guards"];

pub(crate) async fn run(args: GuardArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        GuardCommand::List => client.print(&client.list(Call::get(&GUARDS).scoped(), None).await?, &VIEW),
        GuardCommand::Get { key } => client.print(&client.call(Call::get(&at(&key)).scoped()).await?, &VIEW),
        GuardCommand::Put(args) => {
            let saved = client.call(Call::put(&at(&args.key), args.guard()?).scoped()).await?;
            client.changed(&format!("saved guard `{}`", args.key), &saved, &VIEW)
        }
        GuardCommand::Delete { key } => {
            ask::confirm(&format!("Delete guard `{key}`?"), client.yes)?;
            client.call(Call::delete(&at(&key)).scoped()).await?;
            client.printer.done(&format!("deleted guard `{key}`"));
            Ok(())
        }
    }
}

fn at(key: &str) -> [&str; 4] {
    let [api, version, guards] = GUARDS;
    [api, version, guards, key]
}

impl PutArgs {
    fn guard(&self) -> Outcome<Value> {
        if let Some(file) = &self.file {
            let mut guard = document::read(file)?;
            document::set(&mut guard, "key", self.key.clone());
            return Ok(guard);
        }
        let window = crate::config::parse_duration(&self.window).ok_or_else(|| {
            Failure::usage(format!("`{}` is not a duration", self.window)).hint("write it like `5m`")
        })?;
        Ok(json!({
            "key": self.key,
            "name": self.name.as_ref().unwrap_or(&self.key),
            "enabled": !self.disabled,
            "flags": self.flags,
            "rule": {
                "type": "absolute_count",
                "event_type": self.event_type,
                "more_than": self.more_than,
                "window_seconds": window.as_secs(),
            },
        }))
    }
}
