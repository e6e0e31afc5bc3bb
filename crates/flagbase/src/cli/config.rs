//! `flagbase config`: what is configured, where it came from, and whether it is right.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::settings::{self, Global, ServerArgs};
use crate::config::{DEFAULTS, Environment, Key, Loaded, keys};
use crate::exit::Outcome;
use crate::output::{self, Format, Printer, View};

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show every key and its value; secrets are hidden
    Print(PrintArgs),
    /// Check the configuration and say what is wrong with it
    Validate(ValidateArgs),
}

#[derive(Debug, Args)]
struct PrintArgs {
    /// Also show where each value came from
    #[arg(long)]
    show_origin: bool,
    /// Show the annotated defaults instead, ready to be edited into a flagbase.yaml
    #[arg(long, conflicts_with_all = ["show_origin", "reference"])]
    defaults: bool,
    /// Show a reference of all keys in Markdown instead
    #[arg(long, conflicts_with = "show_origin")]
    reference: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct ValidateArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: ConfigArgs, global: &Global, environment: &Environment) -> Outcome {
    match args.command {
        ConfigCommand::Validate(args) => {
            settings::load(&args.server, global, environment)?;
            output::say("the configuration is valid");
            Ok(())
        }
        ConfigCommand::Print(args) if args.defaults => output::text(DEFAULTS),
        ConfigCommand::Print(args) if args.reference => output::text(&reference()),
        ConfigCommand::Print(args) => {
            let loaded = settings::load(&args.server, global, environment)?;
            print(&loaded, &args, global.client.output)
        }
    }
}

fn print(loaded: &Loaded, args: &PrintArgs, format: Format) -> Outcome {
    let printer = Printer { format, quiet: false };
    if args.show_origin {
        let row = |key: &Key| json!({"key": key.path, "value": loaded.shown(key), "origin": loaded.origin(&key.path)});
        let rows = keys().iter().map(row).collect();
        return printer.print(&rows, &View(&[("key", "/key"), ("value", "/value"), ("origin", "/origin")]));
    }
    let tree = tree(loaded);
    match format {
        Format::Json => printer.print(&tree, &View::ALL),
        // The tree reads best, and can be saved, as the YAML it is written in.
        Format::Table | Format::Yaml => Printer { format: Format::Yaml, ..printer }.print(&tree, &View::ALL),
    }
}

fn tree(loaded: &Loaded) -> Value {
    let mut tree = json!({});
    for key in keys() {
        let place = key.path.split('.').try_fold(&mut tree, |within, name| {
            if within.is_null() {
                *within = json!({});
            }
            Some(within.as_object_mut()?.entry(name).or_insert(Value::Null))
        });
        if let Some(place) = place {
            *place = loaded.shown(key);
        }
    }
    tree
}

/// The table of the documentation, generated so that it cannot go stale.
fn reference() -> String {
    let mut text = String::from("| Key | Default | Variable | Meaning |\n|---|---|---|---|\n");
    for key in keys() {
        let default = serde_json::to_string(&key.default).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}` | {} |",
            key.path,
            default.trim_matches('"'),
            key.variable(),
            key.about.replace('|', "\\|"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_key_with_its_variable() {
        let text = reference();
        assert!(text.contains("| `server.port` | `8080` | `FLAGBASE_SERVER__PORT` |"), "{text}");
        assert_eq!(text.lines().count(), keys().len() + 2);
    }
}
