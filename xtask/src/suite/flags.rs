//! Flags before other people's cases.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::at;
use crate::workspace::Workspace;
use crate::{process, tool};

/// What Unleash publishes for those who write its clients.
const PACKAGE: &str = "@unleash/client-specification";
const VERSION: &str = "6.1.0";

/// Runs Unleash's cases through our engine; `crates/engine/tests/unleash` says how.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let specification = unpacked(workspace)?;
    process::run(
        at(workspace)
            .args(["test", "--workspace", "--test", "unleash", "--", "--nocapture"])
            .env("UNLEASH_SPECIFICATION", specification),
    )
}

/// Fetches the package, once. Nothing of it enters the repository.
fn unpacked(workspace: &Workspace) -> Result<PathBuf> {
    let home = workspace.target.join("suites").join(format!("unleash-{VERSION}"));
    let package = home.join("node_modules").join(PACKAGE);
    if !package.join("specifications").join("index.json").is_file() {
        let npm = tool::required("npm", "get Node.js from https://nodejs.org")?;
        std::fs::create_dir_all(&home).with_context(|| format!("make `{}`", home.display()))?;
        let package = format!("{PACKAGE}@{VERSION}");
        let options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        process::run(
            Command::new(npm)
                .current_dir(&home)
                .arg("install")
                .args(options)
                .args(["--prefix", "."])
                .arg(package),
        )?;
    }
    Ok(package)
}
