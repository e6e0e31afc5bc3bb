//! The throw-away server behind `flagbase fn dev`.

use std::process::Stdio;
use std::time::Duration;

use flagbase_core::random::{Random, SystemRandom};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::cli::client::{Call, Client};
use crate::config::Secret;
use crate::exit::{Failure, Outcome};
use crate::progress;

/// Who the throw-away server belongs to.
const OWNER: &str = "developer@example.com";

/// How often, and how many times, a server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);
const ASK: u32 = 200;

/// A server with a database that is gone afterwards. Dropping it ends it.
pub(super) struct Server {
    address: String,
    password: String,
    child: Mutex<Child>,
    _place: tempfile::TempDir,
}

impl Server {
    /// Starts one on `port` of this machine.
    pub(super) async fn start(port: u16) -> Outcome<Self> {
        let wrong = |error: std::io::Error| Failure::plain(format!("no server can be started: {error}"));
        let port = if port == 0 { free_port().map_err(wrong)? } else { port };
        let place = tempfile::tempdir().map_err(wrong)?;
        let random: &dyn Random = &SystemRandom;
        let password = random.hex(16);
        let at = |name: &str| place.path().join(name);
        let program = std::env::current_exe().map_err(wrong)?;
        let mut command = Command::new(program);
        command
            .args(["start", "--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .arg("--database")
            .arg(at("dev.db"))
            .current_dir(place.path())
            .env("FLAGBASE_SERVER__DATA_DIR", at("data"))
            .env("FLAGBASE_STORAGE__BASE_PATH", at("storage"))
            .env("FLAGBASE_EVENTS__NATS_PORT", "0")
            .env("FLAGBASE_LOG__LEVEL", "error")
            .env("FLAGBASE_ADMIN_EMAIL", OWNER)
            .env("FLAGBASE_ADMIN_PASSWORD", &password)
            .env_remove("FLAGBASE_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let child = Mutex::new(command.spawn().map_err(wrong)?);
        let address = format!("http://127.0.0.1:{port}");
        let server = Self { address, password, child, _place: place };
        progress::during("starting", server.ready()).await?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// `client` as its owner.
    pub(super) async fn login(&self, client: Client) -> Outcome<Client> {
        let body = json!({"email": OWNER, "password": self.password});
        let client = client.with_token(None);
        let answer = client.call(Call::post(&["auth", "login"], body)).await?;
        let token = answer.get("token").and_then(Value::as_str).unwrap_or_default();
        Ok(client.with_token(Some(Secret::new(token))))
    }

    /// Resolves when it has ended by itself.
    pub(super) async fn ended(&self) -> Failure {
        match self.child.lock().await.wait().await {
            Ok(status) => Failure::plain(format!("the server ended by itself: {status}")),
            Err(error) => Failure::plain(format!("the server is lost: {error}")),
        }
    }

    async fn ready(&self) -> Outcome {
        let http = reqwest::Client::new();
        let health = format!("{}/health", self.address);
        for _ in 0..ASK {
            if let Ok(Some(status)) = self.child.lock().await.try_wait() {
                return Err(Failure::plain(format!("the server did not start: {status}"))
                    .hint("what it said stands above; another port can be chosen with --port"));
            }
            if http.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(Failure::plain("the server does not get ready"))
    }
}

/// A port that nobody has now.
fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
