//! `flagbase role`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, Client, ClientArgs};
use super::{ask, document};
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use crate::output::View;

#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// List roles
    List,
    /// Show a role and what it permits
    Get {
        /// The role
        key: String,
    },
    /// Make or replace a role
    Put(PutArgs),
    /// Remove a role
    Delete {
        /// The role
        key: String,
    },
}

#[derive(Debug, Args)]
struct PutArgs {
    /// The role
    key: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it permits where, such as `development=flag.read,flag.update`; the place is `*`, `development`, `production` or
    /// `environment:KEY`. Repeat for each
    #[arg(long = "permit", value_name = "WHERE=PERMISSION,…")]
    permits: Vec<String>,
    /// Read the whole role from this JSON or YAML file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["name", "permits"])]
    file: Option<PathBuf>,
}

const VIEW: View = View(&[("key", "/key"), ("name", "/name"), ("permissions", "/permissions")]);

const ROLES: [&str; 3] = ["api", "v1", "roles"];

pub(crate) async fn run(args: RoleArgs, client: &ClientArgs, environment: &Environment) -> Outcome {
    let client = Client::new(client, environment)?;
    match args.command {
        RoleCommand::List => client.print(&client.list(Call::get(&ROLES), None).await?, &VIEW),
        RoleCommand::Get { key } => client.print(&client.call(Call::get(&at(&key))).await?, &VIEW),
        RoleCommand::Put(args) => {
            let saved = client.call(Call::put(&at(&args.key), args.role()?)).await?;
            client.changed(&format!("saved role `{}`", args.key), &saved, &VIEW)
        }
        RoleCommand::Delete { key } => {
            ask::confirm(&format!("Delete role `{key}`?"), client.yes)?;
            client.call(Call::delete(&at(&key))).await?;
            client.printer.done(&format!("deleted role `{key}`"));
            Ok(())
        }
    }
}

fn at(key: &str) -> [&str; 4] {
    let [api, version, roles] = ROLES;
    [api, version, roles, key]
}

impl PutArgs {
    fn role(&self) -> Outcome<Value> {
        if let Some(file) = &self.file {
            let mut role = document::read(file)?;
            document::set(&mut role, "key", self.key.clone());
            return Ok(role);
        }
        let mut permissions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for permit in &self.permits {
            let (place, names) = permit.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{permit}` is not WHERE=PERMISSION"))
                    .hint("write it like `development=flag.read,flag.update`")
            })?;
            permissions.entry(place).or_default().extend(names.split(',').map(str::trim));
        }
        let name = self.name.as_ref().unwrap_or(&self.key);
        Ok(json!({"key": self.key, "name": name, "permissions": permissions}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_gathered_by_place() {
        let args = PutArgs {
            key: "qa".into(),
            name: None,
            permits: vec!["*=flag.read".into(), "development=a, b".into(), "*=c".into()],
            file: None,
        };
        assert_eq!(
            args.role().unwrap(),
            json!({"key": "qa", "name": "qa", "permissions": {"*": ["flag.read", "c"], "development": ["a", "b"]}})
        );
    }
}
