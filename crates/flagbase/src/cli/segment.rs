//! `flagbase segment`: reusable sets of conditions.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::Outcome;
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct SegmentArgs {
    #[command(subcommand)]
    command: SegmentCommand,
}

#[derive(Debug, Subcommand)]
enum SegmentCommand {
    /// List segments
    List {
        /// Only segments whose key or name contains this
        #[arg(long)]
        search: Option<String>,
    },
    /// Show a segment
    Get {
        /// The segment
        key: String,
    },
    /// Make or replace a segment
    Put(PutArgs),
    /// Remove a segment
    Delete {
        /// The segment
        key: String,
    },
}

#[derive(Debug, Args)]
struct PutArgs {
    /// The segment
    key: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Conditions joined by ` and `, such as `role equals developer and email ends_with @example.com`; repeat for alternatives
    #[arg(long = "condition", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Somebody who is always in it; repeat for each
    #[arg(long = "include", value_name = "ID")]
    included: Vec<String>,
    /// Somebody who is never in it; repeat for each
    #[arg(long = "exclude", value_name = "ID")]
    excluded: Vec<String>,
    /// Read the whole segment from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["name", "description", "conditions", "included", "excluded"])]
    file: Option<PathBuf>,
}

const VIEW: View = View(&[
    ("key", "/key"),
    ("name", "/name"),
    ("description", "/description"),
    ("conditions", "/conditions"),
    ("included", "/included"),
    ("excluded", "/excluded"),
]);

pub(crate) async fn run(args: SegmentArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        SegmentCommand::List { search } => {
            let call = Call::get(&["api", "v1", "segments"]).scoped().query_some("search", search);
            client.print(&client.list(call, None).await?, &VIEW)
        }
        SegmentCommand::Get { key } => {
            client.print(&client.call(Call::get(&at(&key)).scoped()).await?, &VIEW)
        }
        SegmentCommand::Put(args) => {
            let segment = args.segment()?;
            let saved = client.call(Call::put(&at(&args.key), segment).scoped()).await?;
            client.changed(&format!("saved segment `{}`", args.key), &saved, &VIEW)
        }
        SegmentCommand::Delete { key } => {
            ask::confirm(&format!("Delete segment `{key}`?"), client.yes)?;
            client.call(Call::delete(&at(&key)).scoped()).await?;
            client.printer.done(&format!("deleted segment `{key}`"));
            Ok(())
        }
    }
}

fn at(key: &str) -> [&str; 4] {
    ["api", "v1", "segments", key]
}

impl PutArgs {
    fn segment(&self) -> Outcome<Value> {
        if let Some(file) = &self.file {
            let mut segment = document::read(file)?;
            document::set(&mut segment, "key", self.key.clone());
            return Ok(segment);
        }
        let alternatives = self
            .conditions
            .iter()
            .map(|all| all.split(" and ").map(document::condition).collect::<Outcome<Value>>())
            .collect::<Outcome<Value>>()?;
        let mut segment = json!({
            "key": self.key,
            "name": self.name.as_ref().unwrap_or(&self.key),
            "conditions": alternatives,
            "included": self.included,
            "excluded": self.excluded,
        });
        document::set_some(&mut segment, "description", self.description.clone());
        Ok(segment)
    }
}
