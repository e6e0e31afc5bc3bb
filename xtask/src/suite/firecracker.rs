//! The driver of microVMs against the double, and against a real Firecracker where one is named.

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

use super::everything;
use crate::process;
use crate::workspace::Workspace;

/// Names a `firecracker` executable.
const BINARY: &str = "FLAGBASE_FIRECRACKER_BIN";

/// Tests the driver; says loudly what was skipped.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    process::run(everything(workspace, "test").args(["--lib", "--", "firecracker"]))?;
    process::run(everything(workspace, "test").args(["--test", "firecracker"]))?;
    let Some(binary) = env::var_os(BINARY).map(PathBuf::from) else {
        eprintln!("note: 3 tests with a real Firecracker were SKIPPED: no registry has one");
        eprintln!("      name an executable with `{BINARY}` to run them; the double was tested");
        return Ok(());
    };
    ensure!(binary.is_file(), "`{BINARY}` names `{}`, which is not there", binary.display());
    let mut real = everything(workspace, "test");
    real.args(["--test", "firecracker", "--"]);
    process::run(real.args(["--ignored", "--nocapture", "--test-threads=1"]))
}
