//! Programs that cargo does not bring along.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::process;
use crate::workspace::{Workspace, cargo};

const DENY_VERSION: &str = "0.20.2";

/// Where `name` is on the `PATH`, or an error that says how to get it.
pub(crate) fn required(name: &str, hint: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| anyhow!("`{name}` is not installed: {hint}"))
}

/// `cargo-deny`, built once into the target directory at the version the configuration is written for.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let home = workspace.target.join("tools");
    let program = home.join("bin").join("cargo-deny");
    if !is_version(&program, DENY_VERSION) {
        let package = format!("cargo-deny@{DENY_VERSION}");
        process::run(
            Command::new(cargo()).args(["install", "--locked", "--quiet", "--root"]).arg(&home).arg(package),
        )?;
    }
    Ok(program)
}

fn is_version(program: &Path, version: &str) -> bool {
    process::capture(Command::new(program).arg("--version"))
        .is_ok_and(|answer| answer.split_whitespace().any(|word| word == version))
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
