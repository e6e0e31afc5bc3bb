//! `flagbase fn versions`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::{VERSIONS, alias, at, under};
use crate::cli::client::{Call, Client};
use crate::cli::{ask, document};
use crate::exit::{Failure, Outcome};
use crate::output::Format;

#[derive(Debug, Subcommand)]
pub(super) enum VersionCommand {
    /// Write the code of a version to a file
    Code {
        /// The version
        #[arg(value_parser = super::version_number)]
        version: u32,
        /// The file [default: the name it was deployed under]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Remove a version that does not run
    Delete {
        /// The version
        #[arg(value_parser = super::version_number)]
        version: u32,
    },
}

pub(super) async fn run(client: &Client, name: &str, command: Option<VersionCommand>) -> Outcome {
    match command {
        None => list(client, name).await,
        Some(VersionCommand::Code { version, to }) => code(client, name, version, to).await,
        Some(VersionCommand::Delete { version }) => {
            ask::confirm(&format!("Delete version {version} of function `{name}`?"), client.yes)?;
            let version = version.to_string();
            let [api, v1, functions, name, versions] = under(name, "versions");
            client.call(Call::delete(&[api, v1, functions, name, versions, &version]).scoped()).await?;
            client.printer.done(&format!("deleted version {version} of function `{name}`"));
            Ok(())
        }
    }
}

async fn list(client: &Client, name: &str) -> Outcome {
    let mut versions = client.call(Call::get(&under(name, "versions")).scoped()).await?;
    if client.printer.format == Format::Table {
        let function = client.call(Call::get(&at(name)).scoped()).await?;
        let current = function.get("current").and_then(Value::as_u64);
        let given = alias::given(client, &function).await;
        for version in versions.as_array_mut().into_iter().flatten() {
            let number = version.get("number").and_then(Value::as_u64);
            let by_flag = number.is_some_and(|number| given.contains(&number));
            let runs =
                [("current", number == current), ("by flag", by_flag)].map(|(how, so)| so.then_some(how));
            let runs: Vec<_> = runs.into_iter().flatten().collect();
            document::set(version, "runs", runs.join(", "));
        }
    }
    client.print(&versions, &VERSIONS)
}

async fn code(client: &Client, name: &str, version: u32, to: Option<PathBuf>) -> Outcome {
    let number = version.to_string();
    let [api, v1, functions, name, versions] = under(name, "versions");
    let about = client.call(Call::get(&[api, v1, functions, name, versions, &number]).scoped()).await?;
    let named = about.get("file").and_then(Value::as_str).filter(|file| !file.is_empty());
    // A name from elsewhere must not lead to another directory.
    let named = named.and_then(|file| std::path::Path::new(file).file_name()).map(PathBuf::from);
    let file = to.or(named).unwrap_or_else(|| format!("{name}-{version}.wasm").into());
    if file.exists() {
        ask::confirm(&format!("Overwrite `{}`?", file.display()), client.yes)?;
    }
    let call = Call::get(&[api, v1, functions, name, versions, &number, "code"]).scoped();
    let bytes = client.download(&call).await?;
    std::fs::write(&file, &bytes)
        .map_err(|error| Failure::plain(format!("`{}` cannot be written: {error}", file.display())))?;
    client.printer.done(&format!("wrote `{}` ({} bytes)", file.display(), bytes.len()));
    Ok(())
}
