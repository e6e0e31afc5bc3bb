//! `cargo xtask bench`: Flagbase beside its peers, in CPU per operation.

use anyhow::{Result, bail};
use clap::Args;

/// Which bench to run.
#[derive(Args)]
pub(crate) struct Options {
    /// The bench to run
    name: Option<String>,
}

/// Runs the named bench, or lists them.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.name {
        None => Ok(()),
        Some(name) => bail!("there is no bench `{name}`"),
    }
}
