//! `flagbase completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::exit::Outcome;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "flagbase", &mut script);
    output::text(&String::from_utf8_lossy(&script))
}
