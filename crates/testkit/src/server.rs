//! The real binary, started for one test.

use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use reqwest::{Client, Method, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a start may take; it is a bound for hopeless cases, not a measurement.
const READY_ATTEMPTS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// The password of everyone whom [`TestServer::register`] makes.
pub const PASSWORD: &str = "a long enough passphrase";

/// `flagbase start` in a temporary directory, on a free port of 127.0.0.1, with no configuration but what the
/// test gives. Killed when dropped.
#[derive(Debug)]
pub struct TestServer {
    program: PathBuf,
    directory: TempDir,
    environment: Vec<(String, String)>,
    port: u16,
    bus: u16,
    process: Child,
    client: Client,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub json: Value,
}

impl Reply {
    /// This reply, when it has the expected status.
    ///
    /// # Panics
    /// Otherwise, showing the body.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the status is all that matters")]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The value of a header, `None` when there is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl TestServer {
    /// Starts `program` (`env!("CARGO_BIN_EXE_flagbase")`) and waits until it is ready.
    pub async fn start(program: impl AsRef<Path>) -> Self {
        Self::start_with(program, &[]).await
    }

    /// The same with further environment variables, such as `("FLAGBASE_IAM__TOKEN_TTL", "1h")`.
    pub async fn start_with(program: impl AsRef<Path>, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = program.as_ref().to_owned();
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let (port, bus) = (free_port(), free_port());
        let process = launch(&program, &directory, &environment, (port, bus));
        let client = Client::new();
        let mut server = Self { program, directory, environment, port, bus, process, client };
        server.wait_until_ready().await;
        server
    }

    /// `http://127.0.0.1:<port><path>`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// `nats://127.0.0.1:<port>`: its embedded bus.
    pub fn bus(&self) -> String {
        format!("nats://127.0.0.1:{}", self.bus)
    }

    /// The directory it runs in; it holds the database and all data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// All it has written to stdout and stderr so far, over restarts.
    pub fn output(&self) -> String {
        fs::read_to_string(log_path(&self.directory)).unwrap()
    }

    /// Runs another command of the same binary beside the server, in its directory and with its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.program, &self.directory, &self.environment, (self.port, self.bus));
        command.args(arguments);
        command
    }

    /// Sets an environment variable for the next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end (SIGTERM) without waiting.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) -> ExitStatus {
        for _ in 0..READY_ATTEMPTS {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("it does not end; its output:\n{}", self.output())
    }

    /// Starts it again on the same data and port; kills it before when it runs.
    pub async fn restart(&mut self) {
        drop(self.process.kill());
        self.process.wait().unwrap();
        self.process = launch(&self.program, &self.directory, &self.environment, (self.port, self.bus));
        // Connections to the one before are of no use.
        self.client = Client::new();
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let url = self.url("/health/ready");
        for _ in 0..READY_ATTEMPTS {
            if let Some(status) = self.process.try_wait().unwrap() {
                unreachable!("it ended with {status}; its output:\n{}", self.output());
            }
            let answer = self.client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("it does not get ready; its output:\n{}", self.output())
    }

    /// Sends a request; `token` becomes `Authorization: Bearer`, `body` JSON.
    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = self.client.request(method, self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.reply(request).await
    }

    /// Sends a request that was built with [`TestServer::client`].
    pub async fn reply(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Reply { status, headers, text, json }
    }

    /// The client that the helpers use, for requests of another shape.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `GET` as the holder of `token`.
    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.send(Method::GET, path, Some(token), None).await
    }

    /// `POST` of JSON as the holder of `token`.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(token), Some(body)).await
    }

    /// `PUT` of JSON as the holder of `token`.
    pub async fn put(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, Some(token), Some(body)).await
    }

    /// `PATCH` of JSON as the holder of `token`.
    pub async fn patch(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(token), Some(body)).await
    }

    /// `DELETE` as the holder of `token`.
    pub async fn delete(&self, path: &str, token: &str) -> Reply {
        self.send(Method::DELETE, path, Some(token), None).await
    }

    /// Registers `email` with [`PASSWORD`], asking for `role` when given.
    pub async fn register(&self, email: &str, role: Option<&str>) -> Reply {
        let mut body = json!({ "email": email, "password": PASSWORD });
        if let (Some(role), Some(body)) = (role, body.as_object_mut()) {
            body.insert("role".into(), role.into());
        }
        self.send(Method::POST, "/auth/register", None, Some(&body)).await
    }

    /// Logs `email` in with [`PASSWORD`]; returns the token.
    pub async fn login(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self.send(Method::POST, "/auth/login", None, Some(&body)).await;
        let reply = reply.expect_status(200);
        reply.json.get("token").and_then(Value::as_str).unwrap().to_owned()
    }

    /// Registers `email` with `role` and logs in; returns the token.
    pub async fn join(&self, email: &str, role: &str) -> String {
        drop(self.register(email, Some(role)).await.expect_status(201));
        self.login(email).await
    }

    /// Makes the first administrator with the setup token that the start wrote, with [`PASSWORD`]; returns the token.
    pub async fn administrator(&self) -> String {
        let token = fs::read_to_string(self.directory().join("data/setup-token")).unwrap();
        let body = json!({ "token": token.trim(), "email": "admin@example.com", "password": PASSWORD });
        let reply = self.send(Method::POST, "/setup", None, Some(&body)).await;
        drop(reply.expect_status(201));
        self.login("admin@example.com").await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            drop(writeln!(std::io::stderr(), "output of the server:\n{}", self.output()));
        }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn log_path(directory: &TempDir) -> PathBuf {
    directory.path().join("output.log")
}

/// The ports of the server and of its bus.
type Ports = (u16, u16);

fn launch(program: &Path, directory: &TempDir, environment: &[(String, String)], ports: Ports) -> Child {
    let log = File::options().create(true).append(true).open(log_path(directory)).unwrap();
    command(program, directory, environment, ports)
        .arg("start")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Nothing of the caller's environment but the path gets in: a developer's own settings must not change a test.
fn command(
    program: &Path,
    directory: &TempDir,
    environment: &[(String, String)],
    (port, bus): Ports,
) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory.path())
        .env("NO_COLOR", "1")
        .env("FLAGBASE_SERVER__HOST", "127.0.0.1")
        .env("FLAGBASE_SERVER__PORT", port.to_string())
        .env("FLAGBASE_EVENTS__NATS_PORT", bus.to_string())
        .envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

#[cfg(test)]
mod tests;
