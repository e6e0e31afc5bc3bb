//! Programs that cargo does not bring along.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::process;
use crate::workspace::{Workspace, cargo};

const DENY_VERSION: &str = "0.20.2";
const MDBOOK_VERSION: &str = "0.5.4";
const VSOCK_VERSION: &str = "0.3.0";

/// Where `name` is on the `PATH`, or an error that says how to get it.
pub(crate) fn required(name: &str, hint: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| anyhow!("`{name}` is not installed: {hint}"))
}

/// `cargo-deny`, at the version the configuration is written for.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    built(workspace, "cargo-deny", DENY_VERSION, &[])
}

/// `mdbook`, with the search of the pages but without what only serves them.
pub(crate) fn mdbook(workspace: &Workspace) -> Result<PathBuf> {
    built(workspace, "mdbook", MDBOOK_VERSION, &["--no-default-features", "--features", "search"])
}

/// `vhost-device-vsock`: the vsock device of guests, whose host side is a Unix socket that takes `CONNECT`.
pub(crate) fn vhost_device_vsock(workspace: &Workspace) -> Result<PathBuf> {
    built(workspace, "vhost-device-vsock", VSOCK_VERSION, &[])
}

/// A package of the registry at its version, built once into the target directory.
fn built(workspace: &Workspace, name: &str, version: &str, features: &[&str]) -> Result<PathBuf> {
    let home = workspace.target.join("tools");
    let program = home.join("bin").join(name);
    if !is_version(&program, version) {
        let package = format!("{name}@{version}");
        let mut command = Command::new(cargo());
        command.args(["install", "--debug", "--locked", "--quiet", "--root"]).arg(&home).arg(package);
        // Each is used a few times: building it well takes longer than it ever runs.
        command.envs([("CARGO_PROFILE_DEV_OPT_LEVEL", "1"), ("CARGO_PROFILE_DEV_DEBUG", "0")]);
        process::run(command.args(features))?;
    }
    Ok(program)
}

fn is_version(program: &Path, version: &str) -> bool {
    process::capture(Command::new(program).arg("--version"))
        .is_ok_and(|answer| answer.split_whitespace().any(|word| word.trim_start_matches('v') == version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_an_error_that_says_what_to_install() {
        let error = required("no-such-tool", "install it from example.com").unwrap_err();
        assert_eq!(error.to_string(), "`no-such-tool` is not installed: install it from example.com");
    }

    #[test]
    fn a_tool_on_the_path_is_found() {
        assert!(required("sh", "every Unix has one").unwrap().is_file());
    }
}
