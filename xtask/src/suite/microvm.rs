//! A real guest: our agent as the first process under a kernel of Debian, in QEMU's `microvm` machine.

use anyhow::Result;

use super::{at, everything};
use crate::workspace::Workspace;
use crate::{microvm, process};

/// Boots guests and runs every test of the agent; loudly does not, where the packages cannot be had.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let kit = match microvm::kit(workspace) {
        Ok(kit) => kit,
        Err(error) => {
            eprintln!("note: real guests were SKIPPED: {error:#}");
            return Ok(());
        }
    };
    let mut test = at(workspace);
    test.args(["test", "--workspace", "--test", "agent", "--", "--nocapture", "guest::"]);
    kit.tell(&mut test);
    process::run(&mut test)?;
    let mut client = everything(workspace, "test");
    client.args(["--lib", "--", "firecracker::tests::real_guest", "--nocapture"]);
    kit.tell(&mut client);
    process::run(&mut client)
}
