//! Published clients of other languages.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;
use crate::{process, tool};

const NATS_PY: &str = "2.16.0";
const NATS_JS: &str = "2.29.3";
const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One language: what its client is called and how its check is run against a URL.
struct Language {
    client: &'static str,
    check: fn(&Site<'_>) -> Result<Command>,
}

const LANGUAGES: [Language; 3] = [
    Language { client: "nats-py", check: python },
    Language { client: "nats.js", check: node },
    Language { client: "nats.go", check: go },
];

struct Site<'a> {
    /// Where the scripts are.
    scripts: PathBuf,
    /// Where clients are installed.
    packages: PathBuf,
    workspace: &'a Workspace,
}

/// Runs every client's check against one `server`, and all of them although one fails.
pub(super) fn run(workspace: &Workspace, server: &Path) -> Result<()> {
    let suites = workspace.target.join("suites");
    let site =
        Site { scripts: workspace.root.join("suites").join("clients"), packages: suites.clone(), workspace };
    let running = Running::start(server, &suites)?;
    let mut failed = Vec::new();
    for language in &LANGUAGES {
        println!("\n{}", language.client);
        let checked = (language.check)(&site)
            .and_then(|mut command| process::run(command.env("NATS_URL", running.url())));
        if let Err(error) = checked {
            eprintln!("{}: {error:#}", language.client);
            failed.push(language.client);
        }
    }
    ensure!(failed.is_empty(), "clients that do not get along with the server: {}", failed.join(", "));
    Ok(())
}

fn python(site: &Site<'_>) -> Result<Command> {
    let python = tool::required("python3", "the client nats-py is a Python package")?;
    let packages = site.packages.join(format!("nats-py-{NATS_PY}"));
    if !packages.is_dir() {
        process::run(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--root-user-action", "ignore", "--target"])
                .arg(&packages)
                .arg(format!("nats-py=={NATS_PY}")),
        )?;
    }
    let mut command = Command::new(python);
    command.arg(site.scripts.join("python").join("check.py")).env("PYTHONPATH", packages);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn node(site: &Site<'_>) -> Result<Command> {
    let node = tool::required("node", "get Node.js 20 or newer from https://nodejs.org")?;
    let npm = tool::required("npm", "it comes with Node.js")?;
    let packages = site.packages.join(format!("nats.js-{NATS_JS}"));
    if !packages.is_dir() {
        process::run(
            Command::new(npm)
                .args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
                .arg(&packages)
                .arg(format!("nats@{NATS_JS}")),
        )?;
    }
    let mut command = Command::new(node);
    command.arg(site.scripts.join("node").join("check.cjs")).env("NODE_PATH", packages.join("node_modules"));
    Ok(command)
}

fn go(site: &Site<'_>) -> Result<Command> {
    let go = tool::required("go", "get Go 1.26 or newer from https://go.dev/dl")?;
    let program = site.workspace.target.join("suites").join("nats.go-check");
    let scripts = site.scripts.join("go");
    process::run(Command::new(go).current_dir(scripts).args(["build", "-o"]).arg(&program).arg("."))?;
    Ok(Command::new(program))
}

/// A server for the time of one run.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    fn start(program: &Path, home: &Path) -> Result<Self> {
        fs::create_dir_all(home).with_context(|| format!("make `{}`", home.display()))?;
        let port = free_port()?;
        let child = Command::new(program)
            .args(["-js", "-a", "127.0.0.1", "-p"])
            .arg(port.to_string())
            .arg("-l")
            .arg(home.join("clients.log"))
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start `{}`", program.display()))?;
        let mut running = Self { child, port };
        running.await_ready()?;
        Ok(running)
    }

    fn await_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait().context("look at the server")? {
                bail!("the server ended with {status}");
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("the server is not ready within {READY_WITHIN:?}")
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("ask for a free port")?;
    Ok(listener.local_addr().context("learn which port is free")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_at_once_is_an_error_and_not_a_wait() {
        let home = std::env::temp_dir().join("flagbase-clients-test");
        let error = Running::start(Path::new("false"), &home).err().unwrap();
        assert!(error.to_string().contains("ended"), "{error}");
    }
}
