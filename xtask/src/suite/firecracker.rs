//! The driver of microVMs against the double, and against a real Firecracker where one is named.

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

use super::{Verdict, everything};
use crate::process;
use crate::workspace::Workspace;

/// Names a `firecracker` executable.
const BINARY: &str = "FLAGBASE_FIRECRACKER_BIN";
/// What a guest of Linux is made of.
const GUEST: [&str; 3] =
    ["FLAGBASE_FIRECRACKER_KERNEL", "FLAGBASE_FIRECRACKER_ROOTFS", "FLAGBASE_FIRECRACKER_CODE"];

/// Tests the driver; with the double alone the step has not passed.
pub(super) fn run(workspace: &Workspace) -> Result<Verdict> {
    process::run(everything(workspace, "test").args(["--lib", "--", "firecracker"]))?;
    process::run(everything(workspace, "test").args(["--test", "firecracker"]))?;
    let Some(binary) = env::var_os(BINARY).map(PathBuf::from) else {
        return Ok(Verdict::Skipped(format!(
            "the double keeps the contract, but no real Firecracker ran, because no registry has one; name an executable with \
             `{BINARY}`"
        )));
    };
    ensure!(binary.is_file(), "`{BINARY}` names `{}`, which is not there", binary.display());
    let mut real = everything(workspace, "test");
    real.args(["--test", "firecracker", "--"]);
    process::run(real.args(["--ignored", "--nocapture", "--test-threads=1"]))?;
    let missing: Vec<_> = GUEST.into_iter().filter(|name| env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(Verdict::Passed);
    }
    let missing = missing.join("`, `");
    Ok(Verdict::Skipped(format!("Firecracker itself is fine, but no guest of Linux ran: set `{missing}`")))
}
