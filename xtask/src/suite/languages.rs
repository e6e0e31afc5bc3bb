//! Functions in every language whose tools package registries bring, built by those tools.

use anyhow::Result;

use super::{at, typescript};
use crate::workspace::Workspace;
use crate::{process, servers, tool};

/// Runs the tests of `flagbase` that need the tools.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    for (program, hint) in [
        ("python3", "on Debian, `apt-get install python3-venv`"),
        ("npm", "on Debian, `apt-get install npm`"),
        ("go", "https://go.dev has it"),
    ] {
        tool::required(program, hint)?;
    }
    typescript::check(workspace)?;
    let mut command = at(workspace);
    // As the step before builds it: with other features half the tree would be compiled again.
    command.args(["test", "--workspace", "--test", "languages", "--", "--include-ignored"]);
    command.env("RUST_FOR_WASI", servers::rust_for_wasi(workspace)?);
    process::run(&mut command)
}
