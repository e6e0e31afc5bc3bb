//! A real guest: our agent as the first process under a kernel of Debian, in QEMU's `microvm` machine.

use anyhow::Result;

use super::{Verdict, at, everything};
use crate::workspace::Workspace;
use crate::{microvm, process};

/// Boots guests and runs every test of the agent; is skipped where the packages cannot be had.
pub(super) fn run(workspace: &Workspace) -> Result<Verdict> {
    let packages = match microvm::packages(workspace) {
        Ok(packages) => packages,
        Err(error) => {
            return Ok(Verdict::Skipped(format!("there is nothing to boot real guests with: {error:#}")));
        }
    };
    let kit = microvm::kit(workspace, packages)?;
    let mut test = at(workspace);
    test.args(["test", "--workspace", "--test", "agent", "--", "--nocapture", "guest::"]);
    kit.tell(&mut test);
    process::run(&mut test)?;
    let mut client = everything(workspace, "test");
    client.args(["--lib", "--", "firecracker::tests::real_guest", "--nocapture"]);
    kit.tell(&mut client);
    process::run(&mut client)?;
    Ok(Verdict::Passed)
}
