//! The NATS-protocol server before other people's tests and clients.

mod clients;
mod published;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::workspace::Workspace;
use crate::{process, servers};

/// Which server is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judged {
    /// Ours
    #[default]
    Ours,
    /// The real nats-server, to see what the tests are worth
    Real,
}

/// Runs the published tests, then the published clients.
pub(super) fn run(workspace: &Workspace, judged: Judged) -> Result<()> {
    let program = match judged {
        Judged::Ours => ours(workspace)?,
        Judged::Real => servers::nats(workspace)?,
    };
    published::run(workspace, &program, judged)?;
    clients::run(workspace, &program)
}

/// What the test step has built already.
fn ours(workspace: &Workspace) -> Result<PathBuf> {
    process::run(super::at(workspace).args(["test", "--workspace", "--no-run", "--quiet"]))?;
    Ok(workspace.target.join("debug").join("flagbase-nats"))
}
