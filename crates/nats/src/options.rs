//! What a server is started with.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use crate::{Access, Anonymous, Limits, Tls, WebSocket, jetstream};

/// What a server is started with.
#[derive(Clone)]
pub struct Options {
    /// Address to listen on, as text: an IP address or a name.
    pub host: String,
    /// Port to listen on; 0 takes any that is free.
    pub port: u16,
    /// Name of this server for people; its id when not given.
    pub server_name: Option<String>,
    /// The NATS version whose features clients may expect.
    pub version: String,
    /// Bounds of what clients may take.
    pub limits: Limits,
    /// Threads that serve connections; 0 takes one per processor.
    pub workers: usize,
    /// Who may connect, and what they may do.
    pub access: Arc<dyn Access>,
    /// How connections of clients are encrypted, if they are.
    pub tls: Option<Tls>,
    /// Another listener, for clients that speak WebSocket.
    pub websocket: Option<WebSocket>,
    /// Where monitoring is shown over HTTP; port 0 takes any that is free.
    pub monitor: Option<SocketAddr>,
    /// What keeps streams. With it, INFO announces JetStream.
    pub jetstream: Option<Arc<dyn jetstream::Store>>,
    /// Patterns of subjects that streams and consumers send nothing to: they are for who embeds the server.
    pub reserved: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 4222,
            server_name: None,
            version: "2.10.29".to_owned(),
            limits: Limits::default(),
            workers: 0,
            access: Arc::new(Anonymous),
            tls: None,
            websocket: None,
            monitor: None,
            jetstream: None,
            reserved: Vec::new(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("server_name", &self.server_name)
            .field("version", &self.version)
            .field("limits", &self.limits)
            .field("workers", &self.workers)
            .field("tls", &self.tls)
            .field("websocket", &self.websocket)
            .field("monitor", &self.monitor)
            .field("jetstream", &self.jetstream.is_some())
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: choose another port or stop who uses it")]
    Listen {
        /// The address that was asked for.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The streams that were kept cannot be read.
    #[error("cannot read the streams that were kept")]
    Streams(#[from] jetstream::StoreError),
    /// The threads of the server cannot be started.
    #[error("cannot start the threads of the server")]
    Threads(#[source] io::Error),
}
