//! `flagbase environment`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::Outcome;
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct EnvironmentArgs {
    #[command(subcommand)]
    command: EnvironmentCommand,
}

#[derive(Debug, Subcommand)]
enum EnvironmentCommand {
    /// List environments
    List,
    /// Show an environment
    Get {
        /// The environment
        key: String,
    },
    /// Make an environment
    Create(DefinitionArgs),
    /// Change an environment: what is given replaces what was, the rest stays
    Update(DefinitionArgs),
    /// Remove an environment that holds nothing any more
    Delete {
        /// The environment
        key: String,
    },
}

#[derive(Debug, Args)]
struct DefinitionArgs {
    /// The environment
    key: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// In production environments developers read and evaluate only, until granted more
    #[arg(long, value_parser = ["development", "production"])]
    kind: Option<String>,
    /// An attribute taken from a request header, such as `country=X-Country`; repeat for each
    #[arg(long = "attribute", value_name = "NAME[=HEADER]")]
    attributes: Vec<String>,
}

const VIEW: View =
    View(&[("key", "/key"), ("name", "/name"), ("kind", "/kind"), ("attributes", "/attributes")]);

const ENVIRONMENTS: [&str; 3] = ["api", "v1", "environments"];

pub(crate) async fn run(args: EnvironmentArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        EnvironmentCommand::List => client.print(&client.list(Call::get(&ENVIRONMENTS), None).await?, &VIEW),
        EnvironmentCommand::Get { key } => client.print(&client.call(Call::get(&at(&key))).await?, &VIEW),
        EnvironmentCommand::Create(args) => {
            let defaults = json!({"key": args.key, "name": args.key, "kind": "development"});
            let body = args.over(defaults);
            let saved = client.call(Call::post(&ENVIRONMENTS, body)).await?;
            client.changed(&format!("created environment `{}`", args.key), &saved, &VIEW)
        }
        EnvironmentCommand::Update(args) => {
            let current = client.send(Call::get(&at(&args.key))).await?;
            let call = Call::put(&at(&args.key), args.over(current.body)).if_match(current.etag);
            let saved = client.call(call).await?;
            client.changed(&format!("updated environment `{}`", args.key), &saved, &VIEW)
        }
        EnvironmentCommand::Delete { key } => {
            ask::confirm(&format!("Delete environment `{key}`?"), client.yes)?;
            client.call(Call::delete(&at(&key))).await?;
            client.printer.done(&format!("deleted environment `{key}`"));
            Ok(())
        }
    }
}

fn at(key: &str) -> [&str; 4] {
    let [api, version, environments] = ENVIRONMENTS;
    [api, version, environments, key]
}

impl DefinitionArgs {
    fn over(&self, mut environment: Value) -> Value {
        document::set_some(&mut environment, "name", self.name.clone());
        document::set_some(&mut environment, "kind", self.kind.clone());
        if !self.attributes.is_empty() {
            let attributes: Vec<Value> = self.attributes.iter().map(|text| attribute(text)).collect();
            document::set(&mut environment, "attributes", attributes);
        }
        environment
    }
}

fn attribute(text: &str) -> Value {
    match text.split_once('=') {
        Some((name, header)) => json!({"name": name, "header": header}),
        None => json!({"name": text}),
    }
}
