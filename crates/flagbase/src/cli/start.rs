//! `flagbase start`.

use clap::Args;

use super::settings::{self, Global, ServerArgs};
use crate::config::Environment;
use crate::exit::Outcome;

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: StartArgs, global: &Global, environment: &Environment) -> Outcome {
    let _loaded = settings::load(&args.server, global, environment)?;
    Ok(())
}
