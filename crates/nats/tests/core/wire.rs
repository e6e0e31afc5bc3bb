//! A client that says exactly what it is told to, and compares exactly what comes.

use std::time::Duration;

use flagbase_nats::{Options, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Knows headers and no responders, and wants no `+OK`.
pub(crate) const QUIET: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

pub(crate) struct Wire {
    socket: TcpStream,
    seen: Vec<u8>,
    /// What the server said first.
    pub(crate) info: serde_json::Value,
}

/// A server on any port that has options which suit the test.
pub(crate) async fn server(change: impl FnOnce(&mut Options)) -> Server {
    let mut options = Options { port: 0, workers: 2, ..Options::default() };
    change(&mut options);
    Server::start(options).await.unwrap()
}

impl Wire {
    /// Connects and reads INFO, no more.
    pub(crate) async fn silent(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address()).await.unwrap();
        let mut wire = Self { socket, seen: Vec::new(), info: serde_json::Value::Null };
        let line = wire.line().await;
        wire.info = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
        wire
    }

    /// Connects as most clients do.
    pub(crate) async fn open(server: &Server) -> Self {
        let mut wire = Self::silent(server).await;
        wire.send(QUIET).await;
        wire.settle().await;
        wire
    }

    /// Connects and subscribes.
    pub(crate) async fn subscribed(server: &Server, subscription: &str) -> Self {
        let mut wire = Self::open(server).await;
        wire.send(format!("SUB {subscription}\r\n")).await;
        wire.settle().await;
        wire
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await.expect("writes").unwrap();
    }

    /// Sends what may not arrive any more.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await.expect("writes").is_ok()
    }

    /// Waits until the server has processed everything so far.
    pub(crate) async fn settle(&mut self) {
        self.send("PING\r\n").await;
        self.expect("PONG\r\n").await;
    }

    /// Reads exactly these bytes.
    pub(crate) async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        while self.seen.len() < bytes.len() && self.read().await {}
        let come = &self.seen[..bytes.len().min(self.seen.len())];
        assert_eq!(String::from_utf8_lossy(come), String::from_utf8_lossy(bytes));
        self.seen.drain(..bytes.len());
    }

    /// Reads these bytes and that nothing follows.
    pub(crate) async fn expect_end(&mut self, bytes: impl AsRef<[u8]>) {
        while self.read().await {}
        assert_eq!(String::from_utf8_lossy(&self.seen), String::from_utf8_lossy(bytes.as_ref()));
    }

    /// Reads one line and returns it without its end.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.seen.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.seen[..end]).into_owned();
                self.seen.drain(..end + 2);
                return line;
            }
            assert!(self.read().await, "the server hung up, after {:?}", String::from_utf8_lossy(&self.seen));
        }
    }

    /// Everything until the server hangs up.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.seen)).into_owned()
    }

    async fn read(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let Ok(read) = timeout(PATIENCE, self.socket.read(&mut buffer)).await else {
            panic!("nothing more came, after {:?}", String::from_utf8_lossy(&self.seen));
        };
        match read {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.seen.extend_from_slice(&buffer[..length]);
                true
            }
        }
    }
}
