//! The driver of microVMs against the double, and against a real Firecracker where one is named.

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

use super::at;
use crate::process;
use crate::workspace::Workspace;

/// Names a `firecracker` executable.
const BINARY: &str = "FLAGBASE_FIRECRACKER_BIN";
const PACKAGE: [&str; 4] = ["--package", "flagbase-functions", "--features", "firecracker"];

/// Lints and tests the driver; says loudly what was skipped.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let mut lints = at(workspace);
    lints.args(["clippy", "--no-deps", "--all-targets"]).args(PACKAGE).args(["--", "-D", "warnings"]);
    process::run(&mut lints)?;
    process::run(at(workspace).arg("test").args(PACKAGE))?;
    let Some(binary) = env::var_os(BINARY).map(PathBuf::from) else {
        eprintln!("note: 3 tests with a real Firecracker were SKIPPED: no registry has one");
        eprintln!("      name an executable with `{BINARY}` to run them; the double was tested");
        return Ok(());
    };
    ensure!(binary.is_file(), "`{BINARY}` names `{}`, which is not there", binary.display());
    let mut real = at(workspace);
    real.arg("test").args(PACKAGE).args(["--test", "firecracker", "--"]);
    process::run(real.args(["--ignored", "--nocapture", "--test-threads=1"]))
}
