//! What the web offers to functions, before other people's cases.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::at;
use crate::workspace::{Workspace, cargo};
use crate::{process, tool};

/// The package that carries the cases of web-platform-tests about URLs, at the version that is locked.
const PACKAGE: &str = "url";

/// What cargo says of all packages, also those of the registry.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// Runs the tests of `crates/functions/tests/wasm/web.rs`, which print how many cases come out the same.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let node = tool::required("node", "get Node.js 20 or newer from https://nodejs.org")?;
    let version = process::capture(Command::new(&node).arg("--version"))?;
    println!("expressions are compared with Node {}", version.trim());
    let cases = published(workspace)?;
    process::run(
        at(workspace)
            // As the step `test` builds it: with other features half the tree would be compiled again.
            .args(["test", "--workspace", "--test", "wasm", "--", "web::", "--ignored", "--nocapture"])
            .env("NODE", node)
            .env("URL_TESTS", cases),
    )
}

/// Where the cases are. Cargo has fetched them, since the server depends on the package.
fn published(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root).args(["metadata", "--locked", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&process::capture(&mut command)?)
        .context("read the answer of `cargo metadata`")?;
    let package = metadata.packages.iter().find(|package| package.name == PACKAGE);
    let package = package.with_context(|| format!("nothing depends on `{PACKAGE}`"))?;
    println!("URLs are judged by the cases in `{PACKAGE}` {}", package.version);
    let cases = package.manifest_path.with_file_name("tests");
    ensure!(cases.join("urltestdata.json").is_file(), "`{}` holds no cases", cases.display());
    Ok(cases)
}
