//! `flagbase admin`: accounts, on the database directly.

use clap::Args;

use super::settings::Global;
use crate::config::Environment;
use crate::exit::Outcome;

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {}

pub(crate) async fn run(_args: AdminArgs, _global: &Global, _environment: &Environment) -> Outcome {
    Ok(())
}
