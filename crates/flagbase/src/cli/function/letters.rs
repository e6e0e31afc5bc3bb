//! `flagbase fn dead-letters`: events that a function did not manage to take.

use clap::{Args, Subcommand};
use serde_json::json;

use super::under;
use crate::cli::client::{Call, Client};
use crate::exit::Outcome;
use crate::output::View;

#[derive(Debug, Args)]
pub(super) struct LettersArgs {
    #[command(subcommand)]
    command: LettersCommand,
}

#[derive(Debug, Subcommand)]
enum LettersCommand {
    /// List them, the oldest first
    List {
        /// The function
        function: String,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Offer one again
    Replay {
        /// The function
        function: String,
        /// Which one, as `dead-letters list` shows it
        id: String,
    },
    /// Give one up
    Delete {
        /// The function
        function: String,
        /// Which one, as `dead-letters list` shows it
        id: String,
    },
}

const LIST: View = View(&[
    ("id", "/id"),
    ("trigger", "/trigger"),
    ("subject", "/subject"),
    ("attempts", "/attempts"),
    ("error", "/error"),
    ("happened", "/time"),
]);

pub(super) async fn run(args: LettersArgs, client: &Client) -> Outcome {
    match args.command {
        LettersCommand::List { function, limit } => {
            let call = Call::get(&under(&function, "dead-letters")).scoped();
            client.print(&client.list(call, limit).await?, &LIST)
        }
        LettersCommand::Replay { function, id } => {
            let [api, v1, functions, name, letters] = under(&function, "dead-letters");
            let path = [api, v1, functions, name, letters, &id, "replay"];
            client.call(Call::post(&path, json!({})).scoped()).await?;
            client.printer.done(&format!("offering `{id}` to function `{function}` again"));
            Ok(())
        }
        LettersCommand::Delete { function, id } => {
            let [api, v1, functions, name, letters] = under(&function, "dead-letters");
            client.call(Call::delete(&[api, v1, functions, name, letters, &id]).scoped()).await?;
            client.printer.done(&format!("gave up `{id}`"));
            Ok(())
        }
    }
}
