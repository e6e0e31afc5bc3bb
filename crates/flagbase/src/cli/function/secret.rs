//! `flagbase fn secret`: what only the function itself gets to see.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{at, under};
use crate::cli::ask;
use crate::cli::client::{Call, Client};
use crate::exit::Outcome;
use crate::output::View;

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// List the names of secrets; their values are never shown
    List {
        /// The function
        function: String,
    },
    /// Set a secret; its value is asked for, or read from standard input where that is no terminal
    Set {
        /// The function
        function: String,
        /// The secret's name
        secret: String,
        /// Read the value from this file; `-` is standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Remove a secret
    Delete {
        /// The function
        function: String,
        /// The secret's name
        secret: String,
    },
}

const LIST: View = View(&[("name", "/name"), ("set", "/updated_at"), ("by", "/updated_by")]);

pub(super) async fn run(args: SecretArgs, client: &Client) -> Outcome {
    match args.command {
        SecretCommand::List { function } => {
            let secrets = client.call(Call::get(&under(&function, "secrets")).scoped()).await?;
            client.print(&secrets, &LIST)
        }
        SecretCommand::Set { function, secret, file } => {
            let value = match file {
                Some(file) => ask::from_file(&file)?,
                None => {
                    ask::piped_secret(&format!("{secret}:"), "--file FILE, or the value on standard input")?
                }
            };
            let [api, v1, functions, name, secrets] = under(&function, "secrets");
            let path = [api, v1, functions, name, secrets, &secret];
            client.call(Call::put(&path, json!({"value": value.reveal()})).scoped()).await?;
            client.printer.done(&format!("set secret `{secret}` of function `{function}`"));
            let settings = client.call(Call::get(&at(&function)).scoped()).await.unwrap_or_default();
            if settings.pointer("/grants/secrets") != Some(&Value::Bool(true)) {
                client.printer.hint(&format!(
                    "the function may read it once it is allowed to: flagbase fn set {function} --grant secrets"
                ));
            }
            Ok(())
        }
        SecretCommand::Delete { function, secret } => {
            ask::confirm(&format!("Delete secret `{secret}` of function `{function}`?"), client.yes)?;
            let [api, v1, functions, name, secrets] = under(&function, "secrets");
            client.call(Call::delete(&[api, v1, functions, name, secrets, &secret]).scoped()).await?;
            client.printer.done(&format!("deleted secret `{secret}` of function `{function}`"));
            Ok(())
        }
    }
}
