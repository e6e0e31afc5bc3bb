//! A Flagbase server with a developer, a flag and routes, set up through its public interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::client::Client;
use super::server::{Server, free_port};
use crate::process;
use crate::workspace::{Workspace, cargo};

/// The key of the flag that everything is asked about.
pub(crate) const FLAG: &str = "bench";
const READY: &str = "/health/ready";

/// A running Flagbase and a developer's token.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) token: String,
}

/// Builds the binary that people run.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    process::run(Command::new(cargo()).current_dir(&workspace.root).args([
        "build",
        "--profile",
        "dist",
        "--package",
        "flagbase",
    ]))?;
    Ok(workspace.target.join("dist").join("flagbase"))
}

/// Starts the binary on an empty database in `home`, or on the one that is there, and waits until it is ready.
/// Returns the milliseconds that took.
pub(crate) fn start(binary: &Path, home: &Path) -> Result<(Server, f64)> {
    start_with(binary, home, &[])
}

fn start_with(binary: &Path, home: &Path, variables: &[(&str, &str)]) -> Result<(Server, f64)> {
    fs::create_dir_all(home).with_context(|| format!("make `{}`", home.display()))?;
    let port = free_port()?;
    let mut command = Command::new(binary);
    command
        .arg("start")
        .current_dir(home)
        .env("HOME", home)
        .env("FLAGBASE_SERVER__HOST", "127.0.0.1")
        .env("FLAGBASE_SERVER__PORT", port.to_string())
        .env("FLAGBASE_EVENTS__NATS_PORT", "0")
        .env("FLAGBASE_DATABASE__PATH", home.join("flagbase.db"))
        .env("FLAGBASE_LOG__LEVEL", "warn")
        .envs(variables.iter().copied());
    let mut server = Server::start(command, home, port)?;
    let took = server.await_ready(READY).context("wait for Flagbase")?;
    Ok((server, took.as_secs_f64() * 1e3))
}

/// An empty directory for one server.
pub(crate) fn fresh_home(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let home = workspace.target.join("bench").join("run").join(name);
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("empty `{}`", home.display()))?;
    }
    fs::create_dir_all(&home).with_context(|| format!("make `{}`", home.display()))?;
    Ok(home)
}

impl Site {
    /// Starts a server and sets up a developer and a flag that is on for developers only.
    pub(crate) fn open(binary: &Path, home: &Path) -> Result<Self> {
        Self::open_with(binary, home, &[])
    }

    /// The same with further environment variables.
    pub(crate) fn open_with(binary: &Path, home: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let (server, _) = start_with(binary, home, variables)?;
        let (email, password) = ("alice@example.com", "correct horse battery staple");
        let credentials = json!({"email": email, "password": password});
        let account = json!({"email": email, "password": password, "role": "developer"});
        let mut client = Client::connect(server.port)?;
        client.post("/auth/register", &account)?;
        let login = client.post("/auth/login", &credentials)?;
        let token = login.get("token").and_then(|token| token.as_str());
        let token = token.context("find the token in the answer to the login")?.to_owned();
        let site = Self { server, token };
        site.client()?.post("/api/v1/flags", &flag(FLAG)).context("create the flag")?;
        Ok(site)
    }

    /// A connection that carries the developer's token.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::connect(self.server.port)?.with_token(&self.token))
    }

    /// Leads `/gateway{path}` to a backend for whom the flag is on.
    pub(crate) fn route(&self, path: &str, backend: u16) -> Result<()> {
        let route = json!({
            "pattern": path, "backend_url": format!("http://127.0.0.1:{backend}"), "flag_key": FLAG,
        });
        self.client()?.post("/api/v1/gateway/routes", &route).context("create a route")?;
        Ok(())
    }
}

/// A flag that is on for developers and off for everyone else.
pub(crate) fn flag(key: &str) -> serde_json::Value {
    json!({
        "key": key, "name": key, "enabled": true, "default_value": false,
        "rules": [{
            "attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1,
        }],
    })
}
