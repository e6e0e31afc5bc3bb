//! `flagbase fn dead-letters`: events that a function did not manage to take.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::{ask, document};
use crate::exit::Outcome;
use crate::output::{Format, View};

#[derive(Debug, Args)]
pub(super) struct LettersArgs {
    #[command(subcommand)]
    command: LettersCommand,
}

#[derive(Debug, Subcommand)]
enum LettersCommand {
    /// List them, the newest first
    List {
        /// The function
        function: String,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Offer one again, or all
    Replay {
        /// The function
        function: String,
        #[command(flatten)]
        which: Which,
    },
    /// Give one up, or all
    Delete {
        /// The function
        function: String,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Which one, as `dead-letters list` shows it
    id: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl Which {
    fn shown(&self) -> String {
        self.id.as_ref().map_or_else(|| "all dead letters".to_owned(), |id| format!("dead letter {id}"))
    }
}

const LIST: View = View(&[
    ("id", "/id"),
    ("trigger", "/trigger"),
    ("what", "/what"),
    ("tries", "/tries"),
    ("fault", "/fault"),
    ("since", "/dead_since"),
]);

pub(super) async fn run(args: LettersArgs, client: &Client) -> Outcome {
    match args.command {
        LettersCommand::List { function, limit } => {
            let call = Call::get(&under(&function, "dead-letters")).scoped();
            let mut letters = client.list(call, limit).await?;
            if client.printer.format == Format::Table {
                letters.as_array_mut().into_iter().flatten().for_each(name);
            }
            client.print(&letters, &LIST)
        }
        LettersCommand::Replay { function, which } => {
            let mut path = under(&function, "dead-letters").to_vec();
            path.extend(which.id.as_deref());
            path.push("replay");
            client.call(Call::post(&path, json!({})).scoped()).await?;
            client.printer.done(&format!("offering {} to function `{function}` again", which.shown()));
            Ok(())
        }
        LettersCommand::Delete { function, which } => {
            if which.all {
                ask::confirm(&format!("Give up all dead letters of function `{function}`?"), client.yes)?;
            }
            let mut path = under(&function, "dead-letters").to_vec();
            path.extend(which.id.as_deref());
            client.call(Call::delete(&path).scoped()).await?;
            client.printer.done(&format!("gave up {} of function `{function}`", which.shown()));
            Ok(())
        }
    }
}

/// Says in one word what it was: the subject of an event, or the schedule of a moment.
fn name(letter: &mut Value) {
    let what = letter.pointer("/event/subject").or_else(|| letter.pointer("/tick/schedule"));
    let what = what.cloned().unwrap_or_default();
    document::set(letter, "what", what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_called_after_its_subject_or_its_schedule() {
        for (letter, what) in [
            (json!({"event": {"subject": "orders.created"}}), json!("orders.created")),
            (json!({"tick": {"schedule": "0 3 * * *"}}), json!("0 3 * * *")),
            (json!({}), Value::Null),
        ] {
            let mut letter = letter;
            name(&mut letter);
            assert_eq!(letter["what"], what);
        }
    }

    #[test]
    fn one_is_named_or_all_are_meant() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: LettersArgs,
        }
        let parsed = |line: &str| <Line as clap::Parser>::try_parse_from(line.split(' ')).is_ok();
        assert!(parsed("x replay hello 7") && parsed("x replay hello --all"));
        assert!(!parsed("x replay hello") && !parsed("x delete hello 7 --all"));
    }
}
