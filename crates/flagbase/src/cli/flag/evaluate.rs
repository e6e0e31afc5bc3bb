//! `flagbase flag eval`.

mod story;

use clap::Args;
use serde_json::{Value, json};

use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::Outcome;
use crate::output::{self, Format, View};

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The flag
    pub(crate) key: String,
    /// Also say why every rule did or did not match
    #[arg(long)]
    pub(crate) explain: bool,
    /// Evaluate for somebody else with these attributes instead of yourself; repeat for each
    #[arg(short, long = "attribute", value_name = "NAME=VALUE")]
    pub(crate) attributes: Vec<String>,
}

pub(super) const EVALUATION: View =
    View(&[("value", "/value"), ("variant", "/variant"), ("reason", "/reason"), ("revision", "/revision")]);

pub(super) async fn run(client: &Client, args: &EvalArgs) -> Outcome {
    let path = under(&args.key, "evaluate");
    let call = if args.attributes.is_empty() {
        Call::get(&path)
    } else {
        Call::post(&path, json!({"context": document::pairs(&args.attributes)?}))
    };
    let call = call.scoped().query_some("explain", args.explain.then_some(1));
    let answer = client.call(call).await?;
    if !args.explain || client.printer.format != Format::Table {
        return client.print(&answer, &EVALUATION);
    }
    let explanation = answer.get("explanation").unwrap_or(&Value::Null);
    client.print(&answer, &EVALUATION)?;
    output::text(&format!("\n{}", story::of(explanation, output::is_terminal())))
}
