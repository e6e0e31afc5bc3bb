//! The tests that the crate `async-nats` ships.
//!
//! The package in the registry carries its tests, but not the crate that starts their server. Ours,
//! `suites/nats-server`, takes its place. Nothing of the package enters the repository.

mod manifest;
mod skips;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use self::skips::{SUITES, Suite};
use super::Judged;
use crate::process;
use crate::workspace::{Workspace, cargo};

const PACKAGE: &str = "async-nats";
const VERSION: &str = "0.51.0";
/// Most of these tests wait most of their time.
const AT_ONCE: &str = "8";

/// Runs every suite to its end against `server`.
pub(super) fn run(workspace: &Workspace, server: &Path, judged: Judged) -> Result<()> {
    let suites = Suites { home: unpacked(workspace)?, build: build(workspace), server };
    suites.compile()?;
    let mut failed = Vec::new();
    for suite in SUITES {
        if let Err(error) = suites.run(suite, judged) {
            eprintln!("{}: {error:#}", suite.name);
            failed.push(suite.name);
        }
    }
    ensure!(failed.is_empty(), "of {PACKAGE}'s own tests failed: {}", failed.join(", "));
    Ok(())
}

struct Suites<'a> {
    home: PathBuf,
    build: PathBuf,
    server: &'a Path,
}

impl Suites<'_> {
    fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        command
            .current_dir(&self.home)
            .args(["test", "--quiet", "--target-dir"])
            .arg(&self.build)
            .env("NATS_SERVER", self.server)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("RUST_BACKTRACE");
        command
    }

    fn compile(&self) -> Result<()> {
        let mut command = self.cargo();
        for suite in SUITES {
            command.args(["--test", suite.name]);
        }
        process::run(command.arg("--no-run"))
    }

    fn run(&self, suite: &Suite, judged: Judged) -> Result<()> {
        let skipped = suite.skipped(judged);
        let listed = process::capture(self.cargo().args(["--test", suite.name, "--", "--list"]))?;
        let unknown = skips::unknown(&skipped, &listed);
        ensure!(unknown.is_empty(), "skipped but not there: {}", unknown.join(", "));
        println!("\n{PACKAGE} {VERSION}, {}", suite.name);
        let mut command = self.cargo();
        command.args(["--test", suite.name, "--", "--test-threads", AT_ONCE, "--exact"]);
        for skip in skipped {
            println!("  without {}: {}", skip.test, skip.why);
            command.args(["--skip", skip.test]);
        }
        process::run(&mut command)
    }
}

/// Built apart: other features of the same crates would build half our tree again and again.
fn build(workspace: &Workspace) -> PathBuf {
    workspace.target.join("suites").join("build")
}

/// Where the package lies ready to be tested.
fn unpacked(workspace: &Workspace) -> Result<PathBuf> {
    let suites = workspace.target.join("suites");
    let home = suites.join(format!("{PACKAGE}-{VERSION}"));
    if !home.is_dir() {
        copy(&downloaded(&suites)?, &home)?;
    }
    let original = home.join("Cargo.toml.published");
    let manifest = home.join("Cargo.toml");
    if !original.is_file() {
        fs::rename(&manifest, &original).context("keep the published manifest")?;
    }
    let published = fs::read_to_string(&original).context("read the published manifest")?;
    let launcher = workspace.root.join("suites").join("nats-server");
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    write_changed(&manifest, &manifest::of(&published, &launcher, &names))?;
    Ok(home)
}

/// An unchanged file keeps its time, so that nothing is built again.
fn write_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("write `{}`", path.display()))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// Lets cargo fetch the package, through whatever registry it is set up to use.
fn downloaded(suites: &Path) -> Result<PathBuf> {
    let asking = suites.join("asking");
    fs::create_dir_all(asking.join("src")).context("make a package that asks for another")?;
    let text = format!(
        "[package]\nname = \"asking\"\nedition = \"2024\"\n\n\
         [dependencies]\n{PACKAGE} = {{ version = \"={VERSION}\", default-features = false }}\n\n[workspace]\n"
    );
    fs::write(asking.join("Cargo.toml"), text).context("write its manifest")?;
    fs::write(asking.join("src").join("lib.rs"), "").context("write its source")?;
    let answer = process::capture(Command::new(cargo()).current_dir(&asking).args([
        "metadata",
        "--quiet",
        "--format-version",
        "1",
    ]))?;
    let metadata: Metadata = serde_json::from_str(&answer).context("read the answer of `cargo metadata`")?;
    let package = metadata.packages.into_iter().find(|package| package.name == PACKAGE);
    let manifest = package.context("cargo did not tell where the package is")?.manifest_path;
    Ok(manifest.parent().context("a manifest lies in a directory")?.to_path_buf())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list `{}`", from.display()))? {
        let entry = entry.with_context(|| format!("list `{}`", from.display()))?;
        let target = to.join(entry.file_name());
        if entry.file_type().context("look at a file")?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("write `{}`", target.display()))?;
        }
    }
    Ok(())
}
