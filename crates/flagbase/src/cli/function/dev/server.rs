//! The throw-away server behind `flagbase fn dev`.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use flagbase_core::random::{Random, SystemRandom};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

use crate::cli::client::{Call, Client};
use crate::config::Secret;
use crate::exit::{Failure, Outcome};
use crate::progress;

/// Who the throw-away server belongs to.
const OWNER: &str = "developer@example.com";

/// How long a server may take to say where it listens: a bound for hopeless cases.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server with a database that is gone afterwards. It ends with this process, however this one ends.
pub(super) struct Server {
    address: String,
    password: String,
    child: Mutex<Child>,
    /// It ends when this is closed.
    _tie: Option<ChildStdin>,
    _place: tempfile::TempDir,
}

impl Server {
    /// Starts one on `port` of this machine; 0 takes a free one.
    pub(super) async fn start(port: u16) -> Outcome<Self> {
        let wrong = |error: std::io::Error| Failure::plain(format!("no server can be started: {error}"));
        is_free(port)?;
        let place = tempfile::tempdir().map_err(wrong)?;
        let random: &dyn Random = &SystemRandom;
        let password = random.hex(16);
        let at = |name: &str| place.path().join(name);
        let program = std::env::current_exe().map_err(wrong)?;
        let mut command = Command::new(program);
        command
            .args(["start", "--tied", "--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .arg("--database")
            .arg(at("dev.db"))
            .current_dir(place.path())
            .env("FLAGBASE_SERVER__DATA_DIR", at("data"))
            .env("FLAGBASE_STORAGE__BASE_PATH", at("storage"))
            .env("FLAGBASE_STORAGE__S3__LISTEN", "none")
            .env("FLAGBASE_EVENTS__NATS_PORT", "0")
            // What functions say is shown by whoever follows their logs.
            .env("FLAGBASE_LOG__LEVEL", "error,function=off")
            .env("FLAGBASE_ADMIN_EMAIL", OWNER)
            .env("FLAGBASE_ADMIN_PASSWORD", &password)
            .env_remove("FLAGBASE_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for this process, which then ends the server.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(wrong)?;
        let tie = child.stdin.take();
        let address = progress::during("starting", listening(&mut child)).await?;
        Ok(Self { address, password, child: Mutex::new(child), _tie: tie, _place: place })
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

    /// Ends it. What it kept is of no use to anybody, so it needs no time for that.
    pub(super) async fn stop(self) {
        drop(self.child.lock().await.kill().await);
    }
}

/// Nobody else answers on this port. Whoever does would be taken for our own server.
fn is_free(port: u16) -> Outcome {
    std::net::TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::plain(format!("port {port} of this machine is taken"))
            .hint("stop what answers there, or choose another port with --port; 0 takes a free one"),
        _ => Failure::plain(format!("port {port} of this machine cannot be used: {error}"))
            .hint("choose another one with --port; 0 takes a free one"),
    })
}

/// Where the child says that it listens.
async fn listening(child: &mut Child) -> Outcome<String> {
    let said = async {
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            // Without an answer the line is empty, whatever the reason.
            drop(BufReader::new(output).read_line(&mut line).await);
        }
        line.trim().to_owned()
    };
    let Ok(address) = tokio::time::timeout(PATIENCE, said).await else {
        return Err(Failure::plain("the server does not get ready"));
    };
    if !address.is_empty() {
        return Ok(address);
    }
    let status = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
    Err(Failure::plain(format!("the server did not start: {status}"))
        .hint("what it said stands above; another port can be chosen with --port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_the_way_out() {
        let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let failure = is_free(port).unwrap_err().to_string();
        assert!(failure.contains(&format!("port {port}")) && failure.contains("--port"), "{failure}");
        assert!(is_free(0).is_ok());
    }
}
